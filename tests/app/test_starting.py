"""What a start can meet: a directory or a port that is taken, settings and files that are wrong, and how long it takes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.directory import holder


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "assay", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def test_a_server_is_ready_in_time_and_says_where(start_assay: Callable[..., Any]) -> None:
    server = start_assay().ready()
    assert server.took_s < 10, "3 s on a quiet machine"
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert server.http.get("/readyz").json()["status"] == "ready"
    assert server.stop() == 0


def test_the_first_admin_key_is_printed_once(tmp_path: Path, start_assay: Callable[..., Any]) -> None:
    listed = run("--data", str(tmp_path / "data"), "--json", "keys", "list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    server = start_assay(data=tmp_path / "data").ready()
    assert "sk-assay" not in server.said, "it was made at the first start, which was not this one"
    server.stop()


def test_a_directory_that_is_held_names_who_holds_it(start_assay: Callable[..., Any], tmp_path: Path) -> None:
    server = start_assay().ready()
    second = run("up", "--port", "0", "--data", str(server.data), cwd=tmp_path)
    assert second.returncode == 70
    assert f"process {server.process.pid}" in second.stderr
    assert server.url in second.stderr
    assert "--data" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.http.get("/healthz").status_code == 200
    server.stop()
    assert holder(server.data) is None


def test_a_port_in_use_is_said_and_the_directory_is_let_go(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("up", "--port", port, "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert ended.returncode == 70
    assert f"Port {port}" in ended.stderr
    assert "--port" in ended.stderr
    assert holder(tmp_path / "data") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nprot = 1", "prot"),
        ("[server]\nshutdown_s = 'x'", "shutdown_s"),
        ("[server]\ndurability = 'sometimes'", "durability"),
        ("[models", "not TOML"),
        ("[wrong]\na = 1", "wrong"),
        ("[providers.a]\ntype = 'opnai'", "opnai"),
        ("[providers.a]\ntype = 'openai'\nurl = 'x'", "url"),
        ("[providers.a]\ntype = 'openai'\napi_key = 'env:NOT_SET_ANYWHERE'", "NOT_SET_ANYWHERE"),
        ("[models.m]\nroute = [{ provider = 'nobody', model = 'x' }]", "nobody"),
        ("[tasks.t]\nvariants.v1 = { model = 'm', prompt = 'x' }", "tasks.t.variants.v1"),
    ],
)
def test_a_wrong_file_is_refused_by_name_without_a_traceback(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "assay.toml").write_text(text)
    ended = run("up", "--port", "0", cwd=tmp_path)
    assert ended.returncode == 70
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    ended = run("up", cwd=tmp_path, ASSAY_PORT="many")
    assert ended.returncode == 70
    assert "ASSAY_PORT" in ended.stderr


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    ended = run("up", "--config", "nowhere.toml", cwd=tmp_path)
    assert ended.returncode == 70
    assert "nowhere.toml" in ended.stderr


def test_a_wrong_option_is_a_wrong_use(tmp_path: Path) -> None:
    assert run("up", "--prot", "1", cwd=tmp_path).returncode == 64


def test_commands_work_on_an_idle_directory_and_through_the_server_that_holds_it(
    start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    made = run("--data", str(data), "--json", "keys", "create", "idle", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)["key"]
    server = start_assay(data=data).ready()
    assert server.http.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
    through = run("--data", str(data), "--json", "keys", "create", "live", cwd=tmp_path)
    assert through.returncode == 0, through.stderr
    live = json.loads(through.stdout)["key"]
    assert server.http.get("/v1/models", headers={"authorization": f"Bearer {live}"}).status_code == 200
    remote = run("--url", server.url, "--key", server.key, "--json", "keys", "list", cwd=tmp_path)
    assert remote.returncode == 0, remote.stderr
    assert "live" in remote.stdout
    assert (data / "control.sock").stat().st_mode & 0o777 == 0o600
    server.stop()
    assert not (data / "control.sock").exists()


def test_a_command_for_a_server_that_is_away_says_so(tmp_path: Path) -> None:
    ended = run("--url", "http://127.0.0.1:1", "--key", "sk-x", "keys", "list", cwd=tmp_path)
    assert ended.returncode == 70
    assert "http://127.0.0.1:1 cannot be reached" in ended.stderr
    without = run("--url", "http://127.0.0.1:1", "keys", "list", cwd=tmp_path)
    assert "ASSAY_KEY" in without.stderr


def test_what_a_killed_server_left_behind_stops_nobody(
    start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_assay().ready()
    server.kill()
    assert holder(server.data) is not None, "its word is still there, its lock is not"
    listed = run("--data", str(server.data), "--json", "keys", "list", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8700", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused_to_browsers(start_assay: Callable[..., Any], host: str) -> None:
    server = _shared(start_assay)
    without_key = {"authorization": "", "host": host}
    bare = {name: value for name, value in without_key.items() if name != "authorization"}
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(
            f"GET /login HTTP/1.1\r\nhost: {bare['host']}\r\nconnection: close\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 403")
    with_key = server.http.get("/api/whoami", headers={"host": host})
    assert with_key.status_code == 200, "no browser sends a key by itself"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8700", "LOCALHOST:9"])
def test_own_names_and_addresses_are_answered(start_assay: Callable[..., Any], host: str) -> None:
    server = _shared(start_assay)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"GET /login HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


_SHARED: list[Any] = []


def _shared(start: Callable[..., Any]) -> Any:
    """One server for the tests that only ask."""
    if not _SHARED:
        _SHARED.append(start().ready())
    return _SHARED[0]


FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}


@pytest.mark.parametrize(("setting", "is_believed"), [("127.0.0.1, 10.0.0.0/8", True), ("10.0.0.0/8", False)])
def test_only_a_trusted_proxy_says_who_the_client_is_and_that_there_is_tls(
    start_assay: Callable[..., Any], setting: str, is_believed: bool
) -> None:
    server = start_assay(f'[server]\ntrusted_proxies = "{setting}"\n').ready()
    with httpx.Client(base_url=server.url, headers=FORWARDED) as proxy:
        answer = proxy.post("/login", data={"key": server.key})
        assert answer.status_code == 303
        assert ("Secure" in answer.headers["set-cookie"]) == is_believed
        session = answer.headers["set-cookie"].partition(";")[0]
        (login,) = proxy.get("/api/logins", headers={"cookie": session}).raise_for_status().json()["items"]
    assert login["address"] == ("203.0.113.9" if is_believed else "127.0.0.1")
    assert server.stop() == 0


def test_a_proxy_that_is_no_address_is_named(tmp_path: Path) -> None:
    started = run("up", "--port", "0", cwd=tmp_path, ASSAY_TRUSTED_PROXIES="127.0.0.1, the proxy")
    assert started.returncode == 70
    assert "'the proxy'" in started.stderr
    assert "10.0.0.0/8" in started.stderr
    assert "Traceback" not in started.stderr
