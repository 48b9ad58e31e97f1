"""From a span as it was sent to the wide row that is kept."""

import logging
from collections.abc import Callable, Sequence

import msgspec

from assay.access.types import ENVIRONMENT
from assay.errors import BadRequest
from assay.kit.names import check_name
from assay.traces.dialects import genai, openinference, own, raw
from assay.traces.dialects.pricing import Pricing
from assay.traces.dialects.types import NOTHING, Meaning, merged
from assay.wire.spans import CALL_KINDS, Event, OtelSpan, Span, SpanKind, SpanStatus

log = logging.getLogger(__name__)

RULES = 1
"""The version of the rules; raise it whenever the same span would become another row."""

_DIALECTS: tuple[tuple[str, Callable[[OtelSpan], bool], Callable[[OtelSpan], Meaning]], ...] = (
    ("genai", genai.speaks, genai.read),
    ("openinference", openinference.speaks, openinference.read),
)
"""By falling precedence: of a column that two of them know, the first one's is kept."""
_PLAIN = "otel"
_UNFORESEEN = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
    msgspec.MsgspecError,
)


class DialectProjector:
    """The collector's `Projector` for foreign spans; all other events pass through."""

    def __init__(self, pricing: Pricing | None = None) -> None:
        self._pricing = pricing

    def project(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events with each `OtelSpan` as the `Span` that it means."""
        return [self._row(event) if isinstance(event, OtelSpan) else event for event in events]

    def _row(self, sent: OtelSpan) -> Span:
        """A span that the rules stumble over is kept without meaning: they will be mended, it cannot be sent again."""
        try:
            dialect, said = meaning(sent)
            return self._made(sent, said, f"{dialect}/{RULES}")
        except _UNFORESEEN as error:
            log.warning("Span %s could not be understood: %s: %s", sent.span_id, type(error).__name__, error)
            return self._made(sent, own.read_plain(sent), f"{_PLAIN}/{RULES}")

    def _made(self, sent: OtelSpan, said: Meaning, mapping: str) -> Span:
        kind = said.kind or SpanKind.OTHER
        is_call = kind in CALL_KINDS
        amount, price_id = (
            self._pricing.cost(said, sent.start_ns) if self._pricing and is_call else (None, None)
        )
        attributes, pieces = raw.kept(sent)
        return Span(
            trace_id=sent.trace_id,
            span_id=sent.span_id,
            parent_id=None if sent.parent_id == sent.span_id else sent.parent_id,
            project=sent.project,
            environment=sent.environment or _environment(said.environment),
            key_id=sent.key_id,
            name=sent.name,
            kind=kind,
            start_ns=sent.start_ns,
            end_ns=sent.end_ns,
            status=said.status or SpanStatus.OK,
            error_type=said.error_type,
            error_message=said.error_message,
            provider=said.provider,
            model=said.model or said.response_model,
            response_model=said.response_model,
            streamed=said.streamed or False,
            first_output_ns=said.first_output_ns,
            finish_reason=said.finish_reason,
            usage=said.usage,
            cost_usd=amount,
            price_id=price_id,
            user_id=said.user,
            session_id=said.session,
            tags=said.tags or (),
            input=said.input or (),
            output=said.output or (),
            tools=said.tools or (),
            request=said.request,
            attributes=attributes,
            raw=pieces,
            imported=sent.imported,
            mapping=mapping,
        )


def meaning(sent: OtelSpan) -> tuple[str, Meaning]:
    """The dialect that a span speaks, and all that it means: Assay's own names before every dialect's, what any span
    says last."""
    spoken = [(name, read(sent)) for name, speaks, read in _DIALECTS if speaks(sent)]
    names = sent.attributes
    own_words = own.read(sent) if any(name.startswith("assay.") for name in names) else NOTHING
    return (
        spoken[0][0] if spoken else _PLAIN,
        merged(own_words, *[said for _, said in spoken], own.read_plain(sent)),
    )


def _environment(said: str | None) -> str:
    """A resource may say anything; what is no name is nobody's environment."""
    try:
        return check_name(said or ENVIRONMENT)
    except BadRequest:
        return ENVIRONMENT
