"""Assay's own names, `assay.*`, which its SDK sends and any program may, and what OpenTelemetry says of every span."""

from typing import Any

from assay.traces.dialects import messages, reading
from assay.traces.dialects.reading import Attributes
from assay.traces.dialects.types import Meaning
from assay.wire.spans import OtelSpan, SpanKind, SpanStatus

_KINDS = {kind.value: kind for kind in SpanKind if kind is not SpanKind.ATTEMPT}
_EXCEPTION = "exception"
_ERROR = 2


def read(sent: OtelSpan) -> Meaning:
    """What `assay.*` says: it wins over every other name."""
    said = sent.attributes
    return Meaning(
        kind=_KINDS.get(str(said.get("assay.kind"))),
        status=SpanStatus.CANCELLED if said.get("assay.status") == "cancelled" else None,
        session=reading.label(said, "assay.session"),
        user=reading.label(said, "assay.user"),
        tags=reading.labels(said, "assay.tags"),
        input=_content(said, "assay.input") or None,
        output=_content(said, "assay.output") or None,
    )


def _content(said: Attributes, name: str) -> tuple[bytes, ...]:
    """A list of chat messages is kept message by message, anything else as one value."""
    sent = said.get(name)
    found = reading.decoded(sent) if isinstance(sent, str) else sent
    if isinstance(found, list) and found and all(_is_message(item) for item in found):
        return tuple(messages.from_parts(found))
    content = reading.content(sent)
    return () if content is None else (content,)


def _is_message(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("role"), str)
        and ("content" in item or "parts" in item)
    )


def read_plain(sent: OtelSpan) -> Meaning:
    """What any span says: errors, session, user, environment."""
    said = sent.attributes
    has_failed = sent.status_code == _ERROR
    raised = next((event.attributes for event in reversed(sent.events) if event.name == _EXCEPTION), {})
    return Meaning(
        kind=SpanKind.OTHER,
        status=SpanStatus.ERROR if has_failed else SpanStatus.OK,
        error_type=(reading.text(said, "error.type") or reading.text(raised, "exception.type"))
        if has_failed
        else None,
        error_message=(sent.status_message or reading.text(raised, "exception.message"))
        if has_failed
        else None,
        environment=reading.text(
            sent.resource, "deployment.environment.name", "deployment.environment", "assay.environment"
        ),
        session=reading.label(said, "session.id") or reading.label(sent.resource, "session.id"),
        user=reading.label(said, "user.id", "enduser.id") or reading.label(sent.resource, "user.id"),
        tags=reading.labels(said, "tag.tags"),
    )
