"""Every SQL statement about prompts."""

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Row, Table, Text, func, select

from assay.prompts.content import PromptContent
from assay.prompts.types import Label, PromptSummary, PromptVersion
from assay.records import Json, audited, insert_new, metadata, upsert

versions = Table(
    "prompt_versions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("content", Json(PromptContent), nullable=False),
    Column("inputs", Json(tuple[str, ...]), nullable=False),
    Column("actor", Text, nullable=False),
    Column("notes", Text),
    Column("created_at_ns", BigInteger, nullable=False),
    info=audited("prompt", subject=("name", "version"), shows=("hash", "notes")),
)
labels = Table(
    "prompt_labels",
    metadata,
    Column("project", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("moved_at_ns", BigInteger, nullable=False),
    info=audited("label", subject=("name", "label"), shows=("version",)),
)


def add_version(tx: Connection, version: PromptVersion) -> bool:
    """False when another transaction has just taken this number or this content."""
    return insert_new(tx, versions, msgspec.structs.asdict(version))


def latest_number(tx: Connection, project: str, name: str) -> int:
    """0 for a prompt that is not there."""
    statement = select(func.max(versions.c.version)).where(
        versions.c.project == project, versions.c.name == name
    )
    return tx.execute(statement).scalar() or 0


def find_version(
    tx: Connection, project: str, name: str, *, number: int | None = None, hash: str | None = None
) -> PromptVersion | None:
    """By number or by the whole hash."""
    statement = select(versions).where(versions.c.project == project, versions.c.name == name)
    statement = statement.where(versions.c.version == number if hash is None else versions.c.hash == hash)
    row = tx.execute(statement).one_or_none()
    return None if row is None else _version(row)


def find_by_hash(tx: Connection, project: str, name: str, prefix: str) -> list[PromptVersion]:
    """At most two versions whose hash begins so."""
    statement = select(versions).where(
        versions.c.project == project,
        versions.c.name == name,
        versions.c.hash.startswith(prefix, autoescape=True),
    )
    return [_version(row) for row in tx.execute(statement.limit(2))]


def list_versions(tx: Connection, project: str, name: str) -> list[PromptVersion]:
    """Newest first."""
    statement = select(versions).where(versions.c.project == project, versions.c.name == name)
    return [_version(row) for row in tx.execute(statement.order_by(versions.c.version.desc()))]


def set_label(tx: Connection, project: str, name: str, label: Label) -> None:
    """Make or move it."""
    upsert(tx, labels, {"project": project, "name": name, **msgspec.structs.asdict(label)})


def list_labels(tx: Connection, project: str, name: str) -> list[Label]:
    """By name."""
    statement = (
        select(labels).where(labels.c.project == project, labels.c.name == name).order_by(labels.c.label)
    )
    return [
        Label(label=row.label, version=row.version, actor=row.actor, moved_at_ns=row.moved_at_ns)
        for row in tx.execute(statement)
    ]


def list_prompts(tx: Connection, project: str, *, after: str | None, limit: int) -> list[PromptSummary]:
    """By name, those behind `after`."""
    statement = (
        select(
            versions.c.name, func.count(), func.max(versions.c.version), func.max(versions.c.created_at_ns)
        )
        .where(versions.c.project == project)
        .group_by(versions.c.name)
        .order_by(versions.c.name)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(versions.c.name > after)
    rows = tx.execute(statement).all()
    pointers = select(labels).where(labels.c.project == project, labels.c.name.in_([row[0] for row in rows]))
    marked: dict[str, dict[str, int]] = {}
    for row in tx.execute(pointers.order_by(labels.c.label)):
        marked.setdefault(row.name, {})[row.label] = row.version
    return [
        PromptSummary(
            name=name, versions=count, latest=latest, changed_at_ns=changed, labels=marked.get(name, {})
        )
        for name, count, latest, changed in rows
    ]


def _version(row: Row[tuple[object, ...]]) -> PromptVersion:
    return PromptVersion(**row._mapping)
