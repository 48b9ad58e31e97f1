"""`/api/search`: what the command palette asks."""

from typing import Annotated, Any, cast

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.catalog import Catalog
from assay.errors import BadRequest
from assay.kit.paging import Page
from assay.records import Records
from assay.search.finding import Hit, find
from assay.snapshot import SnapshotSource
from assay.spans.types import SpanStore
from assay.ui.shell import Shell

LONGEST = 200


@get("/api/search", guards=[requires(Right.READ)], sync_to_thread=True)
def search(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    snapshot: NamedDependency[SnapshotSource],
    catalog: NamedDependency[Catalog],
    span_store: NamedDependency[SpanStore],
    q: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 30,
) -> Page[Hit]:
    """Pages, tasks and variants, prompts, datasets, runs, models and jobs by name; traces, spans and sessions by id, or its
    beginning or end. The best first; without a question every page."""
    if len(q) > LONGEST:
        raise BadRequest(f"A question has at most {LONGEST} characters.", param="q")
    shell = cast("Shell", request.app.state.shell)
    with records.read() as tx:
        found = find(
            q,
            principal,
            tx=tx,
            snapshot=snapshot.current,
            catalog=catalog,
            store=span_store,
            nav=shell.open_to(principal),
        )
    return Page(found[:limit])


handlers = [search]
