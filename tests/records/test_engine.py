import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, Text, insert, select, text
from sqlalchemy.exc import DBAPIError

from assay.errors import MissingExtra, Unusable
from assay.records import Records, insert_new, touch, upsert

notes = Table(
    "notes",
    MetaData(),
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("body", Text),
)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records.in_directory(tmp_path / "data")
    with records.write() as tx:
        notes.create(tx)
    yield records
    records.close()


def bodies(records: Records) -> list[str]:
    with records.read() as tx:
        return list(tx.execute(select(notes.c.body).order_by(notes.c.id)).scalars())


def add(records: Records, note: str) -> None:
    with records.write() as tx:
        tx.execute(insert(notes).values(project="p", id=note, body=note))


def test_a_write_is_kept_when_its_block_ends(records: Records) -> None:
    add(records, "a")
    assert bodies(records) == ["a"]


def test_an_exception_undoes_the_whole_write_and_tells_no_listener(records: Records) -> None:
    heard: list[frozenset[str]] = []
    records.on_commit(heard.append)

    def add_and_fail() -> None:
        with records.write() as tx:
            tx.execute(insert(notes).values(project="p", id="a", body="a"))
            touch(tx, "notes")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        add_and_fail()
    assert bodies(records) == []
    assert heard == []


def test_listeners_hear_what_was_touched_and_can_read_it_before_write_returns(records: Records) -> None:
    heard: list[tuple[frozenset[str], list[str]]] = []
    records.on_commit(lambda names: heard.append((names, bodies(records))))
    with records.write() as tx:
        tx.execute(insert(notes).values(project="p", id="a", body="a"))
        touch(tx, "notes")
        touch(tx, "labels")
    assert heard == [(frozenset({"notes", "labels"}), ["a"])]
    add(records, "b")
    assert len(heard) == 1


def test_touch_outside_a_write_is_refused(records: Records) -> None:
    with records.read() as tx, pytest.raises(RuntimeError, match="outside"):
        touch(tx, "notes")


def test_a_read_transaction_cannot_write(records: Records) -> None:
    with pytest.raises(DBAPIError), records.read() as tx:
        tx.execute(insert(notes).values(project="p", id="a", body="a"))
    assert bodies(records) == []


def test_a_reader_sees_one_state_while_others_write(records: Records) -> None:
    with records.read() as tx:
        assert tx.execute(select(notes.c.id)).all() == []
        add(records, "a")
        assert tx.execute(select(notes.c.id)).all() == []
    assert bodies(records) == ["a"]


def test_writers_of_many_threads_take_turns_and_none_fails(records: Records) -> None:
    def count_up(thread: int) -> None:
        for turn in range(10):
            with records.write() as tx:
                seen = len(tx.execute(select(notes.c.id)).all())
                tx.execute(insert(notes).values(project="p", id=f"{thread}-{turn}", body=str(seen)))

    threads = [threading.Thread(target=count_up, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(body) for body in bodies(records)) == list(range(40))


def test_a_write_inside_a_write_is_refused_instead_of_waiting_for_itself(records: Records) -> None:
    with records.write(), pytest.raises(RuntimeError, match="pass the transaction on"), records.write():
        pass
    add(records, "still usable")
    assert bodies(records) == ["still usable"]


def test_the_file_is_private_and_durable_against_a_power_cut(tmp_path: Path, records: Records) -> None:
    file = tmp_path / "data" / "records.sqlite"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(f"{file}-wal").stat().st_mode) == 0o600
    with records.write() as tx:
        assert tx.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert tx.execute(text("PRAGMA synchronous")).scalar() == 2
        assert tx.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_another_process_holding_the_write_lock_is_waited_for(tmp_path: Path, records: Records) -> None:
    other = sqlite3.connect(
        tmp_path / "data" / "records.sqlite", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Thread(target=add, args=(records, "after the other"))
    waiting.start()
    assert bodies(records) == []
    other.execute("COMMIT")
    waiting.join(timeout=10)
    other.close()
    assert bodies(records) == ["after the other"]


def test_upsert_sets_the_named_columns_of_a_row_that_is_there(records: Records) -> None:
    with records.write() as tx:
        upsert(
            tx, notes, [{"project": "p", "id": "a", "body": "old"}, {"project": "p", "id": "b", "body": "b"}]
        )
        upsert(tx, notes, {"project": "p", "id": "a", "body": "new"})
        upsert(tx, notes, [])
    assert bodies(records) == ["new", "b"]


def test_insert_new_says_whether_the_row_was_new_and_keeps_the_old_one(records: Records) -> None:
    with records.write() as tx:
        assert insert_new(tx, notes, {"project": "p", "id": "a", "body": "first"})
        assert not insert_new(tx, notes, {"project": "p", "id": "a", "body": "second"})
    assert bodies(records) == ["first"]


@pytest.mark.parametrize(
    "url", ["mysql://localhost/assay", "sqlite://", "sqlite:////does/not/exist/records.sqlite"]
)
def test_a_place_that_cannot_keep_records_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(Unusable):
        Records(url)


def test_postgresql_without_its_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match="'server'"):
        Records("postgresql://localhost/assay")
