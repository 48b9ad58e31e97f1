"""Sessions in the shapes of the API."""

from decimal import Decimal
from typing import Any

import msgspec

from assay.kit.clock import rfc3339
from assay.spans.types import ScoreFigure, SessionRow
from assay.traces import answers
from assay.traces.answers import ScoreAnswer
from assay.traces.sessions import Step, Turn
from assay.wire.messages import Message
from assay.wire.openai_chat import encode_message
from assay.wire.spans import Span, SpanKind, SpanStatus
from assay.wire.usage import Usage


class SessionSummary(msgspec.Struct, kw_only=True):
    """One line of the list of sessions, over all traces of the session. `cost_usd` is null when the price of `cost_unknown`
    calls is not known; what the others cost together is `cost_known_usd`. `scores` has the mean of each name."""

    session_id: str
    start: str
    end: str
    duration_ms: float
    traces: int
    calls: int
    errors: int
    cost_usd: Decimal | None
    cost_known_usd: Decimal
    cost_unknown: int
    total_tokens: int
    user: str | None
    task: str | None
    models: tuple[str, ...]
    input: str
    output: str
    scores: tuple[ScoreFigure, ...]


class StepAnswer(msgspec.Struct, kw_only=True):
    """One call of a turn: the messages that are new with it and its answer, in OpenAI's format. `instructions` are its system
    messages where they changed, `earlier` is history that no call of this page has shown."""

    span_id: str
    name: str
    kind: SpanKind
    model: str | None
    status: SpanStatus
    error: dict[str, str | None] | None
    start: str
    duration_ms: float
    first_output_ms: float | None
    usage: Usage | None
    cost_usd: Decimal | None
    instructions: list[Any]
    earlier: list[Any]
    asked: list[Any]
    said: list[Any]
    missing: int


class OtherAnswer(msgspec.Struct, kw_only=True):
    """A span of a turn that is no call of a model: a tool, a retrieval, an agent."""

    span_id: str
    name: str
    kind: SpanKind
    status: SpanStatus
    start: str
    duration_ms: float


class TurnAnswer(msgspec.Struct, kw_only=True):
    """One trace of a session. `left_out` earlier calls of it are not among the steps."""

    trace_id: str
    start: str
    duration_ms: float
    model: str | None
    task: str | None
    variant: str | None
    errors: int
    calls: int
    cost_usd: Decimal | None
    cost_known_usd: Decimal
    cost_unknown: int
    total_tokens: int
    steps: list[StepAnswer]
    others: list[OtherAnswer]
    left_out: int
    scores: list[ScoreAnswer]


class SessionAnswer(msgspec.Struct, kw_only=True):
    """A session as a conversation, in pages of turns, with the scores about the session as a whole."""

    session: SessionSummary
    turns: list[TurnAnswer]
    scores: list[ScoreAnswer]
    next: str | None


def of_session_row(row: SessionRow) -> SessionSummary:
    """A line of the list."""
    return SessionSummary(
        session_id=row.session_id,
        start=rfc3339(row.start_ns),
        end=rfc3339(row.end_ns),
        duration_ms=row.duration_ms,
        traces=row.traces,
        calls=row.calls,
        errors=row.errors,
        cost_usd=None if row.cost_unknown else row.cost_usd,
        cost_known_usd=row.cost_usd,
        cost_unknown=row.cost_unknown,
        total_tokens=row.total_tokens,
        user=row.user_id,
        task=row.task,
        models=row.models,
        input=row.input_preview,
        output=row.output_preview,
        scores=row.scores,
    )


def of_turn(turn: Turn) -> TurnAnswer:
    """A trace of a session."""
    trace = turn.trace
    return TurnAnswer(
        trace_id=trace.trace_id,
        start=rfc3339(trace.start_ns),
        duration_ms=trace.duration_ms,
        model=turn.model,
        task=trace.task,
        variant=trace.variant,
        errors=trace.errors,
        calls=trace.calls,
        cost_usd=None if trace.cost_unknown else trace.cost_usd,
        cost_known_usd=trace.cost_usd,
        cost_unknown=trace.cost_unknown,
        total_tokens=trace.total_tokens,
        steps=[_step(step) for step in turn.steps],
        others=[_other(span) for span in turn.others],
        left_out=turn.left_out,
        scores=[answers.of_score(score) for score in turn.scores],
    )


def _step(step: Step) -> StepAnswer:
    span = step.span
    has_failed = span.error_type is not None or span.error_message is not None
    first_ns = span.first_output_ns
    return StepAnswer(
        span_id=span.span_id,
        name=span.name,
        kind=span.kind,
        model=span.model,
        status=span.status,
        error={"type": span.error_type, "message": span.error_message} if has_failed else None,
        start=rfc3339(span.start_ns),
        duration_ms=(span.end_ns - span.start_ns) / 1e6,
        first_output_ms=None if first_ns is None else (first_ns - span.start_ns) / 1e6,
        usage=span.usage,
        cost_usd=span.cost_usd,
        instructions=_messages(step.instructions),
        earlier=_messages(step.earlier),
        asked=_messages(step.asked),
        said=_messages(step.said),
        missing=step.missing,
    )


def _other(span: Span) -> OtherAnswer:
    return OtherAnswer(
        span_id=span.span_id,
        name=span.name,
        kind=span.kind,
        status=span.status,
        start=rfc3339(span.start_ns),
        duration_ms=(span.end_ns - span.start_ns) / 1e6,
    )


def _messages(messages: list[Message]) -> list[Any]:
    return [encode_message(message) for message in messages]
