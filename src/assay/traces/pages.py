"""`/` (the overview), `/traces` and `/traces/{id}`."""

from typing import Any, Literal, get_args

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest
from assay.kit import json
from assay.spans import Collector, SpanStore
from assay.spans.types import Group, StoredSpan, TraceRow, Traffic
from assay.traces import answers
from assay.traces.api import filter_of, found_soon
from assay.traces.conversation import Turns, tools, turns
from assay.traces.dialects.raw import shown as attributes_of
from assay.traces.menus import filter_of_everything, menus, ranges_with
from assay.traces.overview import Overview, read_overview
from assay.traces.pictures import Picture, pictures_of
from assay.traces.query import DEFAULT_LAST
from assay.traces.waterfall import Waterfall, chosen, lay_out
from assay.ui import shell
from assay.wire.messages import Tool
from assay.wire.scores import Score

HttpRequest = Request[Any, Any, Any]
Tab = Literal["conversation", "details", "raw"]

_PAGE = 50
_SPANS = 300


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
    """What `traces/list.html` shows. `chosen` is the filter as the form holds it."""

    traces: list[TraceRow]
    next: str | None
    is_first: bool
    chosen: dict[str, str]
    ranges: tuple[tuple[str, str], ...]
    choices: dict[str, list[tuple[str, str]]]
    is_filtered: bool
    problem: BadRequest | None


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/trace.html` shows: the waterfall, and one span of it in full."""

    trace_id: str
    waterfall: Waterfall
    next: str | None
    is_first: bool
    shown: StoredSpan
    tab: str
    input: Turns
    output: Turns
    tools: list[Tool]
    scores: list[Score]
    raw: str | None
    facts: list[tuple[str, Any]]
    attributes: dict[str, Any]
    tokens: list[tuple[str, int]]


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
        problem=problem,
    )
    return shell.page(request, "traces/list.html", context, title="Traces", status=400 if problem else 200)


@get("/traces/{trace_id:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_trace(
    request: HttpRequest,
    trace_id: FromPath[str],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    collector: NamedDependency[Collector],
    span: FromQuery[str | None] = None,
    tab: FromQuery[str] = "conversation",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """One trace: waterfall, conversation, costs, raw JSON."""
    project = principal.project
    page = found_soon(lambda: span_store.trace(project, trace_id, limit=_SPANS, cursor=cursor), collector)
    shown = chosen(page.items, span)
    if shown.span.mapping is not None and tab != "conversation":
        shown = span_store.get_span(project, shown.span.span_id, trace_id=trace_id)
    tab = tab if tab in get_args(Tab) else "conversation"
    context = TraceContext(
        trace_id=trace_id,
        waterfall=lay_out(page.items),
        next=page.next,
        is_first=cursor is None,
        shown=shown,
        tab=tab,
        input=turns(shown.span.input, speaker="user"),
        output=turns(shown.span.output, speaker="assistant"),
        tools=tools(shown.span.tools),
        scores=span_store.list_scores(project, trace_id=trace_id),
        raw=json.pretty(answers.of_span(shown)) if tab == "raw" else None,
        facts=_facts(shown),
        attributes=attributes_of(shown.span),
        tokens=_tokens(shown),
    )
    return shell.page(request, "traces/trace.html", context, title=f"Trace {trace_id[-8:]}")


_DAY_NS = 86_400_000_000_000


def _facts(stored: StoredSpan) -> list[tuple[str, Any]]:
    """Labels and values of a span; the template leaves out what is None."""
    span = stored.span
    names = {
        "Provider": span.provider, "Asked for": span.model, "Asked of the provider": span.upstream_model,
        "Provider says": span.response_model, "Endpoint": span.endpoint, "Finish reason": span.finish_reason,
        "Attempts": span.attempts if span.attempts != 1 else None, "Cache": span.cache, "Task": span.task,
        "Variant": span.variant, "Release": span.release_id, "Run": span.run_id, "Case": span.case_id,
        "Session": span.session_id, "User": span.user_id, "Key": span.key_id, "Environment": span.environment,
        "Tags": ", ".join(span.tags) or None, "Price": span.price_id, "Span": span.span_id, "Parent": span.parent_id,
    }  # fmt: skip
    return list(names.items())


def _tokens(stored: StoredSpan) -> list[tuple[str, int]]:
    usage = stored.span.usage
    if usage is None:
        return []
    counted = [
        (name.replace("_", " "), getattr(usage, name))
        for name in usage.__struct_fields__
        if not name.endswith("_source")
    ]
    return [(name, count) for name, count in counted if count or name in ("input", "output")]


handlers = [show_overview, list_traces, show_trace]
