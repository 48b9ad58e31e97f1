"""`/decisions`."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.decisions.ledger import list_decisions
from assay.decisions.types import Decision, Kind
from assay.errors import BadRequest
from assay.records import Records
from assay.ui import shell


class DecisionsContext(msgspec.Struct):
    """What `decisions/decisions.html` shows."""

    decisions: list[Decision]
    next: str | None
    first: bool
    kinds: list[Kind]
    kind: Kind | None
    subject: str


@get("/decisions", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_decisions(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    kind: FromQuery[str] = "",
    subject: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Decisions, newest first, each with its verdicts."""
    chosen = _kind(kind)
    with records.read() as tx:
        page = list_decisions(
            tx, principal.project, kind=chosen, subject=subject.strip() or None, cursor=cursor
        )
    context = DecisionsContext(
        decisions=page.items,
        next=page.next,
        first=cursor is None,
        kinds=list(Kind),
        kind=chosen,
        subject=subject,
    )
    return shell.page(request, "decisions/decisions.html", context, title="Decisions")


def _kind(text: str) -> Kind | None:
    try:
        return Kind(text) if text else None
    except ValueError:
        raise BadRequest(
            f"{text!r} is no kind of decision", param="kind", hint=f"One of {', '.join(Kind)}."
        ) from None


handlers = [show_decisions]
