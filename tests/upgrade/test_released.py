"""A data directory of every released version, opened by this one: everything that it kept is there, and the same.

`scripts/freeze.py` made them: a server that had been through the loop and was killed with calls still in its spool.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from assay.errors import Unusable
from assay.operations.upgrading import upgrade
from assay.records.upgrade import revisions
from assay.spans import DuckDBStore
from assay.spans.duckdb import layout, schema
from assay.spans.types import SpanFilter

RELEASED = Path(__file__).parent / "released"
VERSIONS = sorted(path.stem for path in RELEASED.glob("*.json"))
RELATIVE = {"ago", "age_s"}
"""Fields that change with the time of asking."""


class Frozen:
    """A released version's directory, unpacked, and what its API answered."""

    def __init__(self, version: str, folder: Path) -> None:
        with tarfile.open(RELEASED / f"{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        kept = json.loads((RELEASED / f"{version}.json").read_text())
        self.version = version
        self.data = folder / "data"
        self.key: str = kept["key"]
        self.config: str = kept["config"]
        self.answers: dict[str, Any] = kept["answers"]
        self.traces: dict[str, Any] = kept["traces"]
        self.late: list[str] = kept["late"]


@pytest.fixture(params=VERSIONS)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Frozen:
    """Each released version in turn."""
    return Frozen(request.param, tmp_path)


def is_kept(old: Any, new: Any) -> bool:
    """Whether a newer answer says all that the older one said; it may say more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(
            name in new and is_kept(value, new[name]) for name, value in old.items() if name not in RELATIVE
        )
    if isinstance(old, list):
        return (
            isinstance(new, list)
            and len(old) == len(new)
            and all(is_kept(*pair) for pair in zip(old, new, strict=True))
        )
    return bool(old == new)


def test_something_is_frozen() -> None:
    assert VERSIONS[0] == "0.1.0"


def test_a_server_goes_on_with_everything_that_an_earlier_release_kept(
    frozen: Frozen, start_assay: Callable[..., Any]
) -> None:
    server = start_assay(frozen.config, data=frozen.data).ready()
    server.http.headers["authorization"] = f"Bearer {frozen.key}"
    listing = next(path for path in frozen.answers if path.startswith("/api/traces"))

    for trace_id in frozen.late:
        assert server.trace(trace_id), "what was in the spool is collected"
    for trace_id, old in frozen.traces.items():
        assert is_kept(old, server.http.get(f"/api/traces/{trace_id}").json()), trace_id
    for path, old in frozen.answers.items():
        new = server.http.get(path).raise_for_status().json()
        if path == listing:
            new["items"] = [item for item in new["items"] if item["trace_id"] not in frozen.late]
        elif path == "/api/keys":
            new["items"] = new["items"][1:]  # the test's own admin key
        assert is_kept(old, new), (path, old, new)
    assert server.stop() == 0


def command(frozen: Frozen, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """An `assay` command on the frozen directory."""
    return subprocess.run(
        [sys.executable, "-m", "assay", "--data", str(frozen.data), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=frozen.data.parent,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def test_upgrading_by_hand_gives_todays_schema_and_keeps_a_copy_of_what_was(frozen: Frozen) -> None:
    assert command(frozen, "upgrade").returncode == 0
    with closing(sqlite3.connect(frozen.data / "records.sqlite")) as records:
        ((revision,),) = records.execute("SELECT version_num FROM alembic_version").fetchall()
    assert revision == revisions()[-1]
    again = command(frozen, "upgrade")
    assert again.stdout == "Everything is in this release's form already.\n"
    (copy,) = (frozen.data / "backups").glob("before-upgrade-*")
    with closing(sqlite3.connect(copy / "records.sqlite")) as records:
        ((was,),) = records.execute("SELECT version_num FROM alembic_version").fetchall()
    assert was < revision
    with duckdb.connect(str(copy / "spans.duckdb")) as spans:
        assert spans.execute("SELECT version FROM layout").fetchall() != [(schema.VERSION,)]


def test_the_copy_from_before_is_a_way_back(frozen: Frozen) -> None:
    """What the earlier release would find is what it left: the upgrade of the copy gives the same."""
    command(frozen, "upgrade")
    first = command(frozen, "--json", "keys", "list").stdout
    (copy,) = (frozen.data / "backups").glob("before-upgrade-*")
    for name in ("records.sqlite", "spans.duckdb"):
        (copy / name).replace(frozen.data / name)
    assert command(frozen, "upgrade").returncode == 0
    assert command(frozen, "--json", "keys", "list").stdout == first


def test_a_server_that_starts_upgrades_and_says_so(frozen: Frozen, start_assay: Callable[..., Any]) -> None:
    server = start_assay(frozen.config, data=frozen.data).ready()
    assert "in this one's form now" in server.said
    assert "before-upgrade-" in server.said
    server.stop()


def test_without_room_for_a_copy_nothing_is_changed(frozen: Frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    before = {path: path.read_bytes() for path in frozen.data.rglob("*.duckdb*")}
    with pytest.raises(Unusable, match="no room for a copy of records"):
        upgrade(frozen.data)
    assert {path: path.read_bytes() for path in frozen.data.rglob("*.duckdb*")} == before
    assert not (frozen.data / "backups").exists()
    assert upgrade(frozen.data, with_copy=False)


def test_a_step_of_the_span_store_that_fails_leaves_the_older_layout_whole(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    if frozen.version != "0.1.0":
        pytest.skip("the step is tried on the layout that needs it")
    broken = {1: f"{layout.UPGRADES[1]} FAIL no_such_column;"}
    monkeypatch.setattr(layout, "UPGRADES", broken)
    with pytest.raises(Unusable, match=r"no_such_column|FAIL"):
        DuckDBStore(frozen.data / "spans.duckdb")
    monkeypatch.undo()
    store = DuckDBStore(frozen.data / "spans.duckdb")
    assert store.traffic(SpanFilter(project="default", from_ns=0, to_ns=1 << 62)).calls > 3
    store.close()


def test_what_a_newer_release_wrote_is_refused_by_both(frozen: Frozen) -> None:
    command(frozen, "upgrade")
    with duckdb.connect(str(frozen.data / "spans.duckdb")) as spans:
        spans.execute("UPDATE layout SET version = 99")
    refused = command(frozen, "upgrade")
    assert (refused.returncode, "layout 99" in refused.stderr) == (70, True)
    with closing(sqlite3.connect(frozen.data / "records.sqlite")) as records:
        records.execute("UPDATE alembic_version SET version_num = '9999'")
        records.commit()
    for words in (("upgrade",), ("up", "--port", "0")):
        refused = command(frozen, *words)
        assert (refused.returncode, "9999" in refused.stderr) == (70, True), refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_directory_that_a_server_holds_is_not_upgraded_under_it(
    frozen: Frozen, start_assay: Callable[..., Any]
) -> None:
    server = start_assay(frozen.config, data=frozen.data).ready()
    refused = command(frozen, "upgrade")
    assert (refused.returncode, "is held by process" in refused.stderr) == (70, True)
    server.stop()
