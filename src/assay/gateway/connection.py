"""A client's connection: uvicorn's, on which requests below `/v1` are answered without ASGI between socket and gateway.

For such a request there are no scope, no messages and no second write for the head of an answer, and the client's departure
is known when its connection is lost. Everything else (reading HTTP, pipelining, keep-alive, shutting down) is uvicorn's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from assay.gateway.exchange import Exchange, Headers, Message
from assay.traces import otlp

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 1 << 20
"""Of a request's line and headers; `x-assay-inputs` may be long."""

CHUNKED = (b"transfer-encoding", b"chunked")
CLOSE = (b"connection", b"close")

TELEMETRY = frozenset(path.encode() for path in otlp.PATHS)

Serve = Callable[[Exchange], Awaitable[None]]


class Connection(HttpToolsProtocol):
    """One connection of the server. `serve` answers what is below `/v1`, the ASGI application of the config the rest."""

    cycle: Any

    def __init__(self, *args: Any, serve: Serve, **options: Any) -> None:
        super().__init__(*args, **options)
        self._serve = serve
        self._in_head = True
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """uvicorn reads a head of any size into memory: count what has come of one that is not complete yet."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It ends; what comes now is a body, whose bound is `max_body_mb`."""
        self._in_head = False
        is_ours = self.url.startswith(b"/v1/") and self.url.partition(b"?")[0] not in TELEMETRY
        if not is_ours or self.parser.get_http_version() != "1.1":
            super().on_headers_complete()
            return
        before, exchange = self.cycle, DirectExchange(self)
        self.cycle = exchange
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self._serve)  # type: ignore[arg-type]
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self._serve))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        """A piece of it came."""
        if isinstance(self.cycle, DirectExchange):
            self.cycle.receives(body)
        else:
            super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever answers on it hears that the client has left."""
        super().connection_lost(exc)
        for cycle in (self.cycle, *[waiting for waiting, _ in self.pipeline]):
            if isinstance(cycle, DirectExchange):
                cycle.departs()


class DirectExchange(Exchange):
    """A request below `/v1`. It stands where the connection expects uvicorn's own request cycle."""

    __slots__ = (
        "_body",
        "_connection",
        "_expects_100",
        "_left",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
    )

    def __init__(self, connection: Connection) -> None:
        raw_path, _, query = connection.url.partition(b"?")
        path = raw_path.decode("ascii", "replace")
        super().__init__(
            connection.parser.get_method().decode("ascii"),
            unquote(path) if "%" in path else path,
            dict(connection.headers),
            query,
        )
        self.keep_alive: bool = connection.parser.should_keep_alive()
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = asyncio.Event()
        self._connection = connection
        self._expects_100 = connection.expect_100_continue
        self._body = bytearray()
        self._left: Callable[[], None] | None = None

    async def run_asgi(self, serve: Serve) -> None:
        """Answer the request: the task that the connection starts."""
        try:
            await serve(self)
        except Exception:
            log.exception("%s %s failed", self.method, self.path)
        finally:
            if not self.response_complete:
                self._connection.transport.close()

    def receives(self, body: bytes) -> None:
        """Called by the connection: a piece of the body came."""
        if self.response_complete:
            return
        self._body += body
        if len(self._body) > HIGH_WATER_LIMIT:
            self._connection.flow.pause_reading()
        self.message_event.set()

    def departs(self) -> None:
        """Called by the connection: the client has left."""
        self.disconnected = True
        if self._left is not None and not self.response_complete:
            self._left()

    def watch(self, left: Callable[[], None]) -> None:
        self._left = left
        if self.disconnected:
            left()

    def unwatch(self) -> None:
        self._left = None

    async def body(self, limit: int) -> bytes:
        if self.more_body or len(self._body) > limit:
            return await super().body(limit)
        return bytes(self._body)

    async def receive(self) -> Message:
        if self._expects_100:
            self._expects_100 = False
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.more_body and not self._body and not self.disconnected:
            self._connection.flow.resume_reading()
            self.message_event.clear()
            await self.message_event.wait()
        if self.disconnected:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A chunk (RFC 9112 §7.1), and the last one."""
        framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        await self._send(framed if more else framed + b"0\r\n\r\n", last=not more)

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        head = self._head(status, headers)
        await self._send(head if self.method == "HEAD" else head + body, last=True)

    async def _begin(self, status: int, headers: Headers) -> None:
        await self._send(self._head(status, [*headers, CHUNKED]), last=False)

    def _head(self, status: int, headers: Headers) -> bytes:
        if not self.keep_alive:
            headers.append(CLOSE)
        lines = [b"%b: %b\r\n" % header for header in headers]
        head = STATUS_LINE[status] + b"".join(lines)
        if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1:
            raise ValueError("a header holds the end of a line")
        return head + b"\r\n"

    async def _send(self, framed: bytes, *, last: bool) -> None:
        flow = self._connection.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected or self.response_complete:
            return
        self._connection.transport.write(framed)
        if last:
            self.response_complete = True
            if not self.keep_alive:
                self._connection.transport.close()
            self._connection.on_response_complete()
