"""Each event is in the store exactly once, whatever fails in between."""

import asyncio
import contextlib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.errors import Unavailable
from assay.spans import Collector, DuckDBStore, Spool, segments
from assay.spans.duckdb import store as store_module
from assay.spans.quarantine import Quarantine
from assay.spans.types import SpanFilter, StoreDown
from assay.wire.spans import Event, Span

EVERYTHING = SpanFilter(project="default", from_ns=0, to_ns=1 << 62)


class Killed(BaseException):
    """Stands for the end of the process."""


def _names(store: DuckDBStore) -> list[str]:
    return sorted(row.name for row in store.list_spans(EVERYTHING, limit=1000).items)


def test_what_was_appended_can_be_read_after_a_drain(
    spool: Spool, store: DuckDBStore, collector: Collector, make_span: Any
) -> None:
    for index in range(30):
        spool.append([make_span(name=f"{index:02d}")])

    asyncio.run(collector.drain())

    assert _names(store) == [f"{index:02d}" for index in range(30)]
    assert collector.state.lag_s == 0
    assert collector.state.collected == 30


def test_drained_segments_are_deleted_and_the_backlog_is_empty(
    spool: Spool, collector: Collector, make_span: Any
) -> None:
    for _ in range(60):
        spool.append([make_span()])
    assert spool.backlog_bytes > 4096

    collector.drain_now()

    assert len(segments.list_segments(spool.directory)) == 1
    assert spool.backlog_bytes == 0


def test_a_thread_collects_by_itself_and_finishes_when_stopped(
    spool: Spool, store: DuckDBStore, tmp_path: Path, make_span: Any
) -> None:
    collector = Collector(spool, store, Quarantine(tmp_path / "q"), every_s=0.01)
    collector.start()
    spool.append([make_span(name="first")])
    asyncio.run(collector.drain())
    spool.append([make_span(name="last")])

    collector.stop()

    assert _names(store) == ["first", "last"]


@pytest.mark.parametrize("where", ["insert", "move", "commit", "acknowledge", "release", "unlink"])
def test_a_kill_at_any_step_repeats_nothing_and_loses_nothing(
    tmp_path: Path, make_span: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def die(*args: Any, **kwargs: Any) -> None:
        raise Killed

    spool, store = (
        Spool(tmp_path / "spool", segment_bytes=1000),
        DuckDBStore(tmp_path / "spans.duckdb", threads=1),
    )
    collector = Collector(spool, store, Quarantine(tmp_path / "q"), max_events=4)
    for index in range(12):
        spool.append([make_span(name=f"{index:02d}")])
    spool.flush()
    assert collector.collect()

    with monkeypatch.context() as patched:
        if where == "insert":
            patched.setattr(store, "_insert", die)
        elif where == "move":
            patched.setattr(store, "_move", die)
        elif where == "commit":
            patched.setattr(store_module, "_commit", die)
        elif where == "acknowledge":
            write = store.write

            def write_and_die(*args: Any, **kwargs: Any) -> None:
                write(*args, **kwargs)
                raise Killed

            patched.setattr(store, "write", write_and_die)
        elif where == "release":
            patched.setattr(spool, "release", die)
        else:
            patched.setattr(Path, "unlink", die)
        with pytest.raises(Killed):
            collector.collect()
    spool.close()
    store.close()

    spool, store = (
        Spool(tmp_path / "spool", segment_bytes=1000),
        DuckDBStore(tmp_path / "spans.duckdb", threads=1),
    )
    Collector(spool, store, Quarantine(tmp_path / "q")).drain_now()
    rows = store._rows("SELECT name FROM spans ORDER BY name", [])
    spool.close()
    store.close()
    assert [name for (name,) in rows] == [f"{index:02d}" for index in range(12)]


def test_a_new_spool_in_the_place_of_an_old_one_is_read_from_its_start(
    tmp_path: Path, store: DuckDBStore, make_span: Any
) -> None:
    for name in ("old", "new"):
        spool = Spool(tmp_path / name)
        spool.append([make_span(name=name)])
        Collector(spool, store, Quarantine(tmp_path / "q")).drain_now()
        spool.close()

    assert _names(store) == ["new", "old"]


def test_a_store_that_is_down_is_tried_again_and_telemetry_is_held(
    spool: Spool, store: DuckDBStore, tmp_path: Path, make_span: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise StoreDown("no room")

    collector = Collector(spool, store, Quarantine(tmp_path / "q"), stuck_after_s=-1)
    spool.append([make_span(name="waits")])
    with monkeypatch.context() as patched:
        patched.setattr(store, "write", refuse)
        with pytest.raises(Unavailable, match="no room"):
            collector.drain_now(timeout_s=0)
        assert collector.state.stuck
        with pytest.raises(Unavailable, match="The collector is stuck: no room"):
            spool.admit_telemetry()

    collector.drain_now()

    assert _names(store) == ["waits"]
    spool.admit_telemetry()


def test_an_event_that_cannot_be_kept_goes_into_quarantine_and_the_others_go_on(
    spool: Spool, store: DuckDBStore, collector: Collector, make_span: Any
) -> None:
    for index in range(20):
        cost = Decimal("1e30") if index == 13 else None
        spool.append([make_span(name=f"{index:02d}", cost_usd=cost)])

    collector.drain_now()

    assert _names(store) == [f"{index:02d}" for index in range(20) if index != 13]
    (entry,) = collector.quarantine.list()
    assert "1E+30 US dollars" in entry.reason
    assert collector.state.quarantined == 1


def test_a_projector_changes_events_and_its_failure_costs_only_its_record(
    spool: Spool, store: DuckDBStore, tmp_path: Path, make_span: Any
) -> None:
    class Renamer:
        def project(self, events: Sequence[Event]) -> Sequence[Event]:
            return [
                msgspec.structs.replace(event, name=str(int(event.name) + 100))
                for event in events
                if isinstance(event, Span)
            ]

    collector = Collector(spool, store, Quarantine(tmp_path / "q"), projectors=[Renamer()])
    for name in ("1", "two", "3"):
        spool.append([make_span(name=name)])

    collector.drain_now()

    assert _names(store) == ["101", "103"]
    assert "invalid literal" in collector.quarantine.list()[0].reason


def test_damage_in_the_middle_is_stepped_over_and_set_aside(
    tmp_path: Path, store: DuckDBStore, make_span: Any
) -> None:
    spool = Spool(tmp_path / "spool")
    ends = []
    for index in range(3):
        spool.append([make_span(name=f"{index}")])
        ends.append(segments.path_of(spool.directory, 1).stat().st_size)
    spool.close()
    with segments.path_of(spool.directory, 1).open("r+b") as file:
        file.seek(ends[0] + 60)
        file.write(b"\0\0\0\0")

    spool = Spool(tmp_path / "spool")
    collector = Collector(spool, store, Quarantine(tmp_path / "q"))
    collector.drain_now()
    spool.close()

    assert _names(store) == ["0", "2"]
    assert collector.state.damaged_bytes == ends[1] - ends[0]
    assert len(collector.quarantine) == 1


def test_the_same_quarantine_entry_is_kept_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q")
    for _ in range(2):
        quarantine.add(b"x", reason="because", source="s", at_ns=1)

    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "q" / "rubbish.json").write_text("{")
    assert [entry.reason for entry in quarantine.list()] == ["because"]
