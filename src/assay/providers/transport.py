"""The network: pooled HTTP/1.1 connections on the event loop (docs/decisions/0075)."""

import asyncio
import re
from functools import lru_cache
from urllib.parse import urlsplit

from assay.errors import BadRequest, UpstreamDown
from assay.providers.connection import Answer, Connection, Stale
from assay.providers.dialing import Origin, Proxy, dial, origin, proxy_for
from assay.providers.types import HttpRequest, HttpResponse, Timeouts

MAX_IDLE_CONNECTIONS = 1024
"""Kept open to one origin."""
IDLE_S = 60.0
"""An idle connection older than this is not used again: something between may have forgotten it silently."""

_FIELD = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class NetworkTransport:
    """Pooled connections to anywhere."""

    def __init__(self) -> None:
        self._pools: dict[Origin, _Pool] = {}
        self._by_url: dict[str, _Pool] = {}

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        """See `Transport.send`. Redirects are not followed: an API that moved is a configuration to change.

        A request on a connection that turns out to have been closed by the server meanwhile is sent once more on a new one.
        """
        pool = self._by_url.get(request.url) or self._pool(request.url)
        head, body = _head(request.method, request.url, request.headers, pool.proxy), request.body
        head += b"content-length: %d\r\n\r\n" % len(body)
        connection = pool.take()
        if connection is not None:
            try:
                return await _ask(connection, head, body)
            except Stale:
                pass
        return await _ask(await pool.open(timeouts.connect_s), head, body)

    async def aclose(self) -> None:
        """Close every connection."""
        pools, self._pools = self._pools, {}
        self._by_url.clear()
        for pool in pools.values():
            pool.close()
        await asyncio.sleep(0)

    def _pool(self, url: str) -> "_Pool":
        to = origin(url)
        pool = self._pools.get(to) or self._pools.setdefault(to, _Pool(to))
        if len(self._by_url) > 4096:
            self._by_url.clear()
        self._by_url[url] = pool
        return pool


class _Pool:
    """The connections to one origin. The one that was used last is used next, so that those not needed grow old."""

    def __init__(self, to: Origin) -> None:
        self.proxy: Proxy | None = proxy_for(to)
        self._to = to
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []

    def take(self) -> Connection | None:
        """An idle connection that still stands."""
        while self._idle:
            connection = self._idle.pop()
            if connection.loop.time() - connection.idle_since > IDLE_S:
                connection.abort()
            elif connection.is_open:
                return connection
        return None

    async def open(self, connect_s: float) -> Connection:
        """A new connection. Raises `UpstreamDown`."""
        where = f"{self._to.scheme}://{self._to.authority}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_s):
                connection = await dial(
                    self._to, self.proxy, lambda: Connection(loop, where, self._rest, self._forget)
                )
        except TimeoutError as error:
            raise UpstreamDown(
                f"{where} cannot be reached: no connection within {connect_s:g} s",
                hint="Is it running, and is base_url right?",
            ) from error
        except OSError as error:
            raise UpstreamDown(
                f"{where} cannot be reached: {error.strerror or error}",
                hint="Is it running, and is base_url right?",
            ) from error
        self._all.add(connection)
        return connection

    def close(self) -> None:
        """Close them all; what still runs on them ends with an error."""
        self._idle.clear()
        for connection in tuple(self._all):
            connection.abort()

    def _rest(self, connection: Connection) -> None:
        now = connection.idle_since = connection.loop.time()
        if self._idle and (
            now - self._idle[0].idle_since > IDLE_S or len(self._idle) >= MAX_IDLE_CONNECTIONS
        ):
            self._idle.pop(0).abort()
        self._idle.append(connection)

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


async def _ask(connection: Connection, head: bytes, body: bytes) -> Answer:
    answer = connection.ask(head, body)
    try:
        await answer.head()
    except BaseException:
        connection.abort()  # whoever waits has left, or nothing good will come: the upstream may stop
        raise
    return answer


@lru_cache(maxsize=256)
def _head(method: str, url: str, headers: tuple[tuple[str, str], ...], proxy: Proxy | None) -> bytes:
    """The lines that are the same for every request of a provider, up to the length of the body."""
    parts, to = urlsplit(url), origin(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [("host", to.authority), ("user-agent", "assay"), ("accept-encoding", "identity"), *headers]
    if proxy is not None and to.scheme == "http":
        target = url
        if proxy.authorization:
            lines.append(("proxy-authorization", proxy.authorization.decode("ascii")))
    for name, value in lines:
        if not _FIELD.fullmatch(value):
            raise BadRequest(f"The header {name!r} to {to.host} has characters that no header may have")
    text = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
    return text.encode("latin-1")
