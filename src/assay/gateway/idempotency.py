"""`Idempotency-Key`: what is asked twice under one key is asked of the model once.

The first request is answered by a task of its own, into a recording; whoever asked follows the recording as it grows, and so
does a duplicate that comes meanwhile. The task goes on when they leave: a client that sends a key means to come back. What
was recorded is kept for a day (`calls.cache_shelf`: in memory, and in a log on the disk before its last byte goes out) and
told again, byte for byte, to whoever comes later with the same key.

Only what is final is kept: a whole answer, a stream that came to its end, a refusal by the upstream that would be the same
again. After anything else the next request with the key is a fresh one.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable

import msgspec

from assay.access import Principal
from assay.calls.cache_log import Place
from assay.calls.cache_shelf import Shelf
from assay.calls.plan import is_retried
from assay.errors import AssayError, BadRequest, KeyReused, Unavailable, UpstreamRefused
from assay.gateway.calling import check_may_call
from assay.gateway.exchange import Departure, Exchange, Headers, Message
from assay.gateway.refusals import refuse, unexpected

log = logging.getLogger(__name__)

HEADER = b"idempotency-key"
KEPT_S = 86_400.0
"""How long an answer is told again."""
MAX_KEY = 255
"""Characters of a key."""

PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/moderations",
        "/v1/rerank",
        "/v1/responses",
    }
)
"""Where a model is called. Elsewhere the header means nothing."""

_KEY = re.compile(rb"[\x21-\x7e]+\Z")
_STEERING = (
    b"x-assay-environment",
    b"x-assay-inputs",
    b"anthropic-version",
    b"anthropic-beta",
)
"""Headers without which the same body is another question."""
_REPLAYED = (b"x-assay-idempotent-replay", b"true")
_OWN_TIME = b"x-assay-overhead-ms"

Endpoint = Callable[[Exchange, Principal], Awaitable[None]]


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it lies on the shelf."""

    fingerprint: bytes
    status: int
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    is_stream: bool


_encode = msgspec.msgpack.Encoder().encode
_kept = msgspec.msgpack.Decoder(_Kept)


class Replays:
    """The recordings of one gateway."""

    def __init__(self, shelf: Shelf, *, max_body_bytes: int) -> None:
        self.shelf = shelf
        self.replayed = 0
        self._max_body_bytes = max_body_bytes
        self._running: dict[bytes, _Recording] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, exchange: Exchange, principal: Principal, endpoint: Endpoint) -> None:
        """Answer with what is kept or being recorded under the key, else call `endpoint`.

        Raises `BadRequest` for a key that is none, and `KeyReused` when it stands for another request.
        """
        check_may_call(principal)
        key = exchange.headers[HEADER]
        if len(key) > MAX_KEY or _KEY.match(key) is None:
            raise BadRequest(
                f"The idempotency key must be 1 to {MAX_KEY} printable ASCII characters without spaces",
                param="Idempotency-Key",
                hint="A UUID of its own for every request does.",
            )
        body = await exchange.body(self._max_body_bytes)
        scope = hashlib.sha256(principal.project.encode() + b"\0" + key).digest()
        fingerprint = _fingerprint(exchange, principal, body)
        while True:
            recording = self._running.get(scope)
            if recording is not None:
                await self._follow(exchange, _same(recording, fingerprint), is_replay=True)
                return
            found = self.shelf.find(scope)
            if found is None:
                break
            value = await self.shelf.read(scope, found) if isinstance(found, Place) else found
            if value is not None:
                await self._follow(exchange, _recorded(value, fingerprint), is_replay=True)
                return
        recording = self._running[scope] = _Recording(fingerprint)
        recorder = _Recorder(exchange, body, recording)
        task = asyncio.create_task(self._record(recorder, scope, principal, endpoint))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self._follow(exchange, recording, is_replay=False)
        exchange.overhead_ms = recorder.overhead_ms

    async def aclose(self) -> None:
        """End what nobody waits for any more, and close the shelf."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.shelf.close()

    async def _record(
        self, recorder: "_Recorder", scope: bytes, principal: Principal, endpoint: Endpoint
    ) -> None:
        recording = recorder.recording
        recorder.on_end = lambda: self._keep(recording, scope, principal)
        try:
            await endpoint(recorder, principal)
        except AssayError as error:
            recording.is_final = _is_final(error)
            await refuse(recorder, error)
        except Exception as error:
            log.exception("%s %s failed", recorder.method, recorder.path)
            recording.is_final = False
            await refuse(recorder, unexpected(error))
        finally:
            del self._running[scope]
            recording.ends()

    def _keep(self, recording: "_Recording", scope: bytes, principal: Principal) -> None:
        if not recording.is_final:
            return
        kept = _Kept(
            recording.fingerprint,
            recording.status,
            recording.headers,
            recording.pieces,
            recording.is_stream,
        )
        self.shelf.put(scope, principal.project, _encode(kept), ttl_s=KEPT_S)

    async def _follow(self, exchange: Exchange, recording: "_Recording", *, is_replay: bool) -> None:
        departure = Departure(exchange)
        try:
            await recording.begun()
            exchange.trace_id = recording.trace_id
            if is_replay:
                self.replayed += 1
                exchange.out += [header for header in recording.headers if header[0] != _OWN_TIME]
                exchange.out.append(_REPLAYED)
            else:
                exchange.out += recording.headers
            if not recording.is_stream:
                await exchange.respond(recording.status, recording.pieces[0])
                return
            await exchange.start_events()
            told = 0
            while told < len(recording.pieces) or not recording.is_over:
                if told == len(recording.pieces):
                    await recording.grown()
                    continue
                told += 1
                await exchange.write(recording.pieces[told - 1])
            await exchange.write(b"", more=False)
        except asyncio.CancelledError:
            if not departure.gone:
                raise
        finally:
            departure.over()


class _Recording:
    """An answer as far as it has come. `status` is 0 before it begins."""

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        self.status = 0
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.is_stream = False
        self.is_final = True
        self.is_over = False
        self.trace_id: str | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def grows(self) -> None:
        """Wake those who follow."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)

    def ends(self) -> None:
        """Nothing more comes. Safe to say twice."""
        self.is_over = True
        self.grows()

    async def begun(self) -> None:
        """Wait for its head. Raises `Unavailable` when it ended without one."""
        while not self.status:
            if self.is_over:
                raise Unavailable("The server stopped before it could answer", hint="Send the request again.")
            await self.grown()

    async def grown(self) -> None:
        """Wait for more of it, or its end."""
        more = asyncio.get_running_loop().create_future()
        self._waiting.append(more)
        await more


