"""A real server whose provider's key is a secret: set, used, replaced, removed, and never said."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.testing import Script, SimulatedServer

VALUE, OTHER = "sk-upstream-first-4711", "sk-upstream-second-0815"
CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{url}"
api_key = "secret:upstream"
[providers.spare]
type = "simulated"
[models.fast]
route = [{{ provider = "upstream", model = "simulated-1" }}]
retries = 0
[models.safe]
route = [{{ provider = "upstream", model = "simulated-1" }}]
fallback = ["spare"]
retries = 0
[models.spare]
route = [{{ provider = "spare", model = "simulated-1" }}]
"""


@pytest.fixture
def upstream() -> Iterator[SimulatedServer]:
    """An upstream that lets in one key."""
    with SimulatedServer(Script(api_key=VALUE)) as server:
        yield server


def call(server: Any, model: str = "fast") -> Any:
    """One call."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return server.http.post("/v1/chat/completions", json=body)


def command(server: Any, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command on the server's directory, with something on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "assay", "--data", str(server.data), *arguments],
        input=given, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


def test_a_server_starts_without_the_secret_and_uses_it_once_it_is_set(
    start_assay: Callable[..., Any], upstream: SimulatedServer
) -> None:
    server = start_assay(CONFIG.format(url=upstream.url)).ready()
    refused = call(server)
    assert refused.status_code == 502
    assert "upstream" in server.said
    assert call(server, "safe").status_code == 200, "the fallback answers meanwhile"

    kept = command(server, "secrets", "set", "upstream", given=f"{VALUE}\n")
    assert (kept.returncode, kept.stdout) == (0, 'Kept. Refer to it as "secret:upstream".\n')
    assert call(server).status_code == 200

    server.http.put("/api/secrets/upstream", json={"value": OTHER}).raise_for_status()
    assert call(server).status_code in (401, 502), "the new value holds at once"
    server.http.put("/api/secrets/upstream", json={"value": VALUE}).raise_for_status()
    assert call(server).status_code == 200
    assert "upstream" in command(server, "secrets", "list").stdout
    assert command(server, "secrets", "rotate").stdout == "1 secrets are sealed with the new key.\n"
    assert call(server).status_code == 200
    assert command(server, "secrets", "remove", "upstream").returncode == 0
    assert call(server).status_code == 502
    server.stop()


def test_the_value_is_in_no_answer_log_page_backup_or_file(
    start_assay: Callable[..., Any], upstream: SimulatedServer, tmp_path: Path
) -> None:
    server = start_assay(CONFIG.format(url=upstream.url)).ready()
    server.http.put("/api/secrets/upstream", json={"value": VALUE}).raise_for_status()
    assert call(server).status_code == 200
    said = [
        server.http.get(path).text
        for path in (
            "/api/secrets",
            "/settings/secrets",
            "/api/audit",
            "/audit",
            "/api/models",
            "/readyz",
            "/metrics",
        )
    ]
    saved = command(server, "backup", str(tmp_path / "saved.tar"))
    assert saved.returncode == 0, saved.stderr
    assert "secret.key" in saved.stderr
    server.stop()

    assert "secret.created" in said[2]
    assert not [text for text in (*said, server.said) if VALUE in text]
    files = [path for folder in (server.data, tmp_path) for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if VALUE.encode() in path.read_bytes()] == []


def test_only_who_runs_the_server_sees_even_the_names(start_assay: Callable[..., Any]) -> None:
    server = start_assay("").ready()
    server.http.post("/api/projects", json={"id": "other", "name": "Other"}).raise_for_status()
    editor = server.http.post("/api/keys", json={"name": "e", "role": "editor"}).json()["key"]
    for path in ("/api/secrets", "/settings/secrets"):
        assert server.http.get(path, headers={"authorization": f"Bearer {editor}"}).status_code == 403
    server.stop()


def test_the_page_sets_and_removes(start_assay: Callable[..., Any]) -> None:
    server = start_assay("").ready()
    assert "No secret yet" in server.http.get("/settings/secrets").text
    done = server.http.post("/settings/secrets", data={"name": "acme", "value": "x" * 30})
    assert (done.status_code, done.headers["location"]) == (303, "/settings/secrets")
    page = server.http.get("/settings/secrets").text
    assert "secret:acme" in page
    assert "x" * 30 not in page
    wrong = server.http.post("/settings/secrets", data={"name": "a b", "value": "hidden-value"})
    assert wrong.status_code == 400
    assert "hidden-value" not in wrong.text
    assert server.http.post("/settings/secrets/acme/remove").status_code == 303
    assert server.http.get("/api/secrets").json()["items"] == []
    server.stop()
