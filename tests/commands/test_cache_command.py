"""`assay cache`, as a person types it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
[providers.practice]
type = "simulated"
[models.fast]
route = [{ provider = "practice", model = "practice-1" }]
price = { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }
cache = { ttl_s = 600 }
"""


def run(server: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on the server's directory."""
    return subprocess.run(
        [sys.executable, "-m", "assay", "--data", str(server.data), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "100"},
        cwd=Path(server.data).parent,
    )


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A server that was asked the same three times, and whose spans are collected."""
    server = start_assay(CONFIG).ready()
    body = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}
    for _ in range(3):
        server.http.post("/v1/chat/completions", json=body).raise_for_status()
    end = time.monotonic() + 20
    while server.http.get("/api/cache").json()["hits"] < 2:
        assert time.monotonic() < end, "the spans never came"
        time.sleep(0.02)
    return server


def test_it_shows_what_was_saved_and_forgets_when_told(server: Any) -> None:
    shown = run(server, "cache", "show")
    assert shown.stdout.splitlines()[-1].split()[:3] == ["fast", "2", "1"], shown
    assert "1 answers lie there" in shown.stderr
    found = json.loads(run(server, "--json", "cache", "show", "--days", "1").stdout)
    assert (found["entries"], found["hits"], found["misses"]) == (1, 2, 1)
    assert found["saved_usd"] > 0
    refused = run(server, "--json", "cache", "clear")
    assert refused.returncode != 0
    assert "--yes" in refused.stderr + refused.stdout
    assert run(server, "cache", "clear", "--yes").stdout == "1 answers are forgotten.\n"
    assert json.loads(run(server, "--json", "cache", "show").stdout)["entries"] == 0
