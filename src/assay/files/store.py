"""Every SQL statement about files."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Table, Text, delete, func, select

from assay.files.types import CONTENT, StoredFile
from assay.records import audited, metadata

files = Table(
    "files",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger),
    Index("ix_files_project_sha256", "project", "sha256"),
    info=audited("file", subject=("id",), shows=("filename", "purpose", "bytes")),
)


def add(tx: Connection, file: StoredFile) -> None:
    """A new one."""
    tx.execute(files.insert(), msgspec.to_builtins(file))


def find(tx: Connection, project: str, id: str) -> StoredFile | None:
    """By its whole id."""
    row = tx.execute(select(files).where(files.c.project == project, files.c.id == id)).one_or_none()
    return None if row is None else StoredFile(**row._mapping)


def list_files(
    tx: Connection, project: str, *, purpose: str | None, after: str | None, oldest_first: bool, limit: int
) -> list[StoredFile]:
    """A project's by their ids, which rise with time; those behind `after`."""
    query = select(files).where(files.c.project == project)
    if purpose is not None:
        query = query.where(files.c.purpose == purpose)
    if after is not None:
        query = query.where(files.c.id > after if oldest_first else files.c.id < after)
    order = files.c.id if oldest_first else files.c.id.desc()
    return [StoredFile(**row._mapping) for row in tx.execute(query.order_by(order).limit(limit))]


def remove(tx: Connection, project: str, ids: Sequence[str]) -> None:
    """Let go of some."""
    tx.execute(delete(files).where(files.c.project == project, files.c.id.in_(list(ids))))


def has_content(tx: Connection, project: str, sha256: str) -> bool:
    """Whether a file of the project has this content."""
    query = select(func.count()).select_from(files)
    return bool(tx.execute(query.where(files.c.project == project, files.c.sha256 == sha256)).scalar_one())


def total_bytes(tx: Connection, project: str) -> int:
    """Of all files of a project, each content once."""
    contents = select(files.c.sha256, files.c.bytes).where(files.c.project == project).distinct().subquery()
    return int(tx.execute(select(func.coalesce(func.sum(contents.c.bytes), 0))).scalar_one())


def expired(tx: Connection, now_ns: int) -> list[StoredFile]:
    """Those of every project whose time is over."""
    return _where(tx, files.c.expires_at_ns <= now_ns)


def content_before(tx: Connection, project: str, before_ns: int | None) -> list[StoredFile]:
    """A project's files with questions and answers, those that were made before a moment."""
    chosen: list[Any] = [files.c.project == project, files.c.purpose.in_(CONTENT)]
    if before_ns is not None:
        chosen.append(files.c.created_at_ns < before_ns)
    return _where(tx, *chosen)


def oldest_content(tx: Connection) -> dict[str, int]:
    """Project to when its oldest file with questions and answers was made."""
    query = select(files.c.project, func.min(files.c.created_at_ns)).where(files.c.purpose.in_(CONTENT))
    return {row[0]: row[1] for row in tx.execute(query.group_by(files.c.project))}


def _where(tx: Connection, *chosen: Any) -> list[StoredFile]:
    return [StoredFile(**row._mapping) for row in tx.execute(select(files).where(*chosen))]
