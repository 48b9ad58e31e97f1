"""Every SQL statement about decisions: they are added and read, never changed."""

from sqlalchemy import BigInteger, Column, Connection, Index, Table, Text, insert, select, tuple_

from assay.decisions.types import Decision, Evidence, Kind
from assay.records import Json, metadata, unaudited
from assay.wire.verdicts import Verdict

decisions = Table(
    "decisions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("verdicts", Json(tuple[Verdict, ...]), nullable=False),
    Column("evidence", Json(Evidence), nullable=False),
    Column("note", Text),
    Index("ix_decisions_project_subject", "project", "subject"),
    info=unaudited("a log of its own"),
)

_PLACE = (decisions.c.at_ns, decisions.c.id)


def add(tx: Connection, decision: Decision) -> None:
    """Keep a decision."""
    tx.execute(
        insert(decisions).values(**{name: getattr(decision, name) for name in decision.__struct_fields__})
    )


def decisions_of(
    tx: Connection,
    project: str,
    *,
    kind: Kind | None,
    subject: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Decision]:
    """Decisions of a project, newest first, those before a (time, id)."""
    query = select(decisions).where(decisions.c.project == project)
    if kind is not None:
        query = query.where(decisions.c.kind == kind)
    if subject is not None:
        query = query.where(decisions.c.subject == subject)
    if before is not None:
        query = query.where(tuple_(*_PLACE) < tuple_(*before))
    rows = tx.execute(query.order_by(*(column.desc() for column in _PLACE)).limit(limit)).mappings()
    return [Decision(**{**row, "kind": Kind(row["kind"])}) for row in rows]
