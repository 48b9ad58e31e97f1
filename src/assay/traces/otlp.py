"""OTLP's trace request as values: what was sent, what of it cannot be used and why, and the bounds on both.

`otlp_protobuf` and `otlp_json` read the two encodings. Each span is read by itself: one that cannot be used is named and
the others are kept.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from assay.wire.spans import OtelSpan, SpanEvent, SpanLink

PATHS = frozenset({"/v1/traces", "/v1/logs", "/v1/metrics"})
"""What stands below `/v1` and is not the gateway's."""

MAX_SPANS = 100_000
"""Of one request."""
MAX_ATTRIBUTES = 10_000
"""Of one span, event, link or resource. Instrumentation that flattens messages makes thousands."""
MAX_EVENTS = 10_000
"""Of one span, and so for links."""
MAX_DEPTH = 32
"""Of lists and maps in one value."""
MAX_NAME = 1_000
"""Characters of a span's or an event's name that are kept."""

_LATEST_NS = (1 << 63) - 1


class Unreadable(ValueError):
    """A span, or a whole request, that cannot be read; its text says why."""


class Refused(msgspec.Struct, frozen=True):
    """A span that was left out: where it stood (`resourceSpans[0].scopeSpans[1].spans[7]`), why, and what came."""

    where: str
    reason: str
    payload: bytes

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class Sender(msgspec.Struct, frozen=True):
    """On whose behalf the spans of a request are kept. `imported` marks history, which retention lets alone."""

    project: str
    key_id: str | None = None
    environment: str | None = None
    imported: bool = False


class Reading:
    """What a decoder has found in one request so far."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.spans: list[OtelSpan] = []
        self.refused: list[Refused] = []

    @property
    def count(self) -> int:
        """Spans of the request, good and bad."""
        return len(self.spans) + len(self.refused)

    def admit(self) -> None:
        """Raise `Unreadable` when the request has more spans than it may."""
        if self.count >= MAX_SPANS:
            raise Unreadable(f"A request has at most {MAX_SPANS:,} spans")

    def named(self, limit: int) -> str:
        """The refused spans in words, the first `limit` one by one."""
        shown = "; ".join(map(str, self.refused[:limit]))
        more = len(self.refused) - limit
        return f"{shown}; and {more} more" if more > 0 else shown


def span_of(
    sender: Sender,
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    start_ns: int,
    end_ns: int,
    **rest: Any,
) -> OtelSpan:
    """A span out of fields that have the right types. Raises `Unreadable` when its ids or times cannot be used."""
    if not 0 < start_ns <= _LATEST_NS or end_ns > _LATEST_NS:
        raise Unreadable(f"its times {start_ns} and {end_ns} are no nanoseconds since 1970")
    return OtelSpan(
        trace_id=_identifier(trace_id, 16, "trace id"),
        span_id=_identifier(span_id, 8, "span id"),
        parent_id=_identifier(parent_id, 8, "parent span id") if parent_id.strip(b"\0") else None,
        name=name[:MAX_NAME] or "unknown",
        start_ns=start_ns,
        end_ns=max(start_ns, end_ns),  # a clock that was set back during the span
        project=sender.project,
        environment=sender.environment,
        key_id=sender.key_id,
        imported=sender.imported,
        **rest,
    )


def event_of(name: str, at_ns: int, attributes: dict[str, Any]) -> SpanEvent:
    """An event out of fields that have the right types."""
    return SpanEvent(name[:MAX_NAME], min(at_ns, _LATEST_NS), attributes)


def link_of(trace_id: bytes, span_id: bytes, attributes: dict[str, Any]) -> SpanLink:
    """A link out of fields that have the right types. Raises `Unreadable` when its ids cannot be used."""
    return SpanLink(
        _identifier(trace_id, 16, "trace id of a link"),
        _identifier(span_id, 8, "span id of a link"),
        attributes,
    )


def scope_of(name: str, version: str, schema_url: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """The instrumentation that made a span, without what was not sent."""
    said = {"name": name, "version": version, "schema_url": schema_url, "attributes": attributes}
    return {key: value for key, value in said.items() if value}


def chunks(spans: list[OtelSpan], size: int) -> Iterator[list[OtelSpan]]:
    """The spans in lists of at most `size`, so that no record of the spool is very large."""
    for at in range(0, len(spans), size):
        yield spans[at : at + size]


def _identifier(sent: bytes, length: int, what: str) -> str:
    if len(sent) != length:
        raise Unreadable(f"its {what} has {len(sent)} bytes instead of {length}")
    if not sent.strip(b"\0"):
        raise Unreadable(f"its {what} is all zeros")
    return sent.hex()
