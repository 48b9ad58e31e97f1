"""`span` and `current`: the application's own steps as spans.

Nothing in here may change what the application does: what goes wrong on this side is counted, and said once in the log.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Literal, Self

from opentelemetry import trace as api
from opentelemetry.trace.status import StatusCode

from assay.sdk import labels, running
from assay.sdk.capture import as_json
from assay.sdk.recording import LightSpan
from assay.sdk.running import Running, quietly

Kind = Literal["agent", "task", "tool", "retrieval", "model", "scorer", "other"]
"""What sort of work a span is: the words of Assay's traces."""

KIND, INPUT, OUTPUT, CUT, STATUS = (
    "assay.kind",
    "assay.input",
    "assay.output",
    "assay.truncated",
    "assay.status",
)
"""The attributes. Input and output are JSON text; `assay.status` is `cancelled` for work that was given up."""
_ERROR_TYPE = "error.type"
_OPERATION = {"agent": "invoke_agent", "tool": "execute_tool", "retrieval": "retrieval", "model": "chat"}
_NAME = {"agent": "gen_ai.agent.name", "tool": "gen_ai.tool.name"}
_GIVEN_UP = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
_NOTHING = object()


class Step:
    """A span while its work is done: what `with assay.span(…) as step` gives and `assay.current()` finds.

    Every method works, and does nothing, when the SDK is off.
    """

    __slots__ = ("_attributes", "_given", "_labels", "_on", "_span", "_tokens", "name")

    def __init__(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        labels: tuple[str | None, str | None, Iterable[str]] | None = None,
        given: Any = _NOTHING,
    ) -> None:
        self.name = name
        self._attributes = attributes
        self._labels = labels
        self._given = given
        self._on: Running | None = None
        self._span: api.Span = api.INVALID_SPAN
        self._tokens: tuple[Token[Any] | None, Token[Any] | None] = (None, None)

    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None when nothing is recorded."""
        told = self._span.get_span_context()
        return f"{told.trace_id:032x}" if told.is_valid else None

    @property
    def span_id(self) -> str | None:
        """16 hexadecimal digits; None when nothing is recorded."""
        told = self._span.get_span_context()
        return f"{told.span_id:016x}" if told.is_valid else None

    def set(self, key: str, value: Any) -> Self:
        """Set an attribute: text, a number, a flat list of them, else it is kept as JSON. `gen_ai.*` and OpenTelemetry's
        other names are understood."""
        quietly(self._span.set_attribute, key, value)
        return self

    def input(self, value: Any) -> Self:
        """What the work was given."""
        quietly(self._write, INPUT, value)
        return self

    def output(self, value: Any) -> Self:
        """What came out of it."""
        quietly(self._write, OUTPUT, value)
        return self

    def error(self, error: BaseException) -> Self:
        """Record an exception that was dealt with, and that the work failed."""
        quietly(_record, self._span, error)
        return self

    def begin(self) -> Self:
        """Start the span, and make it current. `with` does it."""
        self._on = running.current()
        if self._on is not None:
            quietly(self._begin, self._on)
        return self

    def end(self, error: BaseException | None = None) -> None:
        """End it, as failed or given up when there is an error. `with` does it."""
        if self._on is not None:
            quietly(self._end, self._on, error)

    def pause(self) -> None:
        """Back to the context before, with the span still open: while a generator waits for its consumer."""
        if self._on is not None:
            quietly(self._leave, self._on)

    def resume(self) -> None:
        """Into the context of the span again."""
        if self._on is not None:
            quietly(self._enter, self._on)

    def __enter__(self) -> Self:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    async def __aenter__(self) -> Self:
        return self.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def _begin(self, on: Running) -> None:
        told = None if self._labels is None else labels.enter(*self._labels)
        self._tokens = (None, told)
        kind = api.SpanKind.CLIENT if self._attributes.get(KIND) == "model" else api.SpanKind.INTERNAL
        self._span = on.start(self.name, kind, self._attributes)
        self._tokens = (on.enter(self._span), told)
        if self._given is not _NOTHING:
            self._write(INPUT, self._given)

    def _enter(self, on: Running) -> None:
        told = None if self._labels is None else labels.enter(*self._labels)
        self._tokens = (on.enter(self._span), told)

    def _leave(self, on: Running) -> None:
        inside, told = self._tokens
        self._tokens = (None, None)
        if inside is not None:
            on.leave(inside)
        if told is not None:
            labels.leave(told)

    def _end(self, on: Running, error: BaseException | None) -> None:
        self._leave(on)
        try:
            if error is not None:
                _record(self._span, error)
        finally:
            self._span.end()

    def _write(self, key: str, value: Any) -> None:
        """Capture a value, bounded and masked, unless capturing is off."""
        if self._on is None or not self._on.configuration.capture or not self._span.is_recording():
            return
        settings = self._on.configuration
        text, cut = as_json(value, settings.max_value_bytes)
        if settings.mask is not None:
            text = _masked(settings.mask, text)
        span = self._span
        (span.keep if isinstance(span, LightSpan) else span.set_attribute)(key, text)
        if cut:
            self._span.set_attribute(CUT, True)


def span(
    name: str,
    *,
    kind: Kind = "other",
    input: Any = _NOTHING,
    attributes: Mapping[str, Any] | None = None,
    session: str | None = None,
    user: str | None = None,
    tags: Iterable[str] = (),
) -> Step:
    """A span around a block: `with assay.span("plan", kind="agent") as step:`, or `async with`.

    An exception that leaves the block is recorded and goes on its way. `session`, `user` and `tags` hold for everything
    inside, as with `assay.session`.
    """
    told = (session, user, tags) if session is not None or user is not None or tags else None
    return Step(name, {**attributes_of(name, kind), **(attributes or {})}, labels=told, given=input)


def current() -> Step:
    """The step we are in, whoever began it; outside any, one that does nothing."""
    found = Step("", {})
    found._on = running.current()
    if found._on is not None:
        found._span = found._on.span()
    return found


def attributes_of(name: str, kind: Kind) -> dict[str, Any]:
    """What a span of this kind says of itself, in Assay's words and OpenTelemetry's."""
    found: dict[str, Any] = {KIND: kind}
    if kind in _OPERATION:
        found["gen_ai.operation.name"] = _OPERATION[kind]
    if kind in _NAME:
        found[_NAME[kind]] = name
    return found


def _record(span: api.Span, error: BaseException) -> None:
    if isinstance(error, _GIVEN_UP):
        span.set_attribute(STATUS, "cancelled")
        return
    span.record_exception(error)
    span.set_attribute(_ERROR_TYPE, type(error).__qualname__)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  an exception of the application's may fail to describe itself
        message = ""
    span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {message}"[:2_000])


def _masked(mask: Any, text: str) -> str:
    """What the application's own function leaves of it; nothing when that fails, rather than the secret."""
    try:
        return str(mask(text))
    except Exception as error:  # noqa: BLE001  the application's own function
        return f'"[the mask failed: {type(error).__name__}]"'
