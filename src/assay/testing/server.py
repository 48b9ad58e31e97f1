"""The simulated provider as a real HTTP server on the loopback interface.

Written on asyncio's protocols rather than on a framework, since its faults have to be real: a cut is a closed socket in
the middle of a chunked body, a malformed line goes out as it is, and a client that leaves is noticed at once.
"""

import asyncio
import threading
from collections import deque
from contextlib import aclosing
from types import TracebackType
from typing import Self

import httptools

from assay.errors import Unusable, UpstreamCut, UpstreamDown
from assay.providers.simulated import Script, Simulation
from assay.providers.simulated.exchange import Exchange
from assay.providers.types import HttpRequest

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    429: b"Too Many Requests",
}


class SimulatedServer:
    """Serves a `Simulation` from a thread of its own while the `with` block runs.

        with SimulatedServer(Script(answer="echo")) as server:
            client = openai.OpenAI(base_url=server.url, api_key="any")

    `port=0` takes a free one. `refuse` closes the connection without an answer, as near to a refusal as a server that
    listens can come.
    """

    def __init__(
        self, simulation: Simulation | Script | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.simulation = simulation if isinstance(simulation, Simulation) else Simulation(simulation)
        self.host = host
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="assay-simulated-server", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.root}/v1"

    @property
    def root(self) -> str:
        """The base URL for an Anthropic client, which adds the `/v1` itself."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Listen; returns when connections are taken. Raises `Unusable` when the port is not free."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise Unusable(f"Cannot listen on {self.host}:{self.port}: {self._failure}") from self._failure

    def stop(self) -> None:
        """Close every connection and end the thread."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve in the running event loop until `stop`."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        connections: set[_Connection] = set()
        try:
            server = await self._loop.create_server(
                lambda: _Connection(self.simulation, connections), self.host, self.port, backlog=1024
            )
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            server.close()
            tasks = [connection.abort() for connection in list(connections)]
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)
            await server.wait_closed()


class _Connection(asyncio.Protocol):
    """One client: parses requests, answers them one after the other, and notices when the client leaves."""

    def __init__(self, simulation: Simulation, connections: "set[_Connection]") -> None:
        self._simulation = simulation
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if any(name.lower() == "expect" for name, _ in self._headers):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        request = HttpRequest(method, self._target.decode("latin-1"), tuple(self._headers), bytes(self._body))
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    # What answers.

    def abort(self) -> "asyncio.Task[None] | None":
        """Close the socket without ceremony; returns what still runs."""
        self._transport.abort()
        return self._task

    async def _answer_all(self) -> None:
        while self._waiting:
            request, keep_alive = self._waiting.popleft()
            exchange = self._simulation.handle(request)
            try:
                await self._answer(exchange)
            except (UpstreamDown, UpstreamCut):
                # What was written goes out first; then the socket closes with the body unfinished.
                self._transport.close()
                return
            finally:
                exchange.close()
            if not keep_alive:
                self._transport.close()
                return
        self._task = None

    async def _answer(self, exchange: Exchange) -> None:
        await exchange.head()
        write, names = self._transport.write, dict(exchange.plan.headers)
        chunked = "content-length" not in names
        head = [b"HTTP/1.1 %d %s" % (exchange.plan.status, _REASONS.get(exchange.plan.status, b"Simulated"))]
        head += [f"{name}: {value}".encode("latin-1") for name, value in exchange.plan.headers]
        head += [b"transfer-encoding: chunked"] if chunked else []
        head += [f"x-request-id: req_sim{exchange.call.index:08d}".encode("ascii"), b"", b""]
        write(b"\r\n".join(head))
        async with aclosing(exchange.body()) as body:
            async for chunk in body:
                write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
                await self._writable.wait()
        if chunked:
            write(b"0\r\n\r\n")
