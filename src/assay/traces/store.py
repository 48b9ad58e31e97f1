"""Every SQL statement about how long a project keeps what it is told."""

from sqlalchemy import Boolean, Column, Connection, ForeignKey, Integer, Table, Text, delete, select

from assay.records import audited, metadata, upsert
from assay.traces.retention import Policy

retention = Table(
    "retention",
    metadata,
    Column("project", Text, ForeignKey("projects.project"), primary_key=True),
    Column("content_days", Integer),
    Column("row_days", Integer),
    Column("imports", Boolean, nullable=False),
    info=audited("retention", subject=("project",), shows=("content_days", "row_days", "imports")),
)


def find_policy(tx: Connection, project: str) -> Policy | None:
    """What a project has chosen; None when it has not."""
    row = tx.execute(select(retention).where(retention.c.project == project)).mappings().one_or_none()
    return None if row is None else _policy(dict(row))


def policies(tx: Connection) -> dict[str, Policy]:
    """Every project that has chosen."""
    return {row["project"]: _policy(dict(row)) for row in tx.execute(select(retention)).mappings()}


def set_policy(tx: Connection, project: str, policy: Policy) -> None:
    """Keep what a project chooses."""
    row = {name: getattr(policy, name) for name in policy.__struct_fields__}
    upsert(tx, retention, {"project": project, **row})


def remove_policy(tx: Connection, project: str) -> None:
    """Leave it to the server again."""
    tx.execute(delete(retention).where(retention.c.project == project))


def _policy(row: dict[str, object]) -> Policy:
    del row["project"]
    return Policy(**row)  # type: ignore[arg-type]
