"""Each thing that can be wrong is found, named, and told what to do about; with the server running and without."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assay.kit.clock import DAY_NS, SYSTEM
from assay.operations.doctor import examine, worst
from assay.operations.findings import Finding, State
from assay.records import Records
from assay.secrets import Vault
from assay.spans import DuckDBStore
from assay.spans.segments import Position
from assay.spans.types import Arrival
from assay.testing import FakeClock, Script, SimulatedServer
from assay.wire.spans import Span, SpanKind

KEY = "sk-upstream-0123456789"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that a server has left in good order."""
    folder = tmp_path / "data"
    records = Records.in_directory(folder)
    records.upgrade()
    records.close()
    store = DuckDBStore(folder / "spans.duckdb", memory_mb=128, threads=1)
    span = Span(
        trace_id="a" * 32,
        span_id="b" * 16,
        project="default",
        name="x",
        kind=SpanKind.MODEL,
        start_ns=1,
        end_ns=2,
    )
    store.write([Arrival(span, DAY_NS)], source="s", position=Position())
    store.seal(before_day=2)
    store.close()
    return folder


@pytest.fixture
def look(data: Path, tmp_path: Path) -> Callable[..., list[Finding]]:
    """Examine it, with a configuration and an environment."""

    def examined(
        config: str = "", clock: Any = SYSTEM, running: str | None = None, **environ: str
    ) -> list[Finding]:
        (tmp_path / "assay.toml").write_text(config)
        return examine(
            data,
            config_path=tmp_path / "assay.toml",
            environ={"ASSAY_PORT": "0", **environ},
            clock=clock,
            running=running,
        )

    return examined


def bad(findings: list[Finding]) -> list[tuple[str, str, str]]:
    """What is not well: area, state, message."""
    return [(each.area, each.state.value, each.message) for each in findings if each.state is not State.OK]


def only(findings: list[Finding], area: str) -> Finding:
    """The one thing that is not well, which is of this area."""
    (found,) = [each for each in findings if each.state is not State.OK]
    assert found.area == area, found
    assert found.hint
    return found


def test_a_directory_in_good_order_is_well(look: Callable[..., list[Finding]]) -> None:
    findings = look()
    assert bad(findings) == []
    assert worst(findings) is State.OK
    assert {
        "versions",
        "data directory",
        "disk",
        "port",
        "clock",
        "records",
        "spans",
        "spool",
        "retention",
        "providers",
    } <= {each.area for each in findings}


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    findings = examine(tmp_path / "nowhere", environ={"ASSAY_PORT": "0"})
    assert [finding[0] for finding in bad(findings)] == ["data directory"]
    assert not (tmp_path / "nowhere").exists(), "an examination makes nothing"


def test_a_directory_that_others_can_enter_is_warned_of(
    look: Callable[..., list[Finding]], data: Path
) -> None:
    data.chmod(0o755)
    assert "can be entered by others (mode 755)" in only(look(), "data directory").message


def test_records_that_others_can_read_are_warned_of(look: Callable[..., list[Finding]], data: Path) -> None:
    (data / "records.sqlite").chmod(0o644)
    assert "records.sqlite can be read by others" in only(look(), "data directory").message


def test_a_full_disk_fails_and_a_filling_one_warns(
    look: Callable[..., list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        total, free = 100 << 30, 50 << 20

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    assert only(look(), "disk").state is State.FAIL
    Usage.free = 5 << 30
    assert only(look(), "disk").state is State.WARN


def test_a_port_in_use_fails_unless_the_server_itself_has_it(look: Callable[..., list[Finding]]) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert only(look(ASSAY_PORT=port), "port").state is State.FAIL
        assert bad(look(ASSAY_PORT=port, running=f"http://127.0.0.1:{port}")) == []
        assert bad(look(ASSAY_PORT=port, running="")) == [], "from inside, it need not know its own address"


def test_listening_to_everybody_is_warned_of(look: Callable[..., list[Finding]]) -> None:
    assert "other machines may reach" in only(look(ASSAY_HOST="0.0.0.0"), "port").message


def test_a_clock_behind_what_was_written_fails(look: Callable[..., list[Finding]]) -> None:
    assert only(look(clock=FakeClock()), "clock").state is State.FAIL


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[wrong]\na = 1", "wrong"),
        ("[models", "not TOML"),
        ("[server]\nshutdown_s = 'x'", "shutdown_s"),
        ("[providers.a]\ntype = 'openai'\napi_key = 'env:NOT_SET_AT_ALL'", "NOT_SET_AT_ALL"),
    ],
)
def test_a_mistake_in_the_configuration_fails_and_the_rest_is_examined(
    look: Callable[..., list[Finding]], config: str, words: str
) -> None:
    findings = look(config)
    assert [(area, state) for area, state, _ in bad(findings)] == [("configuration", "fail")]
    assert words in bad(findings)[0][2]
    assert "records" in {each.area for each in findings}


