"""Across processes: what an outgoing request says of the span it belongs to, and how an incoming one is continued.

Nothing is patched. A client takes part when it is given `propagate` as an event hook, or `headers()` by hand; only
requests to the Assay server get anything.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import unquote

from opentelemetry import context as otel_context
from opentelemetry import trace as api
from opentelemetry.trace.propagation import set_span_in_context

from assay.sdk import labels, running
from assay.sdk.running import quietly

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Of a request, as frameworks hand them over: a mapping, or pairs as in an ASGI scope."""


class _Address(Protocol):
    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...


class Request(Protocol):
    """What is needed of a request of httpx, or of its kin in the official clients."""

    @property
    def url(self) -> _Address: ...
    @property
    def headers(self) -> MutableMapping[str, str]: ...


class _Done:
    """Nothing to wait for: lets one hook serve clients that call it and clients that await it."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()


_DONE = _Done()
_DEFAULT_PORTS = {"http": 80, "https": 443}


def headers() -> dict[str, str]:
    """Headers that make a request part of the current span: W3C `traceparent`, and session, user and tags for Assay.

    For clients that take headers per request: `client.chat.completions.create(…, extra_headers=assay.headers())`. Empty
    when the SDK is off.
    """
    on = running.current()
    return {} if on is None else quietly(on.headers) or {}


def propagate(request: Request) -> _Done:
    """An event hook for httpx clients, sync and async: `event_hooks={"request": [assay.propagate]}`.

    Adds `headers()` to requests that go to the Assay server; what a request says already stays. Requests to anybody else
    are left alone.
    """
    quietly(_propagate, request)
    return _DONE


@contextmanager
def continue_trace(headers: Headers) -> Iterator[None]:
    """Everything inside the block belongs to the trace, session, user and tags that the headers of an incoming request
    name. For requests of one's own services: whoever writes the headers chooses the session and user."""
    found = quietly(_lowered, headers) or {}
    on = running.current()
    match = _TRACEPARENT.fullmatch(found.get("traceparent", ""))
    token = None
    if on is not None and match is not None and (parent := _remote(match)).is_valid:
        token = otel_context.attach(set_span_in_context(api.NonRecordingSpan(parent)))
    session, user, tags = (found.get(f"x-assay-{name}") for name in ("session", "user", "tags"))
    told = labels.enter(
        unquote(session) if session else None,
        unquote(user) if user else None,
        [tag.strip() for tag in unquote(tags).split(",") if tag.strip()] if tags else [],
    )
    try:
        yield
    finally:
        labels.leave(told)
        if on is not None and token is not None:
            on.leave(token)


def _propagate(request: Request) -> None:
    on = running.current()
    if on is None:
        return
    url = request.url
    if (url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)) != on.configuration.origin:
        return
    for name, value in on.headers().items():
        if name not in request.headers:
            request.headers[name] = value


def _lowered(headers: Headers) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {_word(name).lower(): _word(value) for name, value in pairs}


def _word(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _remote(match: re.Match[str]) -> api.SpanContext:
    return api.SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=api.TraceFlags(int(match[3], 16))
    )
