"""Spans that cost a few microseconds, behind OpenTelemetry's own interface.

They stand in OpenTelemetry's context like any other span, so what other libraries record nests under them and they under
it. What an ended span is to those who send it is `Ended`; whoever takes it is a `Sink`.
"""

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.trace.propagation import get_current_span
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util._decorator import _agnosticcontextmanager
from typing_extensions import override

from assay.kit import ids
from assay.sdk import labels
from assay.sdk.capture import as_json

MAX_ATTRIBUTES = 256
MAX_EVENTS = 128
MAX_STACK = 16_000
"""Characters of a stack trace, the innermost frames last."""

Scope = tuple[str, str | None]
"""Name and version of the library that made a span."""

Parentage = tuple[str, str | None, api.TraceState | None]
"""Trace, parent and state of a span that begins."""

_PLAIN = frozenset({int, float, bool})
_SAMPLED = api.TraceFlags(api.TraceFlags.SAMPLED)


class Event(Protocol):
    """Something that happened at one moment of a span."""

    @property
    def name(self) -> str: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def attributes(self) -> Mapping[str, Any] | None: ...


class Ended(Protocol):
    """A span when it is over. Times are nanoseconds since the epoch, ids hexadecimal."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    kind: api.SpanKind
    start_ns: int
    end_ns: int
    status: StatusCode
    status_message: str | None
    scope: Scope

    @property
    def attributes(self) -> Mapping[str, Any]: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def links(self) -> Sequence[api.Link]: ...


class Sink(Protocol):
    """Who takes ended spans. Never blocks, never raises."""

    def offer(self, span: Ended) -> None: ...


class Happening:
    """An event of our own spans."""

    __slots__ = ("attributes", "name", "timestamp")

    def __init__(self, name: str, timestamp: int, attributes: Mapping[str, Any] | None) -> None:
        self.name = name
        self.timestamp = timestamp
        self.attributes = attributes


class LightSpan(api.Span):
    """A span of ours. Recorded in this process from start to end, then given to the sink once."""

    __slots__ = (
        "_began", "_limit", "_sink", "_told", "attributes", "end_ns", "events", "kind", "links", "name", "parent_id",
        "scope", "span_id", "start_ns", "status", "status_message", "trace_id", "trace_state",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        trace_id: str,
        parent_id: str | None,
        trace_state: api.TraceState | None,
        kind: api.SpanKind,
        start_ns: int | None,
        scope: Scope,
        limit: int,
        sink: Sink,
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = ids.span_id()
        self.parent_id = parent_id
        self.trace_state = trace_state
        self.kind = kind
        self.scope = scope
        self.attributes: dict[str, Any] = {}
        self.events: list[Happening] = []
        self.links: list[api.Link] = []
        self.status = StatusCode.UNSET
        self.status_message: str | None = None
        self.end_ns = 0
        self._told: api.SpanContext | None = None
        self._limit = limit
        self._sink = sink
        self.start_ns = time.time_ns() if start_ns is None else start_ns
        self._began = time.perf_counter_ns()

    @override
    def end(self, end_time: int | None = None) -> None:
        if not self.end_ns:
            # By the monotonic clock: the wall clock may be set while the span is open.
            self.end_ns = end_time or self.start_ns + time.perf_counter_ns() - self._began
            self._sink.offer(self)

    @override
    def get_span_context(self) -> api.SpanContext:
        if self._told is None:
            self._told = api.SpanContext(
                int(self.trace_id, 16), int(self.span_id, 16), False, _SAMPLED, self.trace_state
            )
        return self._told

    @override
    def is_recording(self) -> bool:
        return not self.end_ns

    @override
    def set_attribute(self, key: str, value: Any) -> None:
        if self.end_ns or (len(self.attributes) >= MAX_ATTRIBUTES and key not in self.attributes):
            return
        kind = type(value)
        if kind is str:
            self.attributes[key] = value if len(value) <= self._limit else value[: self._limit]
        elif kind in _PLAIN:
            self.attributes[key] = value
        elif value is not None:
            self.attributes[key] = _cleaned(value, self._limit)

    def keep(self, key: str, text: str) -> None:
        """Set text that is bounded already."""
        if not self.end_ns:
            self.attributes[key] = text

    @override
    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    @override
    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if not self.end_ns and len(self.events) < MAX_EVENTS:
            cleaned = {key: _cleaned(value, self._limit) for key, value in (attributes or {}).items()}
            self.events.append(Happening(name, timestamp or time.time_ns(), cleaned))

    @override
    def add_link(self, context: api.SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if not self.end_ns and len(self.links) < MAX_EVENTS:
            self.links.append(api.Link(context, attributes))

    @override
    def update_name(self, name: str) -> None:
        if not self.end_ns:
            self.name = name

    @override
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        code, message = (
            (status.status_code, status.description) if isinstance(status, Status) else (status, description)
        )
        if not self.end_ns and code is not StatusCode.UNSET and self.status is not StatusCode.OK:
            self.status = code
            self.status_message = message if code is StatusCode.ERROR else None

    @override
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self.add_event("exception", {**exception_attributes(exception), **(attributes or {})}, timestamp)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception):
            self.record_exception(error)
            self.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self.end()


class LightTracer(api.Tracer):
    """Starts our spans under whatever span is current."""

    def __init__(
        self, scope: Scope, sink: Sink, *, limit: int, apart: "ContextVar[LightSpan | None] | None"
    ) -> None:
        """`limit` bounds text in attributes. With `apart`, the parent is looked up there first."""
        self._scope = scope
        self._sink = sink
        self._limit = limit
        self._apart = apart

    @override
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: api.SpanKind = api.SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[api.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> LightSpan:
        parent = self._parent(context)
        if type(parent) is LightSpan:
            under: Parentage = parent.trace_id, parent.span_id, parent.trace_state
        else:
            under = self._adopted(parent)
        trace_id, parent_id, state = under
        span = LightSpan(
            name,
            trace_id=trace_id,
            parent_id=parent_id,
            trace_state=state,
            kind=kind,
            start_ns=start_time,
            scope=self._scope,
            limit=self._limit,
            sink=self._sink,
        )
        if (told := labels.attributes()) is not None:
            span.attributes.update(told)
        if attributes:
            span.set_attributes(attributes)
        if links:
            span.links = list(links)[:MAX_EVENTS]
        return span

    @override
    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: api.SpanKind = api.SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[api.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[api.Span]:
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with api.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span

    def _parent(self, context: Context | None) -> api.Span:
        if self._apart is not None and context is None:
            return self._apart.get() or get_current_span()
        return get_current_span(context)

    def _adopted(self, parent: api.Span) -> Parentage:
        """Trace, parent and state under a span of somebody else; apart from them, of their trace and without parent."""
        known = parent.get_span_context()
        if not known.is_valid:
            return ids.uuid7_hex(), None, None
        parent_id = None if self._apart is not None and not known.is_remote else f"{known.span_id:016x}"
        return f"{known.trace_id:032x}", parent_id, known.trace_state


class LightProvider(api.TracerProvider):
    """What other libraries' instrumentation asks for a tracer whose spans come to Assay."""

    def __init__(self, sink: Sink, *, limit: int, apart: ContextVar[LightSpan | None] | None = None) -> None:
        self._sink = sink
        self._limit = limit
        self._apart = apart

    @override
    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> LightTracer:
        return LightTracer(
            (instrumenting_module_name, instrumenting_library_version),
            self._sink,
            limit=self._limit,
            apart=self._apart,
        )


def exception_attributes(error: BaseException) -> dict[str, str]:
    """OpenTelemetry's attributes of an exception."""
    kind = type(error)
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    try:
        message, stack = str(error), "".join(traceback.format_exception(error, limit=-30))
    except Exception as inner:  # noqa: BLE001  an exception of the application's may fail to describe itself
        message, stack = f"[could not be read: {type(inner).__name__}]", ""
    return {
        "exception.type": f"{module}{kind.__qualname__}",
        "exception.message": message,
        "exception.stacktrace": stack[-MAX_STACK:],
    }


def _cleaned(value: Any, limit: int) -> Any:
    """What an attribute may hold: text, numbers, bytes and flat lists of one kind of them; anything else as JSON."""
    if isinstance(value, str):
        return value[:limit]
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return value[:limit]
    if isinstance(value, list | tuple) and all(isinstance(each, str | bool | int | float) for each in value):
        return tuple(each[:limit] if isinstance(each, str) else each for each in value[:limit])
    return as_json(value, limit)[0]
