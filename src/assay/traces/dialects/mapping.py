"""From a span as it was sent to the wide row that is kept."""

from collections.abc import Sequence
from typing import Any

from assay.access.types import ENVIRONMENT
from assay.wire.spans import Event, OtelSpan, Span, SpanKind, SpanStatus

RULES = 1
"""The version of the rules; raise it whenever the same span would become another row."""

_ERROR = 2


class DialectProjector:
    """The collector's `Projector` for foreign spans; all other events pass through."""

    def project(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events with each `OtelSpan` as the `Span` that it means."""
        return [_plain(event) if isinstance(event, OtelSpan) else event for event in events]


def _plain(sent: OtelSpan) -> Span:
    failed = sent.status_code == _ERROR
    attributes: dict[str, Any] = dict(sent.attributes)
    return Span(
        trace_id=sent.trace_id,
        span_id=sent.span_id,
        parent_id=sent.parent_id,
        project=sent.project,
        environment=sent.environment or ENVIRONMENT,
        key_id=sent.key_id,
        name=sent.name,
        kind=SpanKind.OTHER,
        start_ns=sent.start_ns,
        end_ns=sent.end_ns,
        status=SpanStatus.ERROR if failed else SpanStatus.OK,
        error_message=sent.status_message or None if failed else None,
        attributes=attributes,
    )
