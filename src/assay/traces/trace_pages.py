"""`/traces/{id}`: one trace, and what people think of it."""

import asyncio
from contextlib import suppress
from typing import Any, Literal, get_args

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import AssayError, Unavailable
from assay.kit import json
from assay.kit.clock import SYSTEM
from assay.spans import Collector, SpanStore, Spool
from assay.spans.types import StoredSpan
from assay.traces import answers, feedback
from assay.traces.api import found_soon
from assay.traces.conversation import Ranked, Turns, ranking, tools, turns
from assay.traces.dialects.raw import shown as attributes_of
from assay.traces.feedback import FeedbackForm, FeedbackPanel
from assay.traces.waterfall import Waterfall, chosen, lay_out
from assay.ui import shell
from assay.wire.messages import Tool
from assay.wire.scores import Score
from assay.wire.spans import Span, SpanKind

HttpRequest = Request[Any, Any, Any]
Tab = Literal["conversation", "details", "raw"]

_SPANS = 300


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/trace.html` shows: the waterfall, one span of it in full, and what was thought of it. `span_names` are
    those of the spans that scores are about."""

    trace_id: str
    waterfall: Waterfall
    next: str | None
    is_first: bool
    shown: StoredSpan
    tab: str
    input: Turns
    output: Turns
    ranking: list[Ranked]
    tools: list[Tool]
    scores: list[Score]
    span_names: dict[str, str]
    feedback: FeedbackPanel | None
    raw: str | None
    facts: list[tuple[str, Any]]
    attributes: dict[str, Any]
    tokens: list[tuple[str, int]]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a trace somebody looks at, as the address says it."""

    span: str | None
    tab: str
    cursor: str | None


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
    """One trace: waterfall, conversation, costs, feedback, raw JSON."""
    view = View(span=span, tab=tab, cursor=cursor)
    return _trace_page(request, principal, span_store, collector, trace_id, view)


@post("/traces/{trace_id:str}/feedback", guards=[requires(Right.SEND)], include_in_schema=False)
async def give_feedback(
    request: HttpRequest,
    data: URLEncodedBody[FeedbackForm],
    trace_id: FromPath[str],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    spool: NamedDependency[Spool],
    collector: NamedDependency[Collector],
    span: FromQuery[str | None] = None,
    tab: FromQuery[str] = "conversation",
    cursor: FromQuery[str | None] = None,
) -> Response[Any]:
    """A thumb, a comment or another score, kept before the page comes back with it."""
    view = View(span=span, tab=tab, cursor=cursor)
    await asyncio.to_thread(
        found_soon, lambda: span_store.trace(principal.project, trace_id, limit=1), collector
    )
    try:
        sent = feedback.filled(data, trace_id=trace_id)
        score = feedback.score_of(
            sent, project=principal.project, author=principal.name, now_ns=SYSTEM.now_ns()
        )
        await feedback.keep(spool, score)
    except AssayError as problem:
        return await asyncio.to_thread(
            _trace_page, request, principal, span_store, collector, trace_id, view, data, problem
        )
    with suppress(Unavailable):  # it is kept; the page will show it later
        await asyncio.to_thread(collector.drain_now, timeout_s=2.0)
    address = shell.url(
        f"/traces/{trace_id}", span=span, tab=tab if tab != "conversation" else None, cursor=cursor
    )
    return Redirect(f"{address}#feedback", status_code=303)


def _trace_page(
    request: HttpRequest,
    principal: Principal,
    span_store: SpanStore,
    collector: Collector,
    trace_id: str,
    view: View,
    form: FeedbackForm | None = None,
    problem: AssayError | None = None,
) -> Response[str]:
    project = principal.project
    page = found_soon(
        lambda: span_store.trace(project, trace_id, limit=_SPANS, cursor=view.cursor), collector
    )
    shown = chosen(page.items, view.span)
    if shown.span.mapping is not None and view.tab != "conversation":
        shown = span_store.get_span(project, shown.span.span_id, trace_id=trace_id)
    tab = view.tab if view.tab in get_args(Tab) else "conversation"
    names = {item.span.span_id: item.span.name for item in page.items}
    session = shown.span.session_id
    scores = span_store.scores_about(
        project, traces=[trace_id], spans=[*names], sessions=[session] if session else []
    )
    panel = feedback.panel(
        form or FeedbackForm(about="span" if view.span else "trace"),
        action=shell.url(f"/traces/{trace_id}/feedback", span=view.span, tab=tab, cursor=view.cursor),
        span=shown.span,
        scores=scores,
        author=principal.name,
        problem=problem,
    )
    context = TraceContext(
        trace_id=trace_id,
        waterfall=lay_out(page.items),
        next=page.next,
        is_first=view.cursor is None,
        shown=shown,
        tab=tab,
        input=turns(shown.span.input, speaker="user"),
        output=turns(shown.span.output, speaker="assistant"),
        ranking=ranking(shown.span.output) if shown.span.kind is SpanKind.RERANK else [],
        tools=tools(shown.span.tools),
        scores=scores,
        span_names=names,
        feedback=panel if principal.may(Right.SEND) else None,
        raw=json.pretty(answers.of_span(shown)) if tab == "raw" else None,
        facts=_facts(shown),
        attributes=attributes_of(shown.span),
        tokens=_tokens(shown),
    )
    status = problem.status if problem else 200
    return shell.page(request, "traces/trace.html", context, title=f"Trace {trace_id[-8:]}", status=status)


def _cache(span: Span) -> str | None:
    """What the cache did; of a hit how alike the questions were, what it saved, and whose answer it is."""
    said = {
        name: span.attributes.get(f"assay.cache.{name}") for name in ("similarity", "saved_usd", "trace_id")
    }
    parts = [
        None if said["similarity"] is None else f"similarity {said['similarity']}",
        None if said["saved_usd"] is None else f"saved ${said['saved_usd']}",
        None if said["trace_id"] is None else f"answer of trace {said['trace_id']}",
    ]
    return span.cache and ", ".join(filter(None, [span.cache, *parts]))


def _facts(stored: StoredSpan) -> list[tuple[str, Any]]:
    """Labels and values of a span; the template leaves out what is None."""
    span = stored.span
    names = {
        "Provider": span.provider, "Asked for": span.model, "Asked of the provider": span.upstream_model,
        "Provider says": span.response_model, "Endpoint": span.endpoint, "Finish reason": span.finish_reason,
        "Attempts": span.attempts if span.attempts != 1 else None, "Cache": _cache(span), "Task": span.task,
        "Variant": span.variant, "Release": span.release_id, "Run": span.run_id, "Case": span.case_id,
        "Session": span.session_id, "User": span.user_id, "Key": span.key_id, "Environment": span.environment,
        "Tags": ", ".join(span.tags) or None, "Price": span.price_id, "Mapping": span.mapping, "Span": span.span_id, "Parent": span.parent_id,
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


handlers = [show_trace, give_feedback]
