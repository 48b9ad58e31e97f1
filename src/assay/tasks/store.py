"""Every SQL statement about tasks and variants."""

from collections import defaultdict
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Column, Connection, Row, Table, Text, select

from assay.catalog.caching import CachePolicy
from assay.catalog.guards import GuardRule
from assay.records import Json, audited, insert_new, metadata, upsert
from assay.tasks.types import Task, Variant, VariantSpec

tasks = Table(
    "tasks",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("allow_system", Boolean, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("guards", Json(tuple[GuardRule, ...]), nullable=False),
    Column("cache", Json(CachePolicy)),
    info=audited("task", subject=("name",), shows=("allow_system", "guards", "cache")),
)
variants = Table(
    "task_variants",
    metadata,
    Column("project", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("spec", Json(VariantSpec), nullable=False),
    Column("inputs", Json(tuple[str, ...]), nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    info=audited("variant", subject=("task", "name"), shows=("hash",)),
)


def put_task(tx: Connection, task: Task) -> None:
    """Make it, or change what may be changed of it."""
    row = {name: value for name, value in msgspec.structs.asdict(task).items() if name != "variants"}
    upsert(tx, tasks, row, update=["allow_system", "guards", "cache"])


def add_variant(tx: Connection, variant: Variant) -> bool:
    """False when the name is taken."""
    return insert_new(tx, variants, msgspec.structs.asdict(variant))


def find_task(tx: Connection, project: str, name: str) -> Task | None:
    """With its variants."""
    row = tx.execute(select(tasks).where(tasks.c.project == project, tasks.c.name == name)).one_or_none()
    if row is None:
        return None
    statement = select(variants).where(variants.c.project == project, variants.c.task == name)
    found = tx.execute(statement.order_by(variants.c.created_at_ns, variants.c.name))
    return _task(row, [_variant(each) for each in found])


def list_tasks(
    tx: Connection, project: str | None = None, *, after: str = "", limit: int | None = None
) -> list[Task]:
    """By name, each with its variants; of every project when none is named."""
    statement = select(tasks).where(tasks.c.name > after).order_by(tasks.c.project, tasks.c.name)
    if project is not None:
        statement = statement.where(tasks.c.project == project)
    rows = tx.execute(statement.limit(limit) if limit is not None else statement).all()
    members: dict[tuple[str, str], list[Variant]] = defaultdict(list)
    wanted = select(variants).order_by(variants.c.created_at_ns, variants.c.name)
    if project is not None:
        wanted = wanted.where(variants.c.project == project)
    for each in tx.execute(wanted):
        members[each.project, each.task].append(_variant(each))
    return [_task(row, members[row.project, row.name]) for row in rows]


def _task(row: Row[Any], found: list[Variant]) -> Task:
    return Task(**row._asdict(), variants=tuple(found))


def _variant(row: Row[Any]) -> Variant:
    return Variant(**row._asdict())
