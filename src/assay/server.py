"""The process: a server on a data directory, its sockets, its signals."""

import asyncio
import contextlib
import errno
import gc
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from assay.app import Assay
from assay.directory import Directory, find_socket
from assay.errors import BadRequest, Unusable
from assay.gateway.connection import Connection
from assay.settings import Settings


@contextmanager
def serving(settings: Settings, config_path: Path | None) -> Iterator[Path]:
    """The socket of a server of the data directory: of the one that runs, else of one in this process meanwhile."""
    if (found := find_socket(settings.data_path)) is not None:
        yield found
        return
    ready, stop = threading.Event(), threading.Event()
    failure: list[BaseException] = []
    directory = Directory(settings.data_path)

    def run() -> None:
        try:
            asyncio.run(
                _serve(settings, config_path, directory, tcp=None, on_ready=lambda _: ready.set(), stop=stop)
            )
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            failure.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="assay-server")
    thread.start()
    ready.wait()
    try:
        if failure:
            raise failure[0]
        yield directory.socket
    finally:
        stop.set()
        thread.join()


def run(settings: Settings, config_path: Path | None, *, on_ready: Callable[["Started"], None]) -> None:
    """Serve until SIGINT or SIGTERM. Raises `Unusable` for a directory or port that is taken."""
    directory = Directory(settings.data_path)
    try:
        tcp = _listen(settings.host, settings.port)
    except BaseException:
        directory.release()
        raise
    _let_threads_take_turns()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, config_path, directory, tcp=tcp, on_ready=on_ready, stop=None))


def _let_threads_take_turns() -> None:
    """A call passes between the event loop's thread and the client's several times. With Linux' batch policy a thread that
    is woken waits until the other has nothing to do, instead of interrupting it each time: on one core that is half of
    the time of a call (docs/decisions/0074). Threads inherit it; it needs no right."""
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _leave_what_stays_uncollected() -> None:
    """What the start has made stays till the end: the collector of cycles need not walk through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Started:
    """What `on_ready` is told."""

    def __init__(self, url: str, app: Assay) -> None:
        self.url = url
        self.app = app


async def _serve(
    settings: Settings,
    config_path: Path | None,
    directory: Directory,
    *,
    tcp: socket.socket | None,
    on_ready: Callable[[Started], None],
    stop: threading.Event | None,
) -> None:
    app = Assay(settings, config_path)
    sockets = [tcp] if tcp is not None else []
    try:
        await app.start()
        _leave_what_stays_uncollected()
        local = _listen_locally(directory.socket)
        sockets.append(local)
        url = _url(settings.host, tcp) if tcp is not None else "http://assay"
        directory.announce(url if tcp is not None else None)
        server = _Server(settings, app, on_started=lambda: on_ready(Started(url, app)), stop=stop)
        await server.serve_on(sockets)
    finally:
        await app.stop()
        for listener in sockets:
            listener.close()
        directory.release()


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready and, in a thread of a command, stops when told."""

    def __init__(
        self, settings: Settings, app: Assay, *, on_started: Callable[[], None], stop: threading.Event | None
    ) -> None:
        config = uvicorn.Config(
            app.asgi,
            http=partial(Connection, serve=app.gateway.serve),  # type: ignore[arg-type]
            interface="asgi3",
            lifespan="off",
            ws="none",
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=_proxies(settings.trusted_proxies),
            date_header=False,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=round(settings.shutdown_s) or 1,
        )
        super().__init__(config)
        self._on_started = on_started
        self._leave = app.leave
        self._reload = app.reloading.reload_soon
        self._stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's, but the signal is not raised again at the end: it would kill the process before `app.stop`."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()

    async def serve_on(self, sockets: list[socket.socket]) -> None:
        """Serve until a signal, or until `stop` is set."""
        if self._stop is None:
            await self.serve(sockets=sockets)
        else:
            await self._serve(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, and SIGHUP reads the configuration anew."""
        with super().capture_signals():
            if self._stop is None and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, without waiting for those who would watch for ever."""
        self._leave()
        await super().shutdown(sockets=sockets)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or (self._stop is not None and self._stop.is_set())


def _proxies(written: str) -> list[str]:
    """Raises `BadRequest` naming what is no address: uvicorn would take it for a name that nobody has."""
    proxies = []
    for each in filter(None, map(str.strip, written.split(","))):
        try:
            proxies.append(str(ipaddress.ip_network(each, strict=False)))
        except ValueError as error:
            raise BadRequest(
                f"trusted_proxies has {each!r}, which is neither an address nor a network",
                param="trusted_proxies",
                hint="Write e.g. 127.0.0.1 or 10.0.0.0/8.",
            ) from error
    return proxies


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Unusable(
                f"Port {port} on {host} is in use", hint="Choose another with --port, or 0 for a free one."
            ) from error
        raise Unusable(
            f"{host}:{port} cannot be listened on: {error}", hint="Check --host and --port."
        ) from error
    listener.listen(2048)
    listener.set_inheritable(False)
    return listener


def _listen_locally(path: Path) -> socket.socket:
    """Mode 0600 from its first moment: whoever can open it is admin."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def _url(host: str, tcp: socket.socket) -> str:
    port = tcp.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
