"""Every SQL statement about releases."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Row, Table, Text, func, select

from assay.records import Json, audited, metadata, unaudited, upsert
from assay.releases.types import Release

releases = Table(
    "releases",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("variants", Json(dict[str, float]), nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("note", Text),
    Column("comparison_id", Text),
    Column("restores", Text),
    info=audited(
        "release",
        subject=("task", "environment"),
        shows=("variants", "note", "comparison_id", "restores"),
        succeeds=True,
    ),
)
file_releases = Table(
    "file_releases",
    metadata,
    Column("project", Text, primary_key=True),
    Column("task", Text, primary_key=True),
    Column("variants", Json(dict[str, float]), nullable=False),
    info=unaudited("what the file said last, to tell whether it says something new"),
)
"""What the configuration file last said, so that saying it again does not undo what people decided since."""


def add(tx: Connection, release: Release) -> None:
    """Append it; ids grow with time, so the newest is the one that serves."""
    tx.execute(releases.insert(), msgspec.structs.asdict(release))


def history(
    tx: Connection, project: str, task: str, environment: str, *, before: str | None = None, limit: int = 100
) -> list[Release]:
    """Newest first."""
    statement = select(releases).where(
        releases.c.project == project, releases.c.task == task, releases.c.environment == environment
    )
    if before is not None:
        statement = statement.where(releases.c.id < before)
    return [_release(row) for row in tx.execute(statement.order_by(releases.c.id.desc()).limit(limit))]


def newest(tx: Connection, project: str | None = None, task: str | None = None) -> list[Release]:
    """The release that serves, for each task and environment."""
    last = select(func.max(releases.c.id)).group_by(
        releases.c.project, releases.c.task, releases.c.environment
    )
    statement = (
        select(releases).where(releases.c.id.in_(last)).order_by(releases.c.task, releases.c.environment)
    )
    if project is not None:
        statement = statement.where(releases.c.project == project)
    if task is not None:
        statement = statement.where(releases.c.task == task)
    return [_release(row) for row in tx.execute(statement)]


def file_release(tx: Connection, project: str, task: str) -> dict[str, float] | None:
    """What the file last said about the task."""
    statement = select(file_releases.c.variants).where(
        file_releases.c.project == project, file_releases.c.task == task
    )
    found: dict[str, float] | None = tx.execute(statement).scalar()
    return found


def set_file_release(tx: Connection, project: str, task: str, variants: dict[str, float]) -> None:
    """Remember what the file says now."""
    upsert(tx, file_releases, {"project": project, "task": task, "variants": variants})


def _release(row: Row[Any]) -> Release:
    return Release(**row._asdict())
