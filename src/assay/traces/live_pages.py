"""`/live`: the page of the live tail and the stream that feeds it; `/api/spans/live` is the same for programs."""

from collections.abc import AsyncGenerator, Callable
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest
from assay.kit import json
from assay.kit.clock import SYSTEM, rfc3339
from assay.spans import SpanStore
from assay.spans.types import SpanFilter, SpanRow
from assay.traces.live import LiveTail, Step
from assay.traces.menus import filter_of_everything, menus
from assay.traces.query import read_filter
from assay.ui import events, language, shell
from assay.ui.language import later
from assay.wire.spans import SpanKind, SpanStatus

HttpRequest = Request[Any, Any, Any]
CALLS = SpanKind.MODEL.value
"""What is watched when nothing is chosen: model calls."""
EVERY_KIND = "any"

_SHOWN = 50
_TIMES = ("last", "from", "to")


class LiveContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/live.html` shows: the newest spans, and the address of those to come."""

    rows: list[SpanRow]
    stream: str
    chosen: dict[str, str]
    choices: dict[str, list[tuple[str, str]]]
    is_filtered: bool
    address: str
    problem: BadRequest | None


class LiveRowsContext(msgspec.Struct, frozen=True):
    """What `traces/live_rows.html` shows."""

    rows: list[SpanRow]


class LiveSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span as `/api/spans/live` sends it, with previews of what was asked and answered."""

    trace_id: str
    span_id: str
    name: str
    kind: SpanKind
    status: SpanStatus
    error: str | None
    environment: str
    start: str
    duration_ms: float
    first_output_ms: float | None
    model: str | None
    provider: str | None
    task: str | None
    variant: str | None
    user: str | None
    session: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    input: str
    output: str


@get("/live", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_live(
    request: HttpRequest, principal: NamedDependency[Principal], span_store: NamedDependency[SpanStore]
) -> Response[str]:
    """Calls as they end."""
    given = {name: value for name, value in request.query_params.items() if isinstance(value, str) and value}
    problem: BadRequest | None = None
    try:
        filter = live_filter(request, principal)
    except BadRequest as error:
        filter, problem = filter_of_everything(principal), error
    newest = span_store.tail(filter, limit=_SHOWN)
    context = LiveContext(
        rows=[] if problem else newest.rows[::-1],
        stream="" if problem else shell.url("/live/events", **{**given, "after": newest.position}),
        chosen={"kind": CALLS, **given},
        choices=menus(span_store, recent(principal), {"kind": CALLS, **given}),
        is_filtered=any(name != "kind" or value != CALLS for name, value in given.items()),
        address=str(request.base_url).rstrip("/"),
        problem=problem,
    )
    return shell.page(
        request, "traces/live.html", context, title=later("Live"), status=400 if problem else 200
    )


@get("/live/events", guards=[requires(Right.READ)], include_in_schema=False)
async def stream_rows(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    live: NamedDependency[LiveTail],
    after: FromQuery[str | None] = None,
) -> events.EventStream:
    """Rows of the page's table, with their place in the tail as the event's id."""

    def shown(step: Step) -> str:
        drawn = step.drawn.get(language.current())
        if drawn is None:
            drawn = shell.fragment(request, "traces/live_rows.html", LiveRowsContext(step.rows[::-1]))
            step.drawn[language.current()] = drawn
        return drawn

    steps = await live.follow(
        live_filter(request, principal), after=request.headers.get(events.LAST_ID) or after
    )
    return events.EventStream(_told(steps, shown))


@get("/api/spans/live", guards=[requires(Right.READ)])
async def stream_spans(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    live: NamedDependency[LiveTail],
    after: FromQuery[str | None] = None,
) -> events.EventStream:
    """Spans as they are kept, as server-sent events `spans`: a JSON list, the oldest first. Model calls, unless kind says
    otherwise (`any` for all); the other filters of `/api/traces` narrow, except times.

    The id of an event is the place to go on from: send it back as `Last-Event-ID` or `after`, and nothing is missed or
    repeated. An event `passed_over` says that there was more than is sent again; `trouble`, that nothing can be read now.
    """
    steps = await live.follow(
        live_filter(request, principal), after=request.headers.get(events.LAST_ID) or after
    )
    return events.EventStream(_told(steps, _as_json))


def live_filter(request: HttpRequest, principal: Principal) -> SpanFilter:
    """The filter in a request's address, for any time. Raises `BadRequest`."""
    items = [(name, value) for name, value in request.query_params.multi_items() if value]
    for name, _ in items:
        if name in _TIMES:
            raise BadRequest(
                f"{name!r} is no filter of the live tail.", param=name, hint="It begins now and does not end."
            )
    kinds = [value for name, value in items if name == "kind"] or [CALLS]
    others = [(name, value) for name, value in items if name != "kind"]
    if kinds != [EVERY_KIND]:
        others += [("kind", value) for value in kinds]
    found = read_filter(others, project=principal.project, now_ns=SYSTEM.now_ns(), also=("after",))
    return msgspec.structs.replace(found, from_ns=0, to_ns=1 << 62)


def recent(principal: Principal) -> SpanFilter:
    """The last week, for the choices that a form offers."""
    return read_filter((), project=principal.project, now_ns=SYSTEM.now_ns())


async def _told(
    steps: AsyncGenerator[Step, None], shown: Callable[[Step], str]
) -> AsyncGenerator[bytes, None]:
    try:
        async for step in steps:
            if step.trouble is not None:
                yield events.event(json.encode({"message": step.trouble}).decode(), name="trouble")
                continue
            if step.passed_over:
                yield events.event("{}", name="passed_over")
            if step.rows:
                yield events.event(shown(step), name="spans", id=step.position)
            else:
                yield events.event(id=step.position)
    finally:
        await steps.aclose()


def _as_json(step: Step) -> str:
    return json.encode([_live_span(row) for row in step.rows]).decode()


def _live_span(row: SpanRow) -> LiveSpan:
    first_ns = row.first_output_ns
    return LiveSpan(
        trace_id=row.trace_id,
        span_id=row.span_id,
        name=row.name,
        kind=row.kind,
        status=row.status,
        error=row.error_message,
        environment=row.environment,
        start=rfc3339(row.start_ns),
        duration_ms=row.duration_ms,
        first_output_ms=None if first_ns is None else (first_ns - row.start_ns) / 1e6,
        model=row.model,
        provider=row.provider,
        task=row.task,
        variant=row.variant,
        user=row.user_id,
        session=row.session_id,
        input_tokens=None if row.usage is None else row.usage.total_input,
        output_tokens=None if row.usage is None else row.usage.total_output,
        cost_usd=row.cost_usd,
        input=row.input_preview,
        output=row.output_preview,
    )


handlers = [show_live, stream_rows, stream_spans]
