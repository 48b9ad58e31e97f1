"""One HTTP/1.1 connection to an upstream, on the event loop itself: no thread to hand a call to and take it back from.

llhttp (through httptools) reads what comes; what it may mean for a call is decided here. A connection carries one exchange
at a time. It goes back to its pool only after an answer that ended where it said it would; whatever is unexpected (bytes that
nobody asked for, a head without end) closes it, so that no answer can reach the wrong call.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol, cast

import httptools

from assay.errors import Upstream, UpstreamCut, UpstreamDown

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""Of an answer that is read whole."""
MAX_HEAD_BYTES = 256 * 1024
PAUSE_BYTES = 1024 * 1024
"""An answer whose reader is slow stops being received at this many unread bytes."""

_NO_BODY = frozenset((204, 304))
_ENCODING = b"content-encoding"
_ENCODING_LENGTH = len(_ENCODING)
_PACKED = frozenset((b"gzip", b"x-gzip", b"deflate"))
_ANY_ZLIB = 47
"""zlib tells gzip from deflate by itself."""


class Unpacker(Protocol):
    """What `zlib.decompressobj` makes."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


class Stale(UpstreamDown):
    """A connection that had been used before was closed without a word: the server had let go of it meanwhile."""


class Answer:
    """What an upstream answers on one connection; see `HttpResponse`."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_fields",
        "_unpack",
        "_unread",
        "complete",
        "error",
        "status",
        "waiter",
    )

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        self.complete = False
        self.error: Upstream | None = None
        self.waiter: asyncio.Future[None] | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._unread = 0
        self._unpack: Unpacker | None = None
        self._connection = connection

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._fields}

    async def head(self) -> None:
        """Wait until status and headers are there. Raises an `Upstream` error when they will not come."""
        while not self.status:
            if self.error is not None:
                raise self.error
            await self._wait()

    async def read(self) -> bytes:
        """See `HttpResponse.read`."""
        while not self.complete:
            if self.error is not None:
                raise self.error
            if self._unread > MAX_ANSWER_BYTES:
                await self.aclose()
                raise Upstream(f"The answer is larger than {MAX_ANSWER_BYTES} bytes")
            self._connection.resume()
            await self._wait()
        return self._take()

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `HttpResponse.chunks`."""
        while True:
            if self._chunks:
                yield self._take()
            elif self.complete:
                return
            elif self.error is not None:
                raise self.error
            else:
                await self._wait()

    async def aclose(self) -> None:
        """Cut what has not ended yet."""
        if not self.complete:
            self._connection.abort()

    def begins(self, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Called by the connection: the head is there."""
        self.status, self._fields = status, fields
        for name, value in fields:
            if len(name) == _ENCODING_LENGTH and name.lower() == _ENCODING and value.lower() in _PACKED:
                self._unpack = zlib.decompressobj(
                    _ANY_ZLIB
                )  # nobody asked for it; some servers do it all the same
        self._wake()

    def receives(self, chunk: bytes) -> None:
        """Called by the connection: a piece of the body came."""
        if self._unpack is not None:
            chunk = self._unpack.decompress(chunk)
        self._chunks.append(chunk)
        self._unread += len(chunk)
        if self._unread > PAUSE_BYTES:
            self._connection.pause()
        self._wake()

    def ends(self, error: Upstream | None = None) -> None:
        """Called by the connection: nothing more will come."""
        if error is None and self._unpack is not None and not self._unpack.eof:
            error = UpstreamCut(f"{self._connection.where} packed its answer, and not to its end")
        if error is None:
            self.complete = True
        else:
            self.error = error
        self._wake()

    @property
    def lasts_until_closed(self) -> bool:
        """Whether closing the connection is how this answer ends (RFC 9112 §6.3, the last case)."""
        framed = {name.lower() for name, _ in self._fields} & {b"content-length", b"transfer-encoding"}
        return bool(self.status) and self.status not in _NO_BODY and not framed

    def _take(self) -> bytes:
        taken = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        self._connection.resume()
        return taken

    async def _wait(self) -> None:
        self.waiter = self._connection.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Connection(asyncio.Protocol):
    """`on_idle` is called when an exchange has ended and another may follow, `on_lost` when the connection is gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        where: str,
        on_idle: Callable[["Connection"], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self.loop = loop
        self.where = where
        self.idle_since = 0.0
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._used = False
        self._paused = False
        self._interim = False
        self._head_bytes = 0
        self._answer: Answer | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request. The connection must be open and idle."""
        assert self._transport is not None, "connected"
        assert self._answer is None, "one exchange at a time"
        answer = self._answer = Answer(self)
        self._head_bytes = 0
        if len(body) < 65536:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return answer

    def abort(self) -> None:
        """Close at once; the upstream sees it and may stop working."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Receive no more for now."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Receive again."""
        if self._paused and self._transport is not None:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.abort()
            return
        if not answer.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break(answer, f"sent what is not HTTP: {error}")
            return
        if not answer.status and self._head_bytes > MAX_HEAD_BYTES:
            self._break(answer, f"sent a head larger than {MAX_HEAD_BYTES} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.ends(self._lost(answer, exc))
        self._on_lost(self)

    # What llhttp calls

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.abort()  # an answer to nothing

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        fields, self._fields = self._fields, []
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._answer is not None and not self._interim:
            self._answer.begins(status, fields)

    def on_body(self, body: bytes) -> None:
        if self._answer is not None:
            self._answer.receives(body)

    def on_message_complete(self) -> None:
        if self._interim:
            return
        self._fields.clear()  # a trailer says nothing that Assay reads
        answer, self._answer = self._answer, None
        if answer is None:
            return
        self._used = True
        self.resume()
        if self._parser.should_keep_alive() and self.is_open:
            self._on_idle(self)
        elif self._transport is not None:
            self._transport.close()
        answer.ends()

    def _lost(self, answer: Answer, exc: Exception | None) -> Upstream | None:
        reason = str(exc) if exc else "it closed the connection"
        if answer.status:
            if exc is None and answer.lasts_until_closed:
                return None
            return UpstreamCut(f"{self.where} stopped in the middle of its answer: {reason}")
        kind = Stale if self._used and not self._head_bytes else UpstreamDown
        return kind(f"{self.where} did not answer: {reason}", hint="Is it running, and is base_url right?")

    def _break(self, answer: Answer, problem: str) -> None:
        self._answer = None
        kind = UpstreamCut if answer.status else Upstream
        answer.ends(kind(f"{self.where} {problem}", hint="Is base_url the address of an HTTP API?"))
        self.abort()