def test_a_key_in_the_file_itself_is_warned_of(look: Callable[..., list[Finding]]) -> None:
    findings = look(f"[providers.a]\ntype = 'simulated'\napi_key = '{KEY}'")
    assert ("configuration", "warn") in [found[:2] for found in bad(findings)]
    assert not [each for each in findings if KEY in each.message]


def test_records_of_another_release_are_told_apart(look: Callable[..., list[Finding]], data: Path) -> None:
    for revision, state in (("0003", State.WARN), ("9999", State.FAIL)):
        with closing(sqlite3.connect(data / "records.sqlite")) as records:
            records.execute("UPDATE alembic_version SET version_num = ?", [revision])
            records.commit()
        assert only(look(), "records").state is state


def test_damaged_records_fail(look: Callable[..., list[Finding]], data: Path) -> None:
    content = bytearray((data / "records.sqlite").read_bytes())
    content[8192:20_000] = b"\x55" * (20_000 - 8192)
    (data / "records.sqlite").write_bytes(content)
    assert ("records", "fail") in [found[:2] for found in bad(look())]


def test_a_sealed_day_that_is_lost_changed_or_nobodys_is_found(
    look: Callable[..., list[Finding]], data: Path
) -> None:
    (file,) = data.rglob("*.parquet")
    stray = file.with_name("stray.parquet")
    stray.write_bytes(b"x")
    assert only(look(), "spans").state is State.WARN
    stray.unlink()
    file.write_bytes(b"short")
    assert "not as it was written" in only(look(), "spans").message
    file.unlink()
    assert "is missing" in only(look(), "spans").message


def test_spans_of_another_layout_are_told_apart(look: Callable[..., list[Finding]], data: Path) -> None:
    with duckdb.connect(str(data / "spans.duckdb")) as spans:
        spans.execute("UPDATE layout SET version = 99")
    assert only(look(), "spans").state is State.FAIL
    (data / "spans.duckdb").write_bytes(b"rubbish" * 5000)
    assert "cannot be opened" in only(look(), "spans").message


def test_a_store_near_its_limit_is_warned_of(look: Callable[..., list[Finding]]) -> None:
    assert "max_store_mb" in only(look(ASSAY_MAX_STORE_MB="1"), "spans").message


def test_nothing_that_ever_goes_is_warned_of(look: Callable[..., list[Finding]]) -> None:
    forever = {"ASSAY_CONTENT_DAYS": "0", "ASSAY_ROW_DAYS": "0"}
    assert "Nothing ever goes" in (only(look(**forever), "retention").hint or "")
    assert bad(look(**forever, ASSAY_MAX_STORE_MB="9000")) == []


def test_what_lies_in_quarantine_or_was_torn_is_warned_of(
    look: Callable[..., list[Finding]], data: Path
) -> None:
    (data / "quarantine").mkdir()
    (data / "quarantine/x.json").write_text("{}")
    (data / "spool/main/torn").mkdir(parents=True)
    (data / "spool/main/torn/1-2.bin").write_bytes(b"x")
    assert [found[:2] for found in bad(look())] == [("spool", "warn")] * 2


def test_weights_that_are_not_what_was_pulled_fail(look: Callable[..., list[Finding]], data: Path) -> None:
    (data / "models").mkdir()
    (data / "models/tiny.gguf").write_bytes(b"GGUF")
    assert bad(look()) == [], "weights by hand have nothing to compare with"
    receipt = {"name": "tiny", "source": "file:tiny", "sha256": "0" * 64, "size_bytes": 4}
    (data / "models/tiny.json").write_text(json.dumps(receipt))
    assert "assay models pull tiny" in (only(look(), "models").hint or "")


