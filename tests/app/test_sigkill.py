"""A real server is killed at random moments under load; everything it acknowledged is there, once."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{url}"
[models.fast]
route = [{{ provider = "upstream", model = "simulated-1" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }}
"""
CALLERS = 4


@pytest.fixture(scope="module")
def upstream() -> Iterator[SimulatedServer]:
    with SimulatedServer(Script(output_tokens=6, tokens_per_s=2000)) as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Load:
    """Calls without pause from several threads, streamed and not, whether the server is there or not."""

    def __init__(self, url: str, key: str) -> None:
        self.acknowledged: list[str] = []
        self.sent = 0
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CALLERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        body = {"model": "fast", "messages": [{"role": "user", "content": f"caller {number}"}]}
        while not self._stop.is_set():
            try:
                with httpx.Client(base_url=self._url, headers=self._headers, timeout=10) as client:
                    while not self._stop.is_set():
                        self.sent += 1
                        self._call(client, body, streamed=random.random() < 0.5)
            except httpx.TransportError:
                self._stop.wait(0.02)

    def _call(self, client: httpx.Client, body: dict[str, Any], *, streamed: bool) -> None:
        with client.stream("POST", "/v1/chat/completions", json={**body, "stream": streamed}) as answer:
            received = b""
            for piece in answer.iter_raw():
                received += piece
                if streamed and received.endswith(b"data: [DONE]\n\n"):
                    break
            assert answer.status_code == 200, received
            if not streamed:
                json.loads(received)
            elif not received.endswith(b"data: [DONE]\n\n"):
                return
            self.acknowledged.append(answer.headers["x-assay-trace-id"])


def kill_and_count(start: Callable[..., Any], upstream: SimulatedServer, *, rounds: int) -> None:
    chance = random.Random(rounds)
    server = start(CONFIG.format(url=upstream.url), port=free_port()).ready()
    folder, port = server.config.parent, server.port
    with Load(server.url, server.key) as load:
        for _ in range(rounds):
            reached = len(load.acknowledged) + chance.randint(1, 60)
            end = time.monotonic() + 20
            while len(load.acknowledged) < reached:
                assert time.monotonic() < end, f"calls do not get through: {server.said}"
                time.sleep(chance.random() / 500)
            server.kill()
            server = start(CONFIG.format(url=upstream.url), folder=folder, port=port).ready()
    kept = kept_calls(server, at_least=len(load.acknowledged))
    assert len(load.acknowledged) == len(set(load.acknowledged))
    assert [trace_id for trace_id in load.acknowledged if kept.get(trace_id) != 1] == []
    assert set(kept.values()) == {1}
    assert len(kept) <= load.sent
    assert server.http.get("/readyz").json()["collector"]["quarantined"] == 0
    server.stop()


def kept_calls(server: Any, *, at_least: int) -> dict[str, int]:
    """How many calls each trace in the store has, once the collector has caught up."""
    end = time.monotonic() + 20
    while True:
        kept: dict[str, int] = {}
        cursor = None
        while True:
            parameters = {"last": "24h", "limit": 500, **({"cursor": cursor} if cursor else {})}
            page = server.http.get("/api/traces", params=parameters).raise_for_status().json()
            for trace in page["items"]:
                assert trace["trace_id"] not in kept, "a trace is listed twice"
                kept[trace["trace_id"]] = trace["spans"]
            if (cursor := page["next"]) is None:
                break
        if len(kept) >= at_least or time.monotonic() > end:
            return kept
        time.sleep(0.1)


def test_nothing_acknowledged_is_lost_by_twenty_kills(
    start_assay: Callable[..., Any], upstream: SimulatedServer
) -> None:
    kill_and_count(start_assay, upstream, rounds=20)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_three_hundred_kills(
    start_assay: Callable[..., Any], upstream: SimulatedServer
) -> None:
    kill_and_count(start_assay, upstream, rounds=300)
