"""The HTTP client byte by byte, against servers that say exactly what a test wants them to say."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.errors import BadRequest, Upstream, UpstreamCut, UpstreamDown
from assay.providers import dialing, transport
from assay.providers.connection import MAX_HEAD_BYTES, PAUSE_BYTES
from assay.providers.transport import NetworkTransport
from assay.providers.types import HttpRequest, HttpResponse, Timeouts

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return head, await reader.readexactly(int(fields.get(b"content-length", b"0")))


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    answering: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.close()
        await asyncio.wait(answering or {asyncio.create_task(asyncio.sleep(0))}, timeout=5)


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[NetworkTransport]:
    network = NetworkTransport()
    try:
        yield network
    finally:
        await network.aclose()
        await asyncio.sleep(0)


def saying(*answers: bytes, then_close: bool = False) -> tuple[Serve, list[bytes]]:
    """A server that gives each request the next answer, and the requests that it heard."""
    heard: list[bytes] = []
    left = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            heard.append(head + body)
            if (answer := next(left, None)) is None:
                return
            writer.write(answer)
            await writer.drain()
            if then_close:
                return

    return serve, heard


async def get(
    network: NetworkTransport, url: str, body: bytes = b"", *, stream: bool = False
) -> HttpResponse:
    return await network.send(
        HttpRequest("POST", url + "/v1/x", (), body), Timeouts(connect_s=2), stream=stream
    )


async def fetch(network: NetworkTransport, url: str, body: bytes = b"") -> bytes:
    answer = await get(network, url, body)
    try:
        return await answer.read()
    finally:
        await answer.aclose()


def exchange(*answers: bytes, then_close: bool = False, times: int = 1) -> tuple[list[bytes], list[bytes]]:
    """What a client reads from a server that says this, and what the server heard."""
    serve, heard = saying(*answers, then_close=then_close)

    async def run() -> list[bytes]:
        async with serving(serve) as url, client() as network:
            return [await fetch(network, url, b"ask") for _ in range(times)]

    return asyncio.run(run()), heard


def test_a_request_is_one_well_formed_message() -> None:
    bodies, heard = exchange(OK)
    assert bodies == [b"ok"]
    assert heard[0].startswith(b"POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:")
    assert heard[0].endswith(b"content-length: 3\r\n\r\nask")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\ntrailer: t\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,
        b"HTTP/1.1 200\r\nContent-Length:2\r\n\r\nok",
    ],
)
def test_every_framing_gives_the_body_and_the_connection_goes_on(answer: bytes) -> None:
    bodies, heard = exchange(answer, OK, times=2)
    assert bodies == [b"ok", b"ok"]
    assert len(heard) == 2


def test_an_answer_without_length_ends_with_the_connection() -> None:
    bodies, _ = exchange(b"HTTP/1.1 200 OK\r\n\r\nok", then_close=True)
    assert bodies == [b"ok"]


def test_an_empty_answer_is_an_answer() -> None:
    bodies, _ = exchange(b"HTTP/1.1 204 No Content\r\n\r\n", OK, times=2)
    assert bodies == [b"", b"ok"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", UpstreamDown),
        (b"HTTP/1.1 200 OK\r\ncontent-le", UpstreamDown),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", UpstreamCut),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", UpstreamCut),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n", UpstreamCut),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Upstream),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * (MAX_HEAD_BYTES + 1), Upstream),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok", Upstream),
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes, kind: type[Upstream]) -> None:
    with pytest.raises(kind):
        exchange(answer, then_close=True)


@pytest.mark.parametrize("extra", [b"more", OK, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npoi"])
def test_bytes_that_nobody_asked_for_reach_no_other_call(extra: bytes) -> None:
    bodies, heard = exchange(OK + extra, OK, times=2)
    assert bodies == [b"ok", b"ok"]
    assert len(heard) == 2


def test_connections_are_used_again_the_newest_first() -> None:
    peers: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            peers.append(writer.get_extra_info("peername")[1])
            writer.write(OK)

    async def run() -> None:
        async with serving(serve) as url, client() as network:
            await asyncio.gather(*(fetch(network, url) for _ in range(5)))
            at_once = len(set(peers))
            for _ in range(5):
                await fetch(network, url)
            assert at_once == 5
            assert len(set(peers)) == 5
            assert len(set(peers[5:])) == 1

    asyncio.run(run())


def test_a_kept_connection_that_the_server_closed_is_replaced_without_a_word() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await read_request(reader))[1])
        writer.write(OK)
        asked.append(
            (await read_request(reader))[1]
        )  # and closes, as one does whose patience ended just then

    async def run() -> None:
        async with serving(serve) as url, client() as network:
            assert [await fetch(network, url, b"1"), await fetch(network, url, b"2")] == [b"ok", b"ok"]

    asyncio.run(run())
    assert asked == [b"1", b"2", b"2"]


def test_a_new_connection_that_closes_is_not_tried_again() -> None:
    serve, heard = saying()

    async def run() -> None:
        async with serving(serve) as url, client() as network:
            with pytest.raises(UpstreamDown, match="did not answer"):
                await fetch(network, url)

    asyncio.run(run())
    assert len(heard) == 1


def test_an_old_idle_connection_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IDLE_S", -1.0)
    serve, _ = saying(OK, OK)

    async def run() -> int:
        ports = set()

        async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ports.add(writer.get_extra_info("peername")[1])
            await serve(reader, writer)

        async with serving(counting) as url, client() as network:
            await fetch(network, url)
            await fetch(network, url)
        return len(ports)

    assert asyncio.run(run()) == 2


def test_a_slow_reader_holds_the_sender_back() -> None:
    total = 64 * PAUSE_BYTES
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(64):
            writer.write(bytes(PAUSE_BYTES))
            await writer.drain()
            sent += PAUSE_BYTES

    async def run() -> tuple[int, int]:
        async with serving(serve) as url, client() as network:
            answer = await get(network, url, stream=True)
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.1)
            received = 0
            async for chunk in answer.chunks():
                received += len(chunk)
        return before, received

    held_at, received = asyncio.run(run())
    assert held_at < total / 2
    assert received == total


def test_a_large_request_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    _, heard = exchange_body(body)
    assert heard[0].endswith(body)


def exchange_body(body: bytes) -> tuple[bytes, list[bytes]]:
    serve, heard = saying(OK)

    async def run() -> bytes:
        async with serving(serve) as url, client() as network:
            return await fetch(network, url, body)

    return asyncio.run(run()), heard


@pytest.mark.parametrize("before_head", [True, False])
def test_who_leaves_cuts_the_connection(before_head: bool) -> None:
    cut = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if not before_head:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        cut.set()

    async def run() -> None:
        async with serving(serve) as url, client() as network:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await fetch(network, url)
            async with asyncio.timeout(5):
                await cut.wait()

    asyncio.run(run())


def test_a_header_cannot_smuggle_another() -> None:
    async def run() -> None:
        network = NetworkTransport()
        request = HttpRequest("POST", "http://127.0.0.1:1/", (("authorization", "Bearer x\r\nhost: evil"),))
        with pytest.raises(BadRequest, match="authorization"):
            await network.send(request, Timeouts(), stream=False)

    asyncio.run(run())


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "no address", "http://host:port/"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(BadRequest, match=r"not an http|no valid port"):
        dialing.origin(url)


def test_a_name_that_does_not_resolve_is_down() -> None:
    async def run() -> None:
        network = NetworkTransport()
        with pytest.raises(UpstreamDown, match="cannot be reached"):
            await get(network, "http://no-such-host.invalid")

    asyncio.run(run())


def test_tls_is_verified_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_side = certificate(tmp_path)
    serve, _ = saying(OK, OK)

    async def run() -> bytes:
        async with serving(serve, server_side) as url, client() as network:
            return await fetch(network, url)

    dialing._tls.cache_clear()
    with pytest.raises(UpstreamDown, match="certificate"):
        asyncio.run(run())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    dialing._tls.cache_clear()
    assert asyncio.run(run()) == b"ok"
    monkeypatch.undo()
    dialing._tls.cache_clear()


def test_a_plain_request_goes_to_the_proxy_with_its_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, heard = saying(OK)

    async def run() -> None:
        async with serving(serve) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.replace("http://", "http://me:secret@"))
            async with client() as network:
                assert await fetch(network, "http://upstream.example") == b"ok"

    asyncio.run(run())
    assert heard[0].startswith(b"POST http://upstream.example/v1/x HTTP/1.1\r\nhost: upstream.example\r\n")
    assert b"proxy-authorization: Basic bWU6c2VjcmV0\r\n" in heard[0]


def test_tls_goes_through_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve, heard = saying(OK)
    asked: list[bytes] = []

    async def run(server_side: ssl.SSLContext) -> None:
        async with serving(serve, server_side) as url:

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                inner_reader, inner = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(pump(reader, inner), pump(inner_reader, writer))

            async with serving(tunnel) as proxy:
                monkeypatch.setenv("HTTPS_PROXY", proxy)
                async with client() as network:
                    assert await fetch(network, url) == b"ok"

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server_side = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    dialing._tls.cache_clear()
    asyncio.run(run(server_side))
    dialing._tls.cache_clear()
    assert asked[0].startswith(b"CONNECT 127.0.0.1:")
    assert heard[0].startswith(b"POST /v1/x HTTP/1.1\r\n")


def test_a_proxy_that_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async def run() -> None:
        async with serving(refuse) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            async with client() as network:
                with pytest.raises(UpstreamDown, match="407 Proxy Authentication Required"):
                    await get(network, "https://upstream.example")

    asyncio.run(run())


def test_a_host_may_be_excepted_from_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    bodies, _ = exchange(OK)
    assert bodies == [b"ok"]


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that only `cert.pem` of the folder vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(pem)
    (folder / "both.pem").write_bytes(secret + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context