def test_secrets_that_are_missing_lost_or_open_are_found(
    look: Callable[..., list[Finding]], data: Path
) -> None:
    config = "[providers.a]\ntype = 'simulated'\napi_key = 'secret:acme'"
    found = bad(look(config))
    assert ("secrets", "fail", "providers.a refers to the secret 'acme', which is not set") in found
    records = Records.in_directory(data)
    Vault(records, data).set("acme", KEY)
    records.close()
    assert bad(look(config)) == []
    (data / "secret.key").chmod(0o644)
    assert ("secrets", "fail") in [found[:2] for found in bad(look(config))]
    (data / "secret.key").unlink()
    assert "secret.key" in str(bad(look(config)))


@pytest.fixture
def upstream() -> Iterator[SimulatedServer]:
    """An upstream that lets in one key."""
    with SimulatedServer(Script(api_key=KEY)) as server:
        yield server


def test_each_provider_is_asked_and_each_of_its_keys(
    look: Callable[..., list[Finding]], upstream: SimulatedServer
) -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        findings = look(
            f"""
            [providers.good]
            type = "openai"
            base_url = "{upstream.url}"
            api_key = ["env:GOOD", "env:BAD"]
            [providers.messages]
            type = "anthropic"
            base_url = "{upstream.url}"
            api_key = "env:GOOD"
            [providers.silent]
            type = "openai"
            base_url = "http://127.0.0.1:{nobody.getsockname()[1]}/v1"
            """,
            GOOD=KEY,
            BAD="sk-another",
        )
    said = {
        each.message.partition(" ")[0].strip(","): each
        for each in findings
        if each.area == "providers" and "key 2" not in each.message
    }
    (second,) = [each for each in findings if "good, key 2" in each.message]
    assert said["good"].state is State.OK
    assert " ms" in said["good"].message
    assert (second.state, "refuses the key (401" in second.message) == (State.FAIL, True)
    assert said["messages"].state is State.OK
    assert said["silent:"].state is State.FAIL
    assert not [each for each in findings if KEY in each.message]


def test_a_check_that_breaks_is_a_finding(
    look: Callable[..., list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(path: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(shutil, "disk_usage", breaks)
    assert bad(look()) == [("disk", "fail", "It cannot be examined: RuntimeError: unforeseen")]


def command(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`assay doctor`."""
    return subprocess.run(
        [sys.executable, "-m", "assay", "--data", str(data), *arguments],
        capture_output=True, text=True, timeout=60, cwd=data.parent, env={**os.environ, "COLUMNS": "200", "ASSAY_PORT": "0"},
    )  # fmt: skip


def test_the_command_works_on_an_idle_directory_and_its_exit_code_says_whether_something_fails(
    data: Path,
) -> None:
    well = command(data, "doctor")
    assert (well.returncode, well.stdout.splitlines()[-1][-10:]) == (0, "0 failing."), well.stderr
    (data / "records.sqlite").unlink()
    (data / "spans.duckdb").write_bytes(b"rubbish" * 5000)
    ill = command(data, "--json", "doctor")
    assert (ill.returncode, json.loads(ill.stdout)["state"]) == (1, "fail")
    assert "Restore a backup" in command(data, "doctor").stdout


def test_the_command_asks_the_server_that_runs(start_assay: Callable[..., Any]) -> None:
    server = start_assay('[providers.practice]\ntype = "simulated"').ready()
    asked = command(server.data, "--json", "doctor")
    assert asked.returncode == 0, asked.stdout
    said = json.loads(asked.stdout)["findings"]
    assert any("practice" in each["message"] for each in said), "the server's own configuration is examined"
    assert server.http.get("/api/doctor").json()["state"] in ("ok", "warn")
    viewer = server.http.post("/api/keys", json={"name": "v", "role": "viewer"}).json()["key"]
    assert server.http.get("/api/doctor", headers={"authorization": f"Bearer {viewer}"}).status_code == 403
    server.stop()
