"""Every SQL statement about batches."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Row, Table, Text, delete, func, select, update

from assay.batches.types import Batch, BatchStatus, Outcome, Problem
from assay.records import Json, Money, audited, metadata, unaudited, upsert

batches = Table(
    "batches",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("input_file_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("model", Text),
    Column("concurrency", BigInteger, nullable=False),
    Column("environment", Text, nullable=False),
    Column("key_id", Text),
    Column("actor", Text, nullable=False),
    Column("metadata", Json(dict[str, str])),
    Column("problems", Json(list[Problem]), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("usage", Json(dict[str, int])),
    Column("cost_usd", Money),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    Column("times", Json(dict[str, int]), nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger, nullable=False),
    info=audited("batch", subject=("id",), shows=("endpoint", "input_file_id", "status")),
)
results = Table(
    "batch_results",
    metadata,
    Column("project", Text, primary_key=True),
    Column("batch_id", Text, primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("custom_id", Text, nullable=False),
    Column("status_code", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("trace_id", Text),
    Column("usage", Json(dict[str, int])),
    Column("cost_usd", Money),
    info=unaudited("part of a batch"),
)


def add(tx: Connection, batch: Batch) -> None:
    """A new one."""
    tx.execute(batches.insert(), _row(batch))


def find(tx: Connection, project: str, id: str) -> Batch | None:
    """By its whole id."""
    row = tx.execute(select(batches).where(batches.c.project == project, batches.c.id == id)).one_or_none()
    return None if row is None else _batch(row)


def list_batches(tx: Connection, project: str, *, after: str | None, limit: int) -> list[Batch]:
    """A project's, newest first, those older than `after`."""
    query = select(batches).where(batches.c.project == project)
    if after is not None:
        query = query.where(batches.c.id < after)
    return [_batch(row) for row in tx.execute(query.order_by(batches.c.id.desc()).limit(limit))]


def change(tx: Connection, batch: Batch, **values: Any) -> None:
    """Set columns of a batch."""
    chosen = (batches.c.project == batch.project, batches.c.id == batch.id)
    tx.execute(update(batches).where(*chosen).values(**values))


def put_outcomes(tx: Connection, batch: Batch, done: Sequence[Outcome]) -> None:
    """What came of lines; of a line there is one."""
    rows = [
        {"project": batch.project, "batch_id": batch.id, **{name: getattr(each, name) for name in _OUTCOME}}
        for each in done
    ]
    upsert(tx, results, rows)


def done_lines(tx: Connection, batch: Batch) -> set[int]:
    """The lines that something has come of."""
    return set(tx.execute(select(results.c.line).where(*_of(batch))).scalars())


def count_outcomes(tx: Connection, batch: Batch) -> tuple[int, int]:
    """How many lines were answered, and how many failed."""
    counted = select(func.count()).select_from(results).where(*_of(batch))
    total = tx.execute(counted).scalar_one()
    answered = tx.execute(counted.where(results.c.status_code == 200)).scalar_one()
    return answered, total - answered


def iter_outcomes(tx: Connection, batch: Batch) -> Iterator[Outcome]:
    """In the order of the lines."""
    columns = [results.c[name] for name in _OUTCOME]
    for row in tx.execute(select(*columns).where(*_of(batch)).order_by(results.c.line)):
        yield Outcome(**row._mapping)


def remove_outcomes(tx: Connection, batch: Batch) -> None:
    """They are in the files now."""
    tx.execute(delete(results).where(*_of(batch)))


_OUTCOME = Outcome.__struct_fields__


def _of(batch: Batch) -> tuple[Any, Any]:
    return results.c.project == batch.project, results.c.batch_id == batch.id


def _row(batch: Batch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in Batch.__struct_fields__}


def _batch(row: Row[Any]) -> Batch:
    made = dict(row._mapping)
    return msgspec.structs.replace(Batch(**made), status=BatchStatus(made["status"]))
