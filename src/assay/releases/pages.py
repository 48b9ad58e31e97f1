"""What pages do with releases. The page of a comparison is drawn by `evals`; releasing its candidate is decided here."""

import asyncio
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from assay.access import ENVIRONMENT, Principal, Right
from assay.access.guards import requires
from assay.records import Records
from assay.releases.promotion import promote
from assay.ui import shell


@post("/comparisons/{comparison_id:str}/promote", guards=[requires(Right.EDIT)], include_in_schema=False)
async def promote_candidate(
    request: Request[Any, Any, Any],
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Redirect:
    """The form of a comparison: release its candidate, then show the task that it serves."""
    form = await request.form()

    def keep() -> str:
        with records.write() as tx:
            made = promote(
                tx,
                principal.project,
                comparison_id,
                environment=str(form.get("environment") or ENVIRONMENT),
                actor=principal.name,
                note=str(form.get("note") or "") or None,
                force=form.get("force") == "on",
            )
        return made.task

    task = await asyncio.to_thread(keep)
    return Redirect(shell.url(f"/tasks/{task}"), status_code=303)


handlers = [promote_candidate]
