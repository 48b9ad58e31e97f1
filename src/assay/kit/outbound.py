"""The one guard for addresses that somebody else chose: webhooks, documents, weights, a base URL typed into a form.

    check(url)   when it is saved: refuses at once what can never be fetched
    client()     when it is fetched: the name is resolved, every address checked, and the connection goes to the address
                 that was checked; each redirect passes the same way

A name that answers with a public address when it is saved and with a private one later (DNS rebinding) is thus refused.
Proxies from the environment are not used: they would resolve the name again.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable

import httpx

from assay.errors import BadRequest, UpstreamDown

Resolve = Callable[[str, int], Iterable[str]]
"""Host and port → IP addresses as text. Raises `OSError` when there are none."""

MAX_REDIRECTS = 5
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = ("localhost", "localdomain", "internal", "local")
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254")
)
"""Where clouds hand out credentials; never reached, not even with `allow_private`."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says. It blocks: call it in a thread."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def check(url: str, *, allow_private: bool = False, resolver: Resolve = resolve) -> None:
    """Refuse an address that must not be fetched. Raises `BadRequest` with the reason.

    `allow_private` is for what an administrator configures: loopback and private networks are then reachable, link-local
    and metadata addresses are not. A name that does not resolve now is let through: `client` looks again.
    """
    host, port = _parts(_parse(url))
    try:
        _addresses(url, host, port, allow_private, resolver)
    except OSError:
        return


def client(
    *, allow_private: bool = False, resolver: Resolve = resolve, timeout: httpx.Timeout | float = 30.0
) -> httpx.Client:
    """An httpx client that can only reach what `check` allows, at the addresses that were checked."""
    return httpx.Client(
        transport=_Guarded(allow_private, resolver),
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        timeout=timeout,
        trust_env=False,
    )


class _Guarded(httpx.BaseTransport):
    """Resolves and checks each request, then connects to the checked address under the original name."""

    def __init__(self, allow_private: bool, resolver: Resolve) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        # No connection is used twice: the pool knows addresses, and two names may share one.
        self._inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = _parse(str(request.url))
        host, port = _parts(url)
        try:
            addresses = _addresses(str(url), host, port, self._allow_private, self._resolver)
        except OSError as error:
            raise UpstreamDown(f"{host!r} cannot be resolved: {error}", hint="Check the address.") from error
        failure: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for address in addresses:
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return self._inner.handle_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or UpstreamDown(f"{host!r} has no address")

    def close(self) -> None:
        self._inner.close()


def _parse(url: str) -> httpx.URL:
    """By the parser of the client itself, so that nothing is checked under one reading and fetched under another."""
    if any(ord(character) <= 0x20 or character in "\\\x7f" for character in url):
        raise BadRequest(f"{url!r} has a space, a control character or a backslash in it", param="url")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise BadRequest(f"{url!r} is not a URL: {error}", param="url") from error
    if parsed.scheme not in _PORTS or not parsed.host:
        raise BadRequest(f"{url!r} must begin with http:// or https:// and name a host", param="url")
    if not _HOST.fullmatch(parsed.raw_host):
        raise BadRequest(f"{url!r} has a host name that no host has", param="url")
    if parsed.userinfo:
        raise BadRequest(
            "A URL with a user name or password in it is not used", param="url", hint="Send a header instead."
        )
    return parsed


def _parts(url: httpx.URL) -> tuple[str, int]:
    return url.host.rstrip("."), url.port or _PORTS[url.scheme]


def _addresses(url: str, host: str, port: int, allow_private: bool, resolver: Resolve) -> list[Address]:
    """Every address of the host, all of them allowed; one that is not refuses the whole URL."""
    literal = _literal(url, host)
    if literal is None and not allow_private and host.rpartition(".")[2].lower() in _LOCAL_NAMES:
        raise _refused(url, f"{host!r} is a name of this machine or its network")
    found = (
        [literal]
        if literal is not None
        else [ipaddress.ip_address(text.partition("%")[0]) for text in resolver(host, port)]
    )
    for address in found:
        if (reason := _reason(address, allow_private)) is not None:
            raise _refused(url, reason)
    return found


def _literal(url: str, host: str) -> Address | None:
    """The address that a host spells, if it spells one. Other notations of IPv4 (2130706433, 0x7f.1, 0177.0.0.1) are
    refused: nobody needs them, and parsers disagree on them."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        socket.inet_aton(host)
    except (OSError, UnicodeError):
        return None
    raise _refused(url, f"{host!r} is an IP address in an unusual notation")


def _reason(address: Address, allow_private: bool) -> str | None:
    """Why an address must not be reached; None when it may be."""
    inner = _embedded(address)
    if inner in _METADATA or inner.is_link_local:
        return f"{address} is link-local or a cloud's metadata service"
    if inner.is_multicast or inner.is_unspecified or (inner.is_reserved and not inner.is_loopback):
        return f"{address} is not an address of one machine"
    if not inner.is_global and not allow_private:
        return f"{address} is on this machine or a private network"
    return None


def _embedded(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that stands for it (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _refused(url: str, reason: str) -> BadRequest:
    return BadRequest(
        f"{url!r} is not fetched: {reason}",
        param="url",
        hint="An administrator can allow private addresses for what they configure themselves.",
    )
