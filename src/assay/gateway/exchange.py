"""One HTTP exchange: what came in, and the ways to answer. `AsgiExchange` works under any ASGI server;
`assay.gateway.connection` has one that speaks to the socket itself."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from assay.errors import BadRequest, TooLarge

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

DRAIN_S = 10.0
"""How long an upload that is too large is read and thrown away, so that its client hears the 413."""

WATCH_AFTER_S = 0.05
"""A short call is over before watching for its client's departure would pay."""

JSON = (b"content-type", b"application/json")
EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class Exchange(ABC):
    """A request with the means to answer it. `headers` maps names in lower case to the last value sent; `overhead_ms` is
    what Assay added to a call before its answer began, None for what was no call of a model or was not answered."""

    __slots__ = (
        "began_ns",
        "headers",
        "method",
        "out",
        "overhead_ms",
        "path",
        "query",
        "started",
        "trace_id",
    )

    def __init__(self, method: str, path: str, headers: dict[bytes, bytes], query: bytes = b"") -> None:
        self.began_ns = time.perf_counter_ns()
        self.method = method
        self.path = path
        self.query = query.decode("latin-1")
        self.headers = headers
        self.out: Headers = []
        self.trace_id: str | None = None
        self.started = False
        self.overhead_ms: float | None = None

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises `TooLarge` beyond `limit` bytes."""
        message = await self.receive()
        whole: bytes = message.get("body", b"")
        if not message.get("more_body") and len(whole) <= limit:
            return whole
        declared = self.headers.get(b"content-length", b"0")
        parts = bytearray(whole)
        while (
            message.get("more_body")
            and len(parts) <= limit
            and not (declared.isdigit() and int(declared) > limit)
        ):
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("The client left before its body was complete")
            parts += message.get("body", b"")
        if message.get("more_body") or len(parts) > limit:
            await self.drain(message)
            raise TooLarge(
                f"The body is larger than {limit / 2**20:g} MiB",
                hint="Send less, or raise the setting max_body_mb.",
            )
        return bytes(parts)

    async def respond(self, status: int, body: bytes) -> None:
        """A whole answer in JSON."""
        self.started = True
        length = (b"content-length", str(len(body)).encode())
        await self._answer(status, [JSON, length, *self.out], body)

    async def start_events(self) -> None:
        """The head of a streamed answer."""
        self.started = True
        await self._begin(200, [*EVENTS, *self.out])

    async def start(self, content_type: bytes) -> None:
        """The head of an answer of another kind, whose pieces follow."""
        self.started = True
        await self._begin(200, [(b"content-type", content_type), *self.out])

    @abstractmethod
    async def receive(self) -> Message:
        """The next piece of the body, or news that the client has left, as ASGI says it."""

    @abstractmethod
    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A piece of a streamed answer."""

    @abstractmethod
    def watch(self, left: Callable[[], None]) -> None:
        """Call `left` when the client goes away before `unwatch`."""

    @abstractmethod
    def unwatch(self) -> None:
        """The answer is out."""

    @abstractmethod
    async def _answer(self, status: int, headers: Headers, body: bytes) -> None: ...

    @abstractmethod
    async def _begin(self, status: int, headers: Headers) -> None: ...

    async def drain(self, message: Message) -> None:
        """Read on and throw away, so that a client whose body is too large hears of it."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while message.get("more_body"):
                    message = await self.receive()
        except TimeoutError:
            return


class AsgiExchange(Exchange):
    """Over ASGI, where only `receive` tells that the client has left: a task waits for it, if the call takes long enough."""

    __slots__ = ("_receive", "_send", "_timer", "_watcher")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(
            scope["method"], scope["path"], dict(scope["headers"]), scope.get("query_string", b"")
        )
        self._receive = receive
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        return await self._receive()

    async def write(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def watch(self, left: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin_watching, left)

    def unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        await self._begin(status, headers)
        await self.write(body, more=False)

    async def _begin(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _begin_watching(self, left: Callable[[], None]) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch(left))

    async def _watch(self, left: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        left()


class Departure:
    """Cancels the task that answers an exchange when the client goes away."""

    __slots__ = ("_exchange", "_task", "gone")

    def __init__(self, exchange: Exchange) -> None:
        self.gone = False
        self._exchange = exchange
        self._task = asyncio.current_task()
        exchange.watch(self._left)

    def over(self) -> None:
        """The answer is out: stop watching."""
        self._exchange.unwatch()

    def _left(self) -> None:
        self.gone = True
        if self._task is not None:
            self._task.cancel()
