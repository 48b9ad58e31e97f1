from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Connection, MetaData, Table, Text, delete, insert, update
from sqlalchemy.exc import IntegrityError

from assay.records import Json, Records, audited, insert_new, unaudited, upsert
from assay.records.auditing import Change, note

doors = Table(
    "doors",
    MetaData(),
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("colour", Text),
    Column("fittings", Json()),
    Column("lock", Text),
    Column("oiled_at_ns", BigInteger),
    Column("closed_at_ns", BigInteger),
    Column("is_open", Boolean),
    info=audited(
        "door",
        subject=("project", "name"),
        shows=("colour", "fittings", "closed_at_ns"),
        verbs={"closed_at_ns": ("closed", "opened")},
    ),
)
paints = Table(
    "paints",
    doors.metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("door", Text),
    Column("colour", Text),
    info=audited("paint", subject=("door",), shows=("colour",), succeeds=True),
)
steps = Table(
    "steps", doors.metadata, Column("id", Text, primary_key=True), info=unaudited("nobody minds a step")
)
walls = Table("walls", doors.metadata, Column("id", Text, primary_key=True))


class House:
    """Records that remember what they were told."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.told: list[Change] = []
        with self.records.write() as tx:
            doors.metadata.create_all(tx)
        self.records.observe(lambda tx, changes: self.told.extend(changes))

    def do(self, *statements: Any) -> list[Change]:
        """What one transaction of these statements tells."""
        self.told.clear()
        with self.records.write() as tx:
            for statement in statements:
                tx.execute(statement)
        return list(self.told)

    def door(self, name: str = "front", **columns: Any) -> None:
        self.do(insert(doors).values(project="p", name=name, **columns))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.records.close()


def test_a_new_row_is_told_with_what_may_be_shown_of_it(house: House) -> None:
    made = insert(doors).values(project="p", name="front", colour="red", lock="1234", fittings={"bell": True})
    (change,) = house.do(made)
    assert change == Change(
        action="door.created",
        project="p",
        subject="p/front",
        after={"colour": "red", "fittings": {"bell": True}},
    )


def test_a_change_is_told_by_the_columns_that_differ(house: House) -> None:
    house.door(colour="red", fittings=[1])
    (change,) = house.do(update(doors).where(doors.c.name == "front").values(colour="blue", oiled_at_ns=1))
    assert (change.action, change.before, change.after) == (
        "door.changed",
        {"colour": "red"},
        {"colour": "blue"},
    )


def test_a_row_is_found_again_though_the_condition_that_chose_it_no_longer_holds(house: House) -> None:
    house.door(colour="red")
    house.door("back", colour="red")
    changes = house.do(update(doors).where(doors.c.colour == "red").values(colour="blue"))
    assert [(change.subject, change.after) for change in changes] == [
        ("p/front", {"colour": "blue"}),
        ("p/back", {"colour": "blue"}),
    ]


def test_a_column_that_is_not_named_is_never_told(house: House) -> None:
    house.door(lock="1234", colour="red")
    assert house.do(update(doors).values(lock="5678")) == []
    (change,) = house.do(update(doors).values(lock="9012", colour="blue"))
    assert "9012" not in repr(change)


def test_a_time_that_is_set_or_cleared_has_its_own_verb_and_reads_as_a_time(house: House) -> None:
    house.door()
    (closed,) = house.do(update(doors).values(closed_at_ns=1_767_225_600_000_000_000))
    assert (closed.action, closed.before, closed.after) == (
        "door.closed",
        {"closed_at": None},
        {"closed_at": "2026-01-01T00:00:00.000000Z"},
    )
    (opened,) = house.do(update(doors).values(closed_at_ns=None))
    assert opened.action == "door.opened"


def test_a_row_that_goes_is_told_as_it_was(house: House) -> None:
    house.door(colour="red", lock="1234")
    (change,) = house.do(delete(doors))
    assert (change.action, change.before, change.after) == ("door.removed", {"colour": "red"}, None)


def test_statements_that_change_nothing_that_is_shown_tell_nothing(house: House) -> None:
    house.door(colour="red")
    assert house.do(update(doors).values(is_open=True)) == []
    assert house.do(update(doors).where(doors.c.name == "none").values(colour="x")) == []
    assert house.do(delete(doors).where(doors.c.name == "none")) == []
    assert house.do(insert(steps).values(id="1"), insert(walls).values(id="1")) == []


def test_a_row_that_takes_the_place_of_another_is_told_as_its_change(house: House) -> None:
    def paint(paint_id: str, colour: str, *, project: str = "p", door: str = "front") -> Any:
        return insert(paints).values(project=project, id=paint_id, door=door, colour=colour)

    changes = house.do(
        paint("1", "red"),
        paint("2", "blue"),
        paint("3", "green", door="back"),
        paint("4", "grey", project="q"),
        paint("5", "white"),
    )
    assert [(change.action, change.before, change.after) for change in changes] == [
        ("paint.created", None, {"colour": "red"}),
        ("paint.changed", {"colour": "red"}, {"colour": "blue"}),
        ("paint.created", None, {"colour": "green"}),
        ("paint.created", None, {"colour": "grey"}),
        ("paint.changed", {"colour": "blue"}, {"colour": "white"}),
    ]


def test_the_two_kinds_of_careful_insert_tell_what_they_did(house: House) -> None:
    red, blue = ({"project": "p", "name": "front", "colour": colour} for colour in ("red", "blue"))

    def told(act: Any) -> list[tuple[str, Any, Any]]:
        house.told.clear()
        with house.records.write() as tx:
            act(tx)
        return [(change.action, change.before, change.after) for change in house.told]

    def insert_once(tx: Connection) -> None:
        insert_new(tx, doors, red)

    def set_blue(tx: Connection) -> None:
        upsert(tx, doors, blue)

    assert told(insert_once) == [("door.created", None, {"colour": "red"})]
    assert told(insert_once) == []
    assert told(set_blue) == [("door.changed", {"colour": "red"}, {"colour": "blue"})]
    assert told(lambda tx: upsert(tx, doors, [blue, {**blue, "name": "back"}])) == [
        ("door.created", None, {"colour": "blue"})
    ]


def test_what_a_transaction_did_is_told_together_and_before_it_commits(house: House) -> None:
    seen: list[int] = []

    def observe(tx: Connection, changes: Any) -> None:
        seen.append(len(changes))
        tx.execute(insert(steps).values(id="written by the observer"))

    house.records.observe(observe)
    with house.records.write() as tx:
        tx.execute(insert(doors).values(project="p", name="a"))
        tx.execute(insert(doors).values(project="p", name="b"))
        note(tx, Change(action="bell.rung", subject="front"))
    assert seen == [3]
    with house.records.read() as tx:
        assert tx.execute(steps.select()).scalars().all() == ["written by the observer"]


def test_when_the_log_cannot_be_written_nothing_is(house: House) -> None:
    def refuse(tx: Connection, changes: Any) -> None:
        raise OSError("the log is full")

    house.records.observe(refuse)
    with pytest.raises(OSError, match="full"):
        house.door()
    house.records.observe(lambda tx, changes: None)
    with house.records.read() as tx:
        assert tx.execute(doors.select()).all() == []


def test_a_transaction_that_fails_tells_nothing_and_leaves_nothing_to_the_next(house: House) -> None:
    front = insert(doors).values(project="p", name="front")
    with pytest.raises(IntegrityError):
        house.do(front, front)
    assert house.told == []
    assert house.do(insert(steps).values(id="1")) == []


def test_long_values_are_cut(house: House) -> None:
    (change,) = house.do(
        insert(doors).values(project="p", name="front", colour="x" * 5_000, fittings=["y"] * 5_000)
    )
    assert change.after is not None
    assert change.after["colour"].endswith("[4700 more characters]")
    assert len(change.after["fittings"]) < 400


def test_a_statement_whose_rows_cannot_be_told_is_refused(house: House) -> None:
    with pytest.raises(RuntimeError, match="doors is audited"), house.records.write() as tx:
        tx.execute(update(doors), [{"colour": "red"}, {"colour": "blue"}])


def test_a_note_needs_a_write(house: House) -> None:
    with pytest.raises(RuntimeError, match="outside"), house.records.read() as tx:
        note(tx, Change(action="bell.rung", subject="front"))
