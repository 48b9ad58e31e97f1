"""One HTTP exchange over ASGI: what came in, and the ways to answer."""

import asyncio
import time
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

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_FRESH = (b"cache-control", b"no-cache")
_UNBUFFERED = (b"x-accel-buffering", b"no")


class Exchange:
    """A request with the means to answer it. `headers` maps names in lower case to the last value sent."""

    __slots__ = ("began_ns", "headers", "method", "out", "path", "receive", "send", "started", "trace_id")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began_ns = time.perf_counter_ns()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.send = send
        self.out: Headers = []
        self.trace_id: str | None = None
        self.started = False

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
            await self._drain(message)
            raise TooLarge(
                f"The body is larger than {limit / 2**20:g} MiB",
                hint="Send less, or raise the setting max_body_mb.",
            )
        return bytes(parts)

    async def respond(self, status: int, body: bytes) -> None:
        """A whole answer in JSON."""
        self.started = True
        length = (b"content-length", str(len(body)).encode())
        await self.send(
            {"type": "http.response.start", "status": status, "headers": [_JSON, length, *self.out]}
        )
        await self.send({"type": "http.response.body", "body": body})

    async def start_events(self) -> None:
        """The head of a streamed answer."""
        self.started = True
        headers = [_EVENTS, _FRESH, _UNBUFFERED, *self.out]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A piece of a streamed answer."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def _drain(self, message: Message) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                while message.get("more_body"):
                    message = await self.receive()
        except TimeoutError:
            return


class Departure:
    """Watches for the client going away, and then cancels the task that answers it.

    A short call is over before the watch would pay, so it begins after `after_s`.
    """

    __slots__ = ("_exchange", "_task", "_timer", "_watcher", "gone")

    def __init__(self, exchange: Exchange, *, after_s: float) -> None:
        self._exchange = exchange
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(after_s, self._begin)
        self.gone = False

    def over(self) -> None:
        """The answer is out: stop watching."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()
