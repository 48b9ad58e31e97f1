"""`/` (the overview) and `/traces`."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest
from assay.spans import SpanStore
from assay.spans.types import Group, TraceRow, Traffic
from assay.traces import feedback, trace_pages
from assay.traces.api import filter_of
from assay.traces.feedback import Marks
from assay.traces.menus import filter_of_everything, menus, ranges_with
from assay.traces.overview import Overview, read_overview
from assay.traces.pictures import Picture, pictures_of
from assay.traces.query import DEFAULT_LAST
from assay.ui import shell

HttpRequest = Request[Any, Any, Any]

_PAGE = 50


class OverviewContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/overview.html` shows. `address` is where clients reach this server."""

    last: str
    ranges: tuple[tuple[str, str], ...]
    total: Traffic
    by_model: list[Group]
    pictures: list[Picture]
    recent: list[TraceRow]
    address: str


class TracesContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/list.html` shows. `chosen` is the filter as the form holds it, `marks` what people thought, by trace."""

    traces: list[TraceRow]
    next: str | None
    is_first: bool
    chosen: dict[str, str]
    ranges: tuple[tuple[str, str], ...]
    choices: dict[str, list[tuple[str, str]]]
    is_filtered: bool
    marks: dict[str, Marks]
    address: str
    problem: BadRequest | None


@get("/", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_overview(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    last: FromQuery[str] = "24h",
) -> Response[str]:
    """Traffic, cost, latency and errors."""
    filter = filter_of(request, principal, also=())
    if "last" not in request.query_params:
        filter = msgspec.structs.replace(filter, from_ns=filter.to_ns - _DAY_NS)
    overview: Overview = read_overview(span_store, filter)
    context = OverviewContext(
        last=last,
        ranges=ranges_with(last),
        total=overview.total,
        by_model=overview.by_model,
        pictures=pictures_of(overview),
        recent=span_store.list_traces(filter, limit=8).items,
        address=str(request.base_url).rstrip("/"),
    )
    return shell.page(request, "traces/overview.html", context, title="Overview")


@get("/traces", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def list_traces(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Traces with filters and search."""
    given = {
        name: value
        for name, value in request.query_params.items()
        if isinstance(value, str) and name != "cursor"
    }
    try:
        filter = filter_of(request, principal)
        page = span_store.list_traces(filter, limit=_PAGE, cursor=cursor)
        traces, next_cursor, problem = page.items, page.next, None
    except BadRequest as error:
        filter = filter_of_everything(principal)
        traces, next_cursor, problem = [], None, error
    context = TracesContext(
        traces=traces,
        next=next_cursor,
        is_first=cursor is None,
        chosen={"last": DEFAULT_LAST, **given},
        ranges=ranges_with(given.get("last")),
        choices=menus(span_store, filter, given),
        is_filtered=any(value for name, value in given.items() if name != "last"),
        marks=feedback.marks(
            span_store.scores_about(principal.project, traces=[row.trace_id for row in traces])
        )
        if traces
        else {},
        address=str(request.base_url).rstrip("/"),
        problem=problem,
    )
    return shell.page(request, "traces/list.html", context, title="Traces", status=400 if problem else 200)


_DAY_NS = 86_400_000_000_000


handlers = [show_overview, list_traces, *trace_pages.handlers]
