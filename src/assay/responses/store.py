"""Every SQL statement about kept responses."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Table, Text, delete, select

from assay.records import metadata, unaudited
from assay.responses.types import StoredResponse

responses = Table(
    "responses",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("previous_id", Text),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("user_id", Text),
    Column("items", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_responses_project_created_at_ns", "project", "created_at_ns"),
    info=unaudited("what models answered, kept for their clients"),
)


def put(tx: Connection, made: Sequence[StoredResponse]) -> None:
    """Keep new ones."""
    tx.execute(responses.insert(), [msgspec.to_builtins(each) for each in made])


def find(tx: Connection, project: str, id: str) -> StoredResponse | None:
    """By its whole id."""
    row = tx.execute(
        select(responses).where(responses.c.project == project, responses.c.id == id)
    ).one_or_none()
    return None if row is None else StoredResponse(**row._mapping)


def remove(tx: Connection, project: str, id: str) -> bool:
    """Let go of one; says whether it was there."""
    gone = tx.execute(delete(responses).where(responses.c.project == project, responses.c.id == id))
    return gone.rowcount == 1


def remove_of(tx: Connection, project: str, *, user_id: str | None, before_ns: int | None) -> int:
    """Let go of a project's, those of a person, those made before a moment, or both."""
    statement = delete(responses).where(responses.c.project == project)
    if user_id is not None:
        statement = statement.where(responses.c.user_id == user_id)
    if before_ns is not None:
        statement = statement.where(responses.c.created_at_ns < before_ns)
    return tx.execute(statement).rowcount


def oldest(tx: Connection) -> dict[str, int]:
    """Project to when its oldest one was made."""
    projects = tx.execute(select(responses.c.project).distinct()).scalars().all()
    found = {}
    for project in projects:
        query = select(responses.c.created_at_ns).where(responses.c.project == project)
        found[project] = tx.execute(query.order_by(responses.c.created_at_ns).limit(1)).scalar_one()
    return found
