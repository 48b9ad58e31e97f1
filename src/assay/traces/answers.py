"""Traces and scores in the shapes of the API: times RFC 3339, money numbers, messages as the JSON that they are."""

from decimal import Decimal
from typing import Any

import msgspec

from assay.kit.clock import rfc3339
from assay.spans.types import Bucket, Facet, Group, StoredSpan, TraceRow, Traffic
from assay.traces.dialects import raw
from assay.wire.scores import Offsets, Score, ScoreSource
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage


class TraceSummary(msgspec.Struct, kw_only=True):
    """One line of the list of traces. `cost_usd` is null when the price of `cost_unknown` calls is not known; what the
    others cost together is `cost_known_usd`."""

    trace_id: str
    name: str
    kind: SpanKind
    start: str
    duration_ms: float
    spans: int
    errors: int
    calls: int
    cost_usd: Decimal | None
    cost_known_usd: Decimal
    cost_unknown: int
    total_tokens: int
    model: str | None
    task: str | None
    variant: str | None
    user: str | None
    session: str | None
    input: str
    output: str


class SpanAnswer(msgspec.Struct, kw_only=True):
    """A whole span. `missing` counts messages that are no longer kept; `counted` says whether its cost and tokens are part
    of sums: they are those of a model call that no span below it tells of as well."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: SpanKind
    status: SpanStatus
    error: dict[str, str | None] | None
    environment: str
    start: str
    duration_ms: float
    first_output_ms: float | None
    provider: str | None
    model: str | None
    upstream_model: str | None
    response_model: str | None
    endpoint: str | None
    streamed: bool
    finish_reason: str | None
    attempts: int
    cache: str | None
    usage: Usage | None
    cost_usd: Decimal | None
    counted: bool
    price_id: str | None
    key_id: str | None
    user: str | None
    session: str | None
    task: str | None
    variant: str | None
    release_id: str | None
    run_id: str | None
    case_id: str | None
    tags: tuple[str, ...]
    input: list[Any]
    output: list[Any]
    tools: list[Any]
    request: Any
    attributes: dict[str, Any]
    mapping: str | None
    received: str
    missing: int


class ScoreAnswer(msgspec.Struct, kw_only=True):
    """A score."""

    id: str
    name: str
    value: bool | float | str
    source: ScoreSource
    at: str
    trace_id: str | None
    span_id: str | None
    session_id: str | None
    case_id: str | None
    scorer_version: str | None
    cost_usd: Decimal | None
    comment: str | None
    author: str | None
    offsets: tuple[Offsets, ...]


class TraceAnswer(msgspec.Struct, kw_only=True):
    """A trace: its spans in the order in which they began, in pages, and the scores on any of them."""

    trace_id: str
    spans: list[SpanAnswer]
    scores: list[ScoreAnswer]
    next: str | None


class TrafficPoint(msgspec.Struct):
    """The traffic from `start` to the next point's."""

    start: str
    traffic: Traffic


class OverviewAnswer(msgspec.Struct, kw_only=True):
    """Figures of the model calls in a time range."""

    since: str
    until: str
    bucket_s: int
    total: Traffic
    over_time: list[TrafficPoint]
    by_model: list[Group]
    facets: list[Facet]


def of_trace_row(row: TraceRow) -> TraceSummary:
    """A line of the list."""
    return TraceSummary(
        trace_id=row.trace_id,
        name=row.name,
        kind=row.kind,
        start=rfc3339(row.start_ns),
        duration_ms=row.duration_ms,
        spans=row.spans,
        errors=row.errors,
        calls=row.calls,
        cost_usd=None if row.cost_unknown else row.cost_usd,
        cost_known_usd=row.cost_usd,
        cost_unknown=row.cost_unknown,
        total_tokens=row.total_tokens,
        model=row.model,
        task=row.task,
        variant=row.variant,
        user=row.user_id,
        session=row.session_id,
        input=row.input_preview,
        output=row.output_preview,
    )


def of_span(stored: StoredSpan) -> SpanAnswer:
    """A whole span."""
    span = stored.span
    same = {name: getattr(span, name) for name in SpanAnswer.__struct_fields__ if hasattr(span, name)}
    has_failed = span.error_type is not None or span.error_message is not None
    return SpanAnswer(
        **{
            **same,
            "error": {"type": span.error_type, "message": span.error_message} if has_failed else None,
            "start": rfc3339(span.start_ns),
            "duration_ms": (span.end_ns - span.start_ns) / 1e6,
            "first_output_ms": None
            if span.first_output_ns is None
            else (span.first_output_ns - span.start_ns) / 1e6,
            "counted": stored.is_counted,
            "attributes": raw.shown(span),
            "user": span.user_id,
            "session": span.session_id,
            "input": [_json(message) for message in span.input],
            "output": [_json(message) for message in span.output],
            "tools": [_json(tool) for tool in span.tools],
            "request": None if span.request is None else _json(span.request),
            "received": rfc3339(stored.received_at_ns),
            "missing": stored.missing,
        }
    )


def of_score(score: Score) -> ScoreAnswer:
    """A score."""
    return ScoreAnswer(
        id=score.score_id,
        name=score.name,
        value=score.value,
        source=score.source,
        at=rfc3339(score.at_ns),
        trace_id=score.trace_id,
        span_id=score.span_id,
        session_id=score.session_id,
        case_id=score.case_id,
        scorer_version=score.scorer_version,
        cost_usd=score.cost_usd,
        comment=score.explanation,
        author=score.author,
        offsets=score.offsets,
    )


def of_bucket(bucket: Bucket) -> TrafficPoint:
    """A point of the overview."""
    return TrafficPoint(rfc3339(bucket.start_ns), bucket.traffic)


def _json(text: bytes) -> Any:
    """The text itself where it is JSON, so that no digit and no key order changes; else a JSON string of it."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text.decode("utf-8", "replace")
    return msgspec.Raw(text)
