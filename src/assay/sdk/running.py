"""What `assay.init` started in this process: where spans go, and which tracer makes them.

There is at most one. Everything in the SDK asks `current()` and does nothing, or what can be done without a server, when
there is none.
"""

import atexit
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import msgspec
from opentelemetry import context as otel_context
from opentelemetry import trace as api
from opentelemetry.trace.propagation import get_current_span, set_span_in_context

from assay.errors import Unusable
from assay.sdk import labels
from assay.sdk.asking import Asking
from assay.sdk.configuration import Configuration
from assay.sdk.outbox import Counts, Outbox
from assay.sdk.prompt_cache import Prompt, Prompts
from assay.sdk.recording import LightProvider, LightSpan

P = ParamSpec("P")
R = TypeVar("R")

_VERSION: str = sys.modules["assay"].__version__

logger = logging.getLogger("assay")


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the SDK is doing. `reachable` is None until something was sent; `joined` says that spans are made by the
    application's own OpenTelemetry provider."""

    active: bool = False
    url: str | None = None
    reachable: bool | None = None
    joined: bool = False
    last_error: str | None = None
    faults: int = 0
    """times that something in the SDK itself failed since `assay.init`"""
    spans: Counts = Counts()
    scores: Counts = Counts()


class Running:
    """One `assay.init`."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.outbox = Outbox(configuration, _resource(configuration))
        self._apart: ContextVar[LightSpan | None] | None = (
            None if configuration.join else ContextVar("assay_span", default=None)
        )
        self.provider: api.TracerProvider = LightProvider(
            self.outbox, limit=configuration.max_value_bytes, apart=self._apart
        )
        self._tracer: api.Tracer = self.provider.get_tracer("assay", _VERSION)
        self.joined: api.TracerProvider | None = None
        if configuration.make_global:
            api.set_tracer_provider(self.provider)
        self._join()
        self.asking = Asking(configuration, self.headers)
        self.prompts = Prompts(self.asking.get, noted=self._rendered)
        atexit.register(self.close)

    def start(self, name: str, kind: api.SpanKind, attributes: Mapping[str, Any] | None = None) -> api.Span:
        """A span under the current one. Where that is not ours, the application may have set up OpenTelemetry meanwhile."""
        if self._apart is None and self.joined is None and not isinstance(get_current_span(), LightSpan):
            self._join()
        return self._tracer.start_span(name, kind=kind, attributes=attributes)

    def span(self) -> api.Span:
        """The current span."""
        return (self._apart.get() if self._apart is not None else None) or get_current_span()

    def enter(self, span: api.Span) -> Token[Any]:
        """Make it the current one."""
        if self._apart is not None and isinstance(span, LightSpan):
            return self._apart.set(span)
        return otel_context.attach(set_span_in_context(span))

    def leave(self, token: Token[Any]) -> None:
        """Back to what was current before."""
        # A generator that was begun in one context and is ended in another has nothing to go back to.
        with suppress(ValueError):
            token.var.reset(token)

    def headers(self) -> dict[str, str]:
        """What a request to the server says of the current span and whose work it is."""
        made = labels.labels().headers
        known = self.span().get_span_context()
        if known.is_valid:
            made["traceparent"] = f"00-{known.trace_id:032x}-{known.span_id:016x}-{known.trace_flags & 1:02x}"
            if known.trace_state:
                made["tracestate"] = known.trace_state.to_header()
        if self.configuration.environment is not None:
            made["x-assay-environment"] = self.configuration.environment
        return made

    def close(self) -> None:
        """Send what is left, within the time set for it."""
        atexit.unregister(self.close)
        self.outbox.close(self.configuration.exit_timeout_s)
        self.asking.close()

    def forked(self) -> None:
        """In a child: connections are the parent's, and what it had asked is answered there."""
        self.asking.forget()
        self.prompts.forked()

    def status(self) -> Status:
        """How it is doing."""
        spans, scores = self.outbox.counts()
        return Status(
            active=True,
            url=self.configuration.url,
            reachable=self.outbox.reachable,
            joined=self.joined is not None,
            last_error=self.outbox.last_error,
            faults=_faults,
            spans=spans,
            scores=scores,
        )

    def _rendered(self, prompt: Prompt) -> None:
        """Say on the current span which prompt it used."""
        span = self.span()
        if span.is_recording():
            span.set_attribute("assay.prompt.name", prompt.name)
            if prompt.version is not None:
                span.set_attribute("assay.prompt.version", prompt.version)

    def _join(self) -> None:
        """From now on let the application's own provider make our spans, if it has one, and hear of all that it makes."""
        found: Any = api.get_tracer_provider()
        if self.configuration.join and hasattr(found, "add_span_processor"):
            joining = import_module(
                "assay.sdk.joining"
            )  # needs opentelemetry-sdk, which is there when its provider is
            joining.join(found, self.outbox, self.configuration.keep)
            self.joined = found
            self._tracer = found.get_tracer("assay", _VERSION)
            self.outbox.describe(found.resource.attributes)


def current() -> Running | None:
    """What runs, if anything does."""
    return _running


def required() -> Running:
    """What runs. Raises `Unusable` before `assay.init`."""
    if _running is None:
        raise Unusable(
            "assay.init has not been called, or was given neither address nor key",
            hint='Call assay.init(url="…", key="…") first, or set ASSAY_URL and ASSAY_KEY.',
        )
    return _running


def replace(running: Running | None) -> None:
    """Put another in its place, with a count of faults of its own; the one before is closed."""
    global _running, _faults
    before, _running, _faults = _running, running, 0
    if before is not None:
        before.close()


def quietly(do: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R | None:
    """Do it; what goes wrong is a fault of ours, not the application's: said once in the log, counted in `status`."""
    global _faults
    try:
        return do(*arguments, **options)
    except Exception:
        _faults += 1
        if _faults == 1:
            logger.warning("Recording failed; further failures are only counted.", exc_info=True)
        return None


def _after_fork() -> None:
    if _running is not None:
        _running.forked()


_running: Running | None = None
_faults = 0
os.register_at_fork(after_in_child=_after_fork)


def _resource(configuration: Configuration) -> dict[str, Any]:
    """Who sends, in OpenTelemetry's words."""
    found: dict[str, Any] = {
        "service.name": configuration.service,
        "process.pid": os.getpid(),
        "telemetry.sdk.name": "assay",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": _VERSION,
        **configuration.resource,
    }
    if configuration.environment is not None:
        found["deployment.environment.name"] = configuration.environment
    return found
