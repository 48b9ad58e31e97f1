"""`assay storage` and `assay traces purge` on a data directory, as a person types them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
[providers.practice]
type = "simulated"
[models.fast]
route = [{ provider = "practice", model = "practice-1" }]
"""


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A server that has answered two users."""
    server = start_assay(CONFIG).ready()
    for user in ("ann", "bob"):
        body = {"model": "fast", "messages": [{"role": "user", "content": f"I am {user}"}]}
        server.http.post("/v1/chat/completions", json=body, headers={"x-assay-user": user}).raise_for_status()
    return server


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


def test_storage_lists_days_and_what_all_projects_take(server: Any) -> None:
    run(server, "traces", "purge", "--everything")  # counting collects what has just arrived
    shown = run(server, "storage", "show")
    assert "open" in shown.stdout
    assert "All projects" in shown.stderr
    assert json.loads(run(server, "--json", "storage", "show").stdout)["days"][0]["is_sealed"] is False


def test_a_purge_counts_first_and_takes_when_told(server: Any) -> None:
    counted = run(server, "traces", "purge", "--user", "ann")
    assert (counted.returncode, counted.stdout[:26]) == (0, "Would go: 1 traces with 1 ")
    assert "Add --yes" in counted.stderr
    done = run(server, "traces", "purge", "--user", "ann", "--yes")
    assert done.stdout.startswith("Gone: 1 traces with 1 spans"), done.stderr
    assert json.loads(run(server, "--json", "traces", "purge", "--user", "ann").stdout)["spans"] == 0
    assert json.loads(run(server, "--json", "traces", "purge", "--everything").stdout)["traces"] == 1


def test_a_purge_of_nothing_in_particular_is_refused(server: Any) -> None:
    refused = run(server, "traces", "purge")
    assert refused.returncode == 70
    assert "Say what to purge" in refused.stderr


def test_retention_is_shown_chosen_and_reset(server: Any) -> None:
    assert "30 days; rows: 400 days (the server's default)" in run(server, "storage", "retention").stdout
    chosen = run(server, "storage", "retention", "--content-days", "7", "--row-days", "forever", "--imports")
    assert "content: 7 days; rows: for ever (chosen by the project)" in chosen.stdout
    kept = run(server, "storage", "retention", "--content-days", "8")
    assert "content: 8 days; rows: for ever" in kept.stdout, "what is not named stays"
    for wrong in (("--content-days", "soon"), ("--row-days", "3"), ("--default", "--imports")):
        assert run(server, "storage", "retention", *wrong).returncode == 70, wrong
    assert "server's default" in run(server, "storage", "retention", "--default").stdout
