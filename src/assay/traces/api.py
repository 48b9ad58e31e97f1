"""`/api/traces`, `/api/spans`, `/api/scores`, `/api/overview` and `/api/quarantine`."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast

from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest, NotFound
from assay.kit import json
from assay.kit.clock import SYSTEM, rfc3339
from assay.kit.paging import Page
from assay.spans import Collector, SpanStore, Spool
from assay.spans.quarantine import Quarantined
from assay.spans.types import SpanFilter
from assay.traces import answers, feedback
from assay.traces.answers import OverviewAnswer, ScoreAnswer, SpanAnswer, TraceAnswer, TraceSummary
from assay.traces.overview import read_overview
from assay.traces.query import read_filter

HttpRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=500)]
T = TypeVar("T")


@get("/api/traces", guards=[requires(Right.READ)], sync_to_thread=True)
def list_traces(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    cursor: FromQuery[str | None] = None,
    limit: Limit = 50,
) -> Response[Page[TraceSummary]]:
    """Traces, the one with the newest matching span first.

    Filters: last (15m, 24h, 7d; the default) or from and to; kind, status, model, provider, task, variant, user, session,
    key, run, case, environment, tag, min_duration_ms, min_cost_usd, q (text in names, previews and errors).
    """
    page = span_store.list_traces(filter_of(request, principal), limit=limit, cursor=cursor)
    return _answer(Page([answers.of_trace_row(row) for row in page.items], page.next))


@get("/api/traces/{trace_id:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show_trace(
    trace_id: FromPath[str],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    collector: NamedDependency[Collector],
    cursor: FromQuery[str | None] = None,
    limit: Limit = 200,
) -> Response[TraceAnswer]:
    """One trace: its spans with their messages, in pages, and the scores about it and about these spans."""
    page = found_soon(
        lambda: span_store.trace(principal.project, trace_id, limit=limit, cursor=cursor), collector
    )
    return _answer(
        TraceAnswer(
            trace_id=trace_id,
            spans=[answers.of_span(item) for item in page.items],
            scores=[
                answers.of_score(score)
                for score in span_store.scores_about(
                    principal.project, traces=[trace_id], spans=[item.span.span_id for item in page.items]
                )
            ],
            next=page.next,
        )
    )


@get("/api/spans/{span_id:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show_span(
    span_id: FromPath[str],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    collector: NamedDependency[Collector],
    trace_id: FromQuery[str | None] = None,
) -> Response[SpanAnswer]:
    """One span with its messages."""
    stored = found_soon(lambda: span_store.get_span(principal.project, span_id, trace_id=trace_id), collector)
    return _answer(answers.of_span(stored))


@post("/api/scores", guards=[requires(Right.SEND)], status_code=201)
async def add_score(
    data: JSONBody[feedback.ScoreRequest],
    principal: NamedDependency[Principal],
    spool: NamedDependency[Spool],
) -> Response[ScoreAnswer]:
    """Keep a score: feedback of a user, a mark, a measurement. It is on the medium when this answers."""
    score = feedback.score_of(data, project=principal.project, author=principal.name, now_ns=SYSTEM.now_ns())
    await feedback.keep(spool, score)
    return _answer(answers.of_score(score), status=201)


@get("/api/scores", guards=[requires(Right.READ)], sync_to_thread=True)
def list_scores(
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    trace_id: FromQuery[str | None] = None,
    span_id: FromQuery[str | None] = None,
    session_id: FromQuery[str | None] = None,
    case_id: FromQuery[str | None] = None,
) -> Response[Page[ScoreAnswer]]:
    """The scores of one trace, span, session or case, oldest first, at most 1,000."""
    if not (trace_id or span_id or session_id or case_id):
        raise BadRequest("Say whose scores: one of trace_id, span_id, session_id, case_id.", param="trace_id")
    scores = span_store.list_scores(
        principal.project, trace_id=trace_id, span_id=span_id, session_id=session_id, case_id=case_id
    )
    return _answer(Page([answers.of_score(score) for score in scores]))


@get("/api/overview", guards=[requires(Right.READ)], sync_to_thread=True)
def show_overview(
    request: HttpRequest, principal: NamedDependency[Principal], span_store: NamedDependency[SpanStore]
) -> Response[OverviewAnswer]:
    """Traffic, cost, latency and errors of the model calls that the filters of `/api/traces` leave."""
    chosen = filter_of(request, principal)
    overview = read_overview(span_store, chosen)
    return _answer(
        OverviewAnswer(
            since=rfc3339(chosen.from_ns),
            until=rfc3339(chosen.to_ns),
            bucket_s=overview.bucket_ns // 1_000_000_000,
            total=overview.total,
            over_time=[answers.of_bucket(bucket) for bucket in overview.over_time],
            by_model=overview.by_model,
            facets=span_store.facets(chosen),
        )
    )


@get("/api/quarantine", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def list_quarantine(collector: NamedDependency[Collector]) -> Page[Quarantined]:
    """What came in, into whatever project, and could not be kept as spans, newest first, at most 100."""
    return Page(collector.quarantine.list())


def filter_of(
    request: HttpRequest, principal: Principal, *, also: tuple[str, ...] = ("cursor", "limit")
) -> SpanFilter:
    """The filter in a request's address."""
    items = request.query_params.multi_items()
    return read_filter(items, project=principal.project, now_ns=SYSTEM.now_ns(), also=also)


def found_soon(read: Callable[[], T], collector: Collector) -> T:
    """Read; what is not there yet may still wait in the spool, so collect and read again before saying so."""
    try:
        return read()
    except NotFound:
        collector.drain_now(timeout_s=2.0)
        return read()


def _answer(value: T, *, status: int = 200) -> Response[T]:
    """JSON with money as numbers, which Litestar's own encoder writes as text."""
    return cast("Response[T]", Response(json.encode(value), status_code=status, media_type=MediaType.JSON))


handlers = [list_traces, show_trace, show_span, add_score, list_scores, show_overview, list_quarantine]
