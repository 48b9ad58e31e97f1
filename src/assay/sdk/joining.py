"""Beside an OpenTelemetry SDK that the application has set up: hear of its spans without taking anything from it.

Imported only when such a provider is found, for it needs `opentelemetry-sdk`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.status import StatusCode
from typing_extensions import override

from assay.sdk import labels
from assay.sdk.outbox import Outbox
from assay.sdk.recording import Event, Scope
from assay.sdk.running import quietly


class Overheard:
    """A span of the application's provider, as `recording.Ended`."""

    __slots__ = (
        "attributes", "end_ns", "events", "kind", "links", "name", "parent_id", "scope", "span_id", "start_ns", "status",
        "status_message", "trace_id",
    )  # fmt: skip

    def __init__(self, span: ReadableSpan) -> None:
        told, scope = cast("SpanContext", span.get_span_context()), span.instrumentation_scope
        self.name: str = span.name
        self.trace_id: str = f"{told.trace_id:032x}"
        self.span_id: str = f"{told.span_id:016x}"
        self.parent_id: str | None = f"{span.parent.span_id:016x}" if span.parent else None
        self.kind: SpanKind = span.kind
        self.start_ns: int = span.start_time or 0
        self.end_ns: int = span.end_time or 0
        self.attributes: Mapping[str, Any] = span.attributes or {}
        self.events: Sequence[Event] = span.events
        self.links: Sequence[Link] = span.links
        self.status: StatusCode = span.status.status_code
        self.status_message: str | None = span.status.description
        self.scope: Scope = (scope.name, scope.version) if scope else ("", None)


class Listener(SpanProcessor):
    """One of the provider's own span processors: puts session, user and tags on spans that start, and those that end and
    were sampled into the outbox."""

    def __init__(self, outbox: Outbox, keep: Callable[[ReadableSpan], bool] | None) -> None:
        self._outbox = outbox
        self._keep = keep

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if (told := labels.attributes()) is not None:
            quietly(span.set_attributes, told)

    @override
    def on_end(self, span: ReadableSpan) -> None:
        quietly(self._hear, span)

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._outbox.flush(timeout_millis / 1000)

    def _hear(self, span: ReadableSpan) -> None:
        told = span.get_span_context()
        if told is None or not told.trace_flags.sampled:
            return
        try:
            kept = self._keep is None or self._keep(span)
        except Exception:  # noqa: BLE001  the application's own function; a span too many is better than none
            kept = True
        if kept:
            self._outbox.offer(Overheard(span))


def join(provider: TracerProvider, outbox: Outbox, keep: Callable[[ReadableSpan], bool] | None) -> None:
    """Have the provider tell the outbox. Its own exporters, sampler and limits stay as they are."""
    provider.add_span_processor(Listener(outbox, keep))
