"""Every SQL statement about projects, keys and sessions."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Row,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from assay.access.types import Key, Principal, Role, Session
from assay.errors import NotFound
from assay.records import insert_new, metadata

projects = Table(
    "projects",
    metadata,
    Column("project", Text, primary_key=True),
    Column("created_at_ns", BigInteger, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("project", Text, ForeignKey("projects.project"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("environment", Text),
    Column("prefix", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("revoked_at_ns", BigInteger),
)

sessions = Table(
    "sessions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("hash", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger, nullable=False),
    ForeignKeyConstraint(["project", "key_id"], ["keys.project", "keys.id"]),
)


def add_project(tx: Connection, project: str, at_ns: int) -> None:
    """Make the project unless it is there."""
    insert_new(tx, projects, {"project": project, "created_at_ns": at_ns})


def add_key(tx: Connection, key: Key, digest: str) -> None:
    """Keep a key by the hash of its secret."""
    row = {name: getattr(key, name) for name in key.__struct_fields__}
    tx.execute(insert(keys).values(**row, hash=digest))


def get_key(tx: Connection, project: str, key_id: str) -> Key:
    """One key. Raises `NotFound`."""
    row = tx.execute(select(keys).where(keys.c.project == project, keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no key {key_id!r}", hint="`assay keys list` shows the keys and their ids.")
    return _key(row)


def find_key_by_hash(tx: Connection, digest: str) -> Key | None:
    """The key whose secret has this hash, revoked or not."""
    row = tx.execute(select(keys).where(keys.c.hash == digest)).one_or_none()
    return None if row is None else _key(row)


def keys_of(tx: Connection, project: str, *, before: str | None, limit: int) -> list[Key]:
    """Keys of a project, newest first, those with an id below `before`."""
    query = select(keys).where(keys.c.project == project)
    if before is not None:
        query = query.where(keys.c.id < before)
    return [_key(row) for row in tx.execute(query.order_by(keys.c.id.desc()).limit(limit))]


def count_admins(tx: Connection, project: str) -> int:
    """Admin keys that are not revoked."""
    live = (keys.c.project == project, keys.c.role == Role.ADMIN, keys.c.revoked_at_ns.is_(None))
    return tx.execute(select(func.count()).select_from(keys).where(*live)).scalar_one()


def has_keys(tx: Connection, project: str) -> bool:
    """Whether the project has ever had a key."""
    return tx.execute(select(keys.c.id).where(keys.c.project == project).limit(1)).first() is not None


def set_revoked(tx: Connection, project: str, key_id: str, at_ns: int) -> None:
    """Mark a key as revoked, and end the logins made with it."""
    chosen = (keys.c.project == project, keys.c.id == key_id, keys.c.revoked_at_ns.is_(None))
    tx.execute(update(keys).where(*chosen).values(revoked_at_ns=at_ns))
    tx.execute(delete(sessions).where(sessions.c.project == project, sessions.c.key_id == key_id))


def live_keys(tx: Connection) -> list[tuple[str, Key]]:
    """(hash, key) of every key that is not revoked."""
    return [(row.hash, _key(row)) for row in tx.execute(select(keys).where(keys.c.revoked_at_ns.is_(None)))]


def add_session(
    tx: Connection, project: str, digest: str, key_id: str, at_ns: int, expires_at_ns: int
) -> None:
    """Keep a login by the hash of its token, and forget those that have ended."""
    tx.execute(delete(sessions).where(sessions.c.expires_at_ns <= at_ns))
    row = {
        "project": project,
        "hash": digest,
        "key_id": key_id,
        "created_at_ns": at_ns,
        "expires_at_ns": expires_at_ns,
    }
    tx.execute(insert(sessions).values(**row))


def remove_session(tx: Connection, digest: str) -> None:
    """End one login; one that has ended already is no error."""
    tx.execute(delete(sessions).where(sessions.c.hash == digest))


def live_sessions(tx: Connection) -> list[tuple[str, Session]]:
    """(hash, session) of every login whose key is not revoked; the reader checks the time."""
    query = (
        select(sessions.c.hash, sessions.c.expires_at_ns, keys)
        .join(keys)
        .where(keys.c.revoked_at_ns.is_(None))
    )
    return [(row[0], Session(_principal(_key(row)), row.expires_at_ns)) for row in tx.execute(query)]


def _key(row: Row[Any]) -> Key:
    return Key(
        project=row.project,
        id=row.id,
        name=row.name,
        role=Role(row.role),
        environment=row.environment,
        prefix=row.prefix,
        created_at_ns=row.created_at_ns,
        revoked_at_ns=row.revoked_at_ns,
    )


def _principal(key: Key) -> Principal:
    return Principal(
        project=key.project,
        key_id=key.id,
        name=key.name,
        role=key.role,
        environment=key.environment,
        via="session",
    )
