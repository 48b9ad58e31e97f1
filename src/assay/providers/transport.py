"""The network through pyreqwest: Rust's reqwest, the fastest client that Python has (docs/decisions/0071)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from types import TracebackType

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    ConnectError,
    ConnectTimeoutError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.request import RequestBuilder, StreamRequest
from pyreqwest.response import Response

from assay.errors import Upstream, UpstreamCut, UpstreamDown, UpstreamTimeout
from assay.providers.types import HttpRequest, HttpResponse, Timeouts

MAX_ANSWER_BYTES = 256 * 1024 * 1024


class NetworkTransport:
    """Pooled connections to anywhere. One client per connect timeout, since that is a property of the pool."""

    def __init__(self) -> None:
        self._clients: dict[float, Client] = {}
        self._totals: dict[float, timedelta] = {}

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        """See `Transport.send`. Redirects are not followed: an API that moved is a configuration to change."""
        client = self._clients.get(timeouts.connect_s) or self._open(timeouts.connect_s)
        total = self._totals.get(timeouts.total_s) or self._totals.setdefault(
            timeouts.total_s, timedelta(seconds=timeouts.total_s)
        )
        builder = client.request(request.method, request.url).headers(request.headers).timeout(total)
        if request.body:
            builder = builder.body_bytes(request.body)
        try:
            if stream:
                return await _open_stream(builder)
            return _Whole(await builder.build().send())
        except PyreqwestError as error:
            raise _translated(error, request.url, started=False) from error

    async def aclose(self) -> None:
        """Close every pool."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    def _open(self, connect_s: float) -> Client:
        builder = ClientBuilder().follow_redirects(False).connect_timeout(timedelta(seconds=connect_s))
        client = builder.user_agent("assay").pool_max_idle_per_host(1024).build()
        return self._clients.setdefault(connect_s, client)


async def _open_stream(builder: RequestBuilder) -> "_Streamed":
    # Without the limit of 0 a cancelled stream runs on upstream and closing blocks until it ends.
    request = builder.streamed_read_buffer_limit(0).build_streamed()
    return _Streamed(request, await request.__aenter__())


class _Whole:
    """A body that was read with its head."""

    __slots__ = ("_response", "status")

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status = response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return _Headers(self._response)

    async def read(self) -> bytes:
        try:
            return (await self._response.bytes()).to_bytes()
        except PyreqwestError as error:
            raise _translated(error, "", started=True) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        yield await self.read()

    async def aclose(self) -> None:
        return None


class _Streamed:
    """A body that still arrives."""

    __slots__ = ("_request", "_response", "status")

    def __init__(self, request: StreamRequest, response: Response) -> None:
        self._request: StreamRequest | None = request
        self._response = response
        self.status = response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return _Headers(self._response)

    async def read(self) -> bytes:
        parts = bytearray()
        async for chunk in self.chunks():
            parts += chunk
            if len(parts) > MAX_ANSWER_BYTES:
                raise Upstream(f"The answer is larger than {MAX_ANSWER_BYTES} bytes")
        return bytes(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        read_chunk = self._response.body_reader.read_chunk
        try:
            while (chunk := await read_chunk()) is not None:
                yield chunk.to_bytes()
        except PyreqwestError as error:
            raise _translated(error, "", started=True) from error

    async def aclose(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            # Shielded: a caller that is being cancelled must still cut the upstream.
            await asyncio.shield(_exit(request))


async def _exit(request: StreamRequest) -> None:
    none: tuple[type[BaseException] | None, BaseException | None, TracebackType | None] = (None, None, None)
    await request.__aexit__(*none)


class _Headers(Mapping[str, str]):
    """The head's fields, looked up in Rust only when somebody asks."""

    __slots__ = ("_response",)

    def __init__(self, response: Response) -> None:
        self._response = response

    def __getitem__(self, name: str) -> str:
        value = self._response.get_header(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._response.headers)

    def __len__(self) -> int:
        return len(self._response.headers)


def _translated(error: PyreqwestError, url: str, *, started: bool) -> Upstream:
    reason = _reason(error)
    if isinstance(error, ConnectError) or (
        isinstance(error, ConnectTimeoutError) and any("(Connect)" in message for message in _causes(error))
    ):
        return UpstreamDown(
            f"{url} cannot be reached: {reason}", hint="Is it running, and is base_url right?"
        )
    # pyreqwest calls every time-out before the head a ConnectTimeoutError; only its causes tell them apart.
    if isinstance(error, RequestTimeoutError):
        return UpstreamTimeout(f"The provider did not finish in time: {reason}")
    if started:
        return UpstreamCut(f"The provider stopped in the middle of its answer: {reason}")
    return UpstreamDown(f"{url} did not answer: {reason}", hint="Is it running, and is base_url right?")


def _reason(error: PyreqwestError) -> str:
    """The innermost cause says most: "connection refused", not "error sending request"."""
    causes = _causes(error)
    return causes[-1] if causes else error.message


def _causes(error: PyreqwestError) -> list[str]:
    details = getattr(error, "details", None)
    return [cause["message"] for cause in (details or {}).get("causes") or []]
