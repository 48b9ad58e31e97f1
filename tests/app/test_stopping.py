"""SIGTERM while a stream runs, and a disk that fills up under a server."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[server]
min_free_disk_mb = 0
shutdown_s = {shutdown_s}
[providers.upstream]
type = "openai"
base_url = "{url}"
[models.fast]
route = [{{ provider = "upstream", model = "simulated-1" }}]
"""
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def upstream() -> Iterator[SimulatedServer]:
    with SimulatedServer(Script(answer="fixed", text=TEXT, tokens_per_s=10)) as server:
        yield server


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "fast", "messages": [{"role": "user", "content": "x" * 2000}], **more}


def streamed(server: Any, at_first_word: Callable[[], None]) -> str:
    """The whole text of a stream; `at_first_word` is called when its first word is there."""
    received, told = "", False
    with server.http.stream("POST", "/v1/chat/completions", json=chat(stream=True)) as answer:
        for piece in answer.iter_text():
            received += piece
            if not told and "one" in received:
                told = True
                at_first_word()
    return received


def test_a_stream_ends_well_though_sigterm_came_and_then_the_process_ends(
    start_assay: Callable[..., Any], upstream: SimulatedServer
) -> None:
    server = start_assay(CONFIG.format(url=upstream.url, shutdown_s=20)).ready()
    received = streamed(server, lambda: server.process.send_signal(signal.SIGTERM))
    assert received.endswith("data: [DONE]\n\n")
    assert server.process.wait(15) == 0
    again = start_assay(CONFIG.format(url=upstream.url, shutdown_s=20), folder=server.config.parent).ready()
    (kept,) = again.http.get("/api/traces", params={"last": "1h"}).json()["items"]
    assert kept["output"].startswith("one two")
    again.stop()


def test_a_stream_that_is_too_long_is_given_up_after_shutdown_s(
    start_assay: Callable[..., Any], upstream: SimulatedServer
) -> None:
    upstream.simulation.change(tokens_per_s=0.2)
    server = start_assay(CONFIG.format(url=upstream.url, shutdown_s=1)).ready()
    began = time.monotonic()
    received = ""
    with suppress(httpx.RemoteProtocolError):
        received = streamed(server, lambda: server.process.send_signal(signal.SIGTERM))
    assert "[DONE]" not in received
    assert server.process.wait(20) == 0
    assert time.monotonic() - began < 20
    upstream.simulation.change(tokens_per_s=10)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root on Linux")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.linux
def test_a_full_disk_refuses_telemetry_lets_traffic_go_on_and_heals(
    start_assay: Callable[..., Any], upstream: SimulatedServer, small_disk: Path
) -> None:
    upstream.simulation.change(tokens_per_s=None)
    server = start_assay(CONFIG.format(url=upstream.url, shutdown_s=5), data=small_disk / "data").ready()
    kept = server.http.post("/v1/chat/completions", json=chat())
    assert "x-assay-kept" not in kept.headers
    ballast = small_disk / "ballast"
    fill(ballast)

    lost = until(server, lambda answer: answer.headers.get("x-assay-kept") == "false", ballast)
    assert lost.status_code == 200
    assert lost.json()["choices"][0]["message"]["content"] == TEXT
    score = {"trace_id": kept.headers["x-assay-trace-id"], "name": "thumb", "value": True}
    refused = server.http.post("/api/scores", json=score)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "Free space" in refused.json()["error"]["hint"]
    unready = server.http.get("/readyz")
    assert unready.status_code == 503
    assert unready.json()["spool"]["lost_calls"] >= 1
    assert "No space left" in unready.json()["troubles"][0]["message"]
    trailer = server.http.post(
        "/v1/chat/completions", json=chat(stream=True), headers={"x-assay-trailer": "true"}
    ).text.split("\n\n")[-3]
    assert json.loads(trailer.removeprefix(": "))["x-assay-kept"] is False

    ballast.unlink()
    until(server, lambda answer: "x-assay-kept" not in answer.headers, None)
    wait(lambda: server.http.get("/readyz").status_code == 200)
    assert server.http.post("/api/scores", json=score).status_code == 201
    assert server.stop() == 0


def fill(ballast: Path) -> None:
    """Take all that is free."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def until(server: Any, holds: Callable[[Any], bool], ballast: Path | None) -> Any:
    """Call until an answer is as it should be; the ballast takes again what the server frees meanwhile."""
    end = time.monotonic() + 20
    while True:
        if ballast is not None:
            fill(ballast)
        answer = server.http.post("/v1/chat/completions", json=chat())
        assert answer.status_code == 200
        if holds(answer):
            return answer
        assert time.monotonic() < end, server.said


def wait(holds: Callable[[], bool]) -> None:
    """Until it holds."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
