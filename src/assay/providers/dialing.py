"""How a connection comes about: names, address families, proxies of the environment, TLS."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit
from urllib.request import (  # type: ignore[attr-defined]
    getproxies_environment,
    proxy_bypass_environment,
)

import certifi
from aiohappyeyeballs import start_connection

from assay.errors import BadRequest, UpstreamDown
from assay.providers.connection import Connection

HAPPY_EYEBALLS_S = 0.25
"""Head start of an address over the next one (RFC 8305 §5)."""
MAX_TUNNEL_ANSWER_BYTES = 65536

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Whom a request is for."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As a `Host` header and a `CONNECT` line name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Proxy(NamedTuple):
    """An HTTP proxy with the value of its `Proxy-Authorization` header, if it wants one."""

    host: str
    port: int
    authorization: bytes | None


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL. Raises `BadRequest` for what is no HTTP address."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadRequest(f"{url!r} is not an http:// or https:// address", param="base_url")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError as error:
        raise BadRequest(f"{url!r} has no valid port", param="base_url") from error
    return Origin(parts.scheme, parts.hostname, port)


def proxy_for(to: Origin) -> Proxy | None:
    """The proxy that the environment asks for (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`; either case)."""
    proxies = getproxies_environment()
    url = proxies.get(to.scheme) or proxies.get("all")
    if not url or proxy_bypass_environment(f"{to.host}:{to.port}", proxies):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise UpstreamDown(
            f"The proxy {parts.scheme}://{parts.hostname} of the environment cannot be used",
            hint="Name an http:// proxy, or except this host in NO_PROXY.",
        )
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    authorization = b"Basic " + base64.b64encode(user.encode()) if user else None
    return Proxy(parts.hostname, parts.port or 80, authorization)


async def dial(to: Origin, proxy: Proxy | None, protocol: Callable[[], Connection]) -> Connection:
    """A connection to `to` that is ready for a request. Raises `OSError`, also for TLS; the caller bounds the time."""
    loop = asyncio.get_running_loop()
    reached = to if proxy is None else proxy
    addresses = await loop.getaddrinfo(reached.host, reached.port, type=socket.SOCK_STREAM)
    sock = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_S, interleave=1, loop=loop)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tls = _tls() if to.scheme == "https" else None
    if tls is None or proxy is None:
        name = to.host if tls else None
        _, connection = await loop.create_connection(protocol, sock=sock, ssl=tls, server_hostname=name)
        return connection
    transport, tunnel = await loop.create_connection(lambda: _Tunnel(loop, to, proxy), sock=sock)
    try:
        await tunnel.opened
        connection = protocol()
        secured = await loop.start_tls(transport, connection, tls, server_hostname=to.host)
    except BaseException:
        transport.abort()
        raise
    connection.connection_made(cast(asyncio.BaseTransport, secured))
    return connection


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel (RFC 9110 §9.3.6); `opened` is done when its bytes go to the origin."""

    def __init__(self, loop: asyncio.AbstractEventLoop, to: Origin, proxy: Proxy) -> None:
        self.opened: asyncio.Future[None] = loop.create_future()
        host = f"[{to.host}]" if ":" in to.host else to.host
        target = f"{host}:{to.port}".encode()
        extra = b"proxy-authorization: %b\r\n" % proxy.authorization if proxy.authorization else b""
        self._request = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (target, target, extra)
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self.opened.done():
            return
        head, end, _ = self._heard.partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0]
        if not end and len(self._heard) < MAX_TUNNEL_ANSWER_BYTES:
            return
        if status.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
            self.opened.set_result(None)
        else:
            self._refuse(f"the proxy answered {status[:100].decode('latin-1')!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self._refuse(str(exc or "the proxy closed the connection"))

    def _refuse(self, reason: str) -> None:
        self.opened.set_exception(ConnectionError(reason))


@cache
def _tls() -> ssl.SSLContext:
    """The system's certificates (`SSL_CERT_FILE` names others); Mozilla's where a slim image has none."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not _system_certificates():
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _system_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or paths.capath)