class _Recorder(Exchange):
    """The exchange that the endpoint sees: its client is the recording, and never leaves."""

    __slots__ = ("_body", "on_end", "recording")

    def __init__(self, asked: Exchange, body: bytes, recording: _Recording) -> None:
        super().__init__(asked.method, asked.path, asked.headers, asked.query.encode("latin-1"))
        self.began_ns = asked.began_ns
        self.recording = recording
        self.on_end: Callable[[], None] = lambda: None
        self._body = body

    async def body(self, limit: int) -> bytes:
        return self._body

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def write(self, body: bytes, *, more: bool = True) -> None:
        if body or not more:
            self._tells(body, is_last=not more)

    def watch(self, left: Callable[[], None]) -> None:
        """Nobody to watch."""

    def unwatch(self) -> None:
        """Nobody was watched."""

    def _begins(self, status: int, *, is_stream: bool) -> None:
        recording = self.recording
        recording.status, recording.is_stream, recording.trace_id = status, is_stream, self.trace_id
        recording.headers = self.out

    def _tells(self, body: bytes, *, is_last: bool) -> None:
        self.recording.pieces.append(body)
        if is_last:
            self.on_end()
            self.recording.ends()
        else:
            self.recording.grows()

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._begins(status, is_stream=False)
        self._tells(body, is_last=True)

    async def _begin(self, status: int, headers: Headers) -> None:
        self._begins(status, is_stream=True)
        self.recording.grows()


def _fingerprint(exchange: Exchange, principal: Principal, body: bytes) -> bytes:
    made = hashlib.sha256(exchange.path.encode())
    made.update(f"\0{principal.environment or ''}".encode())
    for name in _STEERING:
        value = exchange.headers.get(name)
        made.update(b"\0" if value is None else b"\1%d:%b" % (len(value), value))
    made.update(body)
    return made.digest()


def _same(recording: _Recording, fingerprint: bytes) -> _Recording:
    if recording.fingerprint != fingerprint:
        raise KeyReused(
            "This idempotency key was used for another request",
            param="Idempotency-Key",
            hint="Repeat a request exactly as it was, or give it a key of its own.",
        )
    return recording


def _recorded(value: bytes, fingerprint: bytes) -> _Recording:
    kept = _kept.decode(value)
    made = _Recording(kept.fingerprint)
    made.status, made.headers, made.pieces = kept.status, kept.headers, kept.pieces
    made.is_stream, made.is_over = kept.is_stream, True
    return _same(made, fingerprint)


def _is_final(error: AssayError) -> bool:
    """Whether the same request would be refused again: an upstream has looked at it and said so."""
    return isinstance(error, UpstreamRefused) and not is_retried(error)
