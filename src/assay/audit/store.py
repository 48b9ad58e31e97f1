"""Every SQL statement about the log: entries are added and read, never changed."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Table, Text, insert, select, tuple_

from assay.audit.types import Entry, EntryFilter
from assay.records import Json, metadata, unaudited

audit = Table(
    "audit",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("actor_id", Text),
    Column("via", Text, nullable=False),
    Column("address", Text),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("before", Json()),
    Column("after", Json()),
    Index("ix_audit_project_at_ns", "project", "at_ns"),
    Index("ix_audit_at_ns", "at_ns"),
    info=unaudited("it is the log"),
)

_PLACE = (audit.c.at_ns, audit.c.id)


def add(tx: Connection, entries: Sequence[Entry]) -> None:
    """Keep entries."""
    tx.execute(insert(audit), [msgspec.structs.asdict(entry) for entry in entries])


def entries_of(
    tx: Connection, wanted: EntryFilter, *, before: tuple[int, str] | None, limit: int
) -> list[Entry]:
    """Entries, newest first, those before a (time, id)."""
    query = select(audit)
    for column, value in (
        (audit.c.project, wanted.project),
        (audit.c.actor, wanted.actor),
        (audit.c.subject, wanted.subject),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.action is not None:
        noun = audit.c.action.startswith(f"{wanted.action}.", autoescape=True)
        query = query.where((audit.c.action == wanted.action) | noun)
    if wanted.from_ns is not None:
        query = query.where(audit.c.at_ns >= wanted.from_ns)
    if wanted.to_ns is not None:
        query = query.where(audit.c.at_ns < wanted.to_ns)
    if before is not None:
        query = query.where(tuple_(*_PLACE) < tuple_(*before))
    rows = tx.execute(query.order_by(*(column.desc() for column in _PLACE)).limit(limit)).mappings()
    return [Entry(**row) for row in rows]
