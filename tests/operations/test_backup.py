"""A backup made while calls go on, wiped, restored: what was acknowledged before it began is there, and the same."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay.errors import Unusable
from assay.operations.restoring import restore, verify
from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{url}"
[models.fast]
route = [{{ provider = "upstream", model = "simulated-1" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }}
[tasks.polish]
variants.v1 = {{ model = "fast", prompt = "Correct this:\\n\\n{{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""
QUESTIONS = (
    "/api/keys",
    "/api/tasks",
    "/api/tasks/polish/releases/production",
    "/api/decisions",
    "/api/retention",
    "/api/quarantine",
)
CALLERS = 3


@pytest.fixture(scope="module")
def upstream() -> Iterator[SimulatedServer]:
    with SimulatedServer(Script(output_tokens=6, tokens_per_s=2000)) as server:
        yield server


class Load:
    """Calls and scores without pause from several threads; remembers what was acknowledged."""

    def __init__(self, server: Any) -> None:
        self.acknowledged: list[str] = []
        self._server = server
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

    def reach(self, count: int) -> None:
        """Wait until so many are acknowledged."""
        end = threading.Event()
        for _ in range(3000):
            if len(self.acknowledged) >= count:
                return
            end.wait(0.01)
        pytest.fail(f"calls do not get through: {self._server.said}")

    def _run(self, number: int) -> None:
        headers = {"authorization": f"Bearer {self._server.key}", "x-assay-user": f"user-{number}"}
        with httpx.Client(base_url=self._server.url, headers=headers, timeout=60) as client:
            while not self._stop.is_set():
                text = f"caller {number}, call {len(self.acknowledged)}"
                body = {"model": "fast", "messages": [{"role": "user", "content": text}]}
                answer = client.post("/v1/chat/completions", json=body).raise_for_status()
                trace_id = answer.headers["x-assay-trace-id"]
                score = {"trace_id": trace_id, "name": "thumb", "value": True}
                client.post("/api/scores", json=score).raise_for_status()
                self.acknowledged.append(trace_id)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """An `assay` command."""
    return subprocess.run(
        [sys.executable, "-m", "assay", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )


def answers(server: Any, traces: list[str]) -> dict[str, Any]:
    """What a server says to a fixed set of questions."""
    found = {path: server.http.get(path).raise_for_status().json() for path in QUESTIONS}
    return found | {
        trace_id: server.http.get(f"/api/traces/{trace_id}").raise_for_status().json() for trace_id in traces
    }


@pytest.mark.parametrize("target", ["saved.tar", "saved"])
def test_what_was_acknowledged_before_a_backup_began_is_in_it(
    start_assay: Callable[..., Any], upstream: SimulatedServer, tmp_path: Path, target: str
) -> None:
    server = start_assay(CONFIG.format(url=upstream.url)).ready()
    server.http.put("/api/retention", json={"content_days": 9, "row_days": 99}).raise_for_status()
    with Load(server) as load:
        load.reach(60)
        promised = list(load.acknowledged)
        made = command("--data", str(server.data), "backup", str(tmp_path / target), cwd=tmp_path)
        load.reach(len(promised) + 20)
    assert made.returncode == 0, made.stderr
    before = answers(server, promised)
    server.kill()
    shutil.rmtree(server.data)

    restored = command("--data", str(tmp_path / "new"), "restore", str(tmp_path / target), cwd=tmp_path)

    assert restored.returncode == 0, restored.stderr
    again = start_assay(CONFIG.format(url=upstream.url), data=tmp_path / "new").ready()
    assert answers(again, promised) == before
    assert again.http.get("/readyz").json()["status"] == "ready"
    body = {"model": "fast", "messages": [{"role": "user", "content": "life goes on"}]}
    answer = again.http.post("/v1/chat/completions", json=body).raise_for_status()
    assert again.trace(answer.headers["x-assay-trace-id"])
    assert again.stop() == 0


def test_an_idle_directory_can_be_saved_and_a_full_one_is_not_restored_over(tmp_path: Path) -> None:
    made = command("--data", str(tmp_path / "data"), "--json", "keys", "create", "mine", cwd=tmp_path)
    key = json.loads(made.stdout)["id"]
    (tmp_path / "data/secret.key").write_bytes(bytes(32))
    (tmp_path / "data/secret.key").chmod(0o600)
    (tmp_path / "data/other-room").mkdir()
    (tmp_path / "data/other-room/kept.bin").write_bytes(b"kept")
    for folder in ("cache", "replays"):
        (tmp_path / "data" / folder / "0000000001.cache").write_bytes(b"an answer")
    saved = command("--data", str(tmp_path / "data"), "backup", "it.tar", cwd=tmp_path)
    assert saved.returncode == 0, saved.stderr

    refused = command("--data", str(tmp_path / "data"), "restore", "it.tar", cwd=tmp_path)
    assert (refused.returncode, "is not empty" in refused.stderr) == (70, True)
    again = command("--data", str(tmp_path / "data"), "backup", "it.tar", cwd=tmp_path)
    assert (again.returncode, "is there already" in again.stderr) == (70, True)
    checked = command("restore", "it.tar", "--check", cwd=tmp_path)
    assert "it.tar is whole: " in checked.stdout

    restored = command("--data", str(tmp_path / "new"), "restore", "it.tar", cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    listed = command("--data", str(tmp_path / "new"), "--json", "keys", "list", cwd=tmp_path)
    assert key in {item["id"] for item in json.loads(listed.stdout)["items"]}
    assert (tmp_path / "new/other-room/kept.bin").read_bytes() == b"kept"
    assert not list((tmp_path / "new").rglob("*.cache")), (
        "answers that are told again are no backup's business"
    )
    assert not (tmp_path / "new/secret.key").exists(), (
        "the key of the secrets is not in a backup unless asked for"
    )
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "it.tar", "new"], (
        "nothing is left behind"
    )
    assert not list((tmp_path / "data/backups/.work").iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small backup."""
    folder = tmp_path_factory.mktemp("saved")
    made = command("--data", "data", "backup", "it.tar", cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder / "it.tar"


def remade(saved: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The same tar with its members changed or (None) left out."""
    with tarfile.open(saved) as source, tarfile.open(to, "w") as target:
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            if (body := change(member.name, file.read())) is not None:
                member.size = len(body)
                target.addfile(member, io.BytesIO(body))
    return to


def flipped(body: bytes) -> bytes:
    """With one bit of it changed."""
    return body[:-1] + bytes([body[-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, body: flipped(body) if name == "records.sqlite" else body, "records.sqlite is damaged"),
        (lambda name, body: None if name == "spans.duckdb" else body, "spans.duckdb is missing"),
        (lambda name, body: None if name == "manifest.json" else body, "has no manifest.json"),
        (lambda name, body: b"{}" if name == "manifest.json" else body, "is not a backup's"),
        (
            lambda name, body: (
                body.replace(b'"format": 1', b'"format": 7') if name == "manifest.json" else body
            ),
            "format 7",
        ),
    ],
    ids=["changed", "lost", "cut", "foreign", "newer"],
)
def test_a_backup_that_is_not_as_it_was_made_is_refused_and_leaves_nothing(
    saved: Path, tmp_path: Path, change: Callable[[str, bytes], bytes | None], words: str
) -> None:
    bad = remade(saved, tmp_path / "bad.tar", change)
    with pytest.raises(Unusable, match=words):
        verify(bad)
    with pytest.raises(Unusable, match=words):
        restore(bad, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_a_backup_that_ends_early_is_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    for share in (2, 3, 50):
        (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // share])
        with pytest.raises(Unusable, match=r"not a whole backup|no manifest|missing"):
            verify(tmp_path / "cut.tar")


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_backup_cannot_write_outside_of_its_directory(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(Unusable, match="outside of the data directory"):
        restore(tmp_path / "evil.tar", tmp_path / "deep/data")
    assert not (tmp_path / "outside").exists()


def test_a_backup_with_a_link_in_it_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(Unusable, match="no plain file"):
        restore(tmp_path / "evil.tar", tmp_path / "data")


def test_the_manifest_has_every_file_with_its_checksum(saved: Path) -> None:
    with tarfile.open(saved) as archive:
        bodies = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    manifest = json.loads(bodies.pop("manifest.json"))
    assert {"records.sqlite", "spans.duckdb"} <= bodies.keys()
    assert manifest["files"] == {
        name: {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for name, body in bodies.items()
    }


def test_only_who_runs_the_server_may_take_a_backup_and_one_at_a_time(
    start_assay: Callable[..., Any],
) -> None:
    server = start_assay("").ready()
    server.http.post("/api/projects", json={"id": "other", "name": "Other"}).raise_for_status()
    viewer = server.http.post("/api/keys", json={"name": "v", "role": "viewer"}).json()["key"]
    refused = server.http.get("/api/backup", headers={"authorization": f"Bearer {viewer}"})
    assert refused.status_code == 403

    with server.http.stream("GET", "/api/backup") as first:
        assert first.status_code == 200
        second = server.http.get("/api/backup")
        assert (second.status_code, second.json()["error"]["type"]) == (409, "conflict_error")
        first.read()
    assert server.http.get("/api/backup").status_code == 200
