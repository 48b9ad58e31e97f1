"""Every SQL statement about projects, keys, accounts, roles and browser logins."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
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

from assay.access.types import Key, Project, Role, Session, User
from assay.errors import NotFound
from assay.records import audited, insert_new, metadata, unaudited, upsert

projects = Table(
    "projects",
    metadata,
    Column("project", Text, primary_key=True),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("archived_at_ns", BigInteger),
    info=audited(
        "project",
        subject=("project",),
        shows=("name", "archived_at_ns"),
        verbs={"archived_at_ns": ("archived", "restored")},
    ),
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
    info=audited(
        "key",
        subject=("name",),
        shows=("id", "role", "environment", "prefix", "revoked_at_ns"),
        verbs={"revoked_at_ns": ("revoked", "restored")},
    ),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("must_change_password", Boolean, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("password_changed_at_ns", BigInteger, nullable=False),
    Column("disabled_at_ns", BigInteger),
    Column("signed_in_at_ns", BigInteger),
    info=audited(
        "user",
        subject=("name",),
        shows=("password_changed_at_ns", "must_change_password", "disabled_at_ns"),
        verbs={
            "password_changed_at_ns": ("password_changed", "password_removed"),
            "disabled_at_ns": ("disabled", "enabled"),
        },
    ),
)

members = Table(
    "members",
    metadata,
    Column("project", Text, ForeignKey("projects.project"), primary_key=True),
    Column("user", Text, ForeignKey("users.name"), primary_key=True),
    Column("role", Text, nullable=False),
    info=audited("member", subject=("user",), shows=("role",)),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("key_project", Text),
    Column("key_id", Text),
    Column("user", Text, ForeignKey("users.name")),
    Column("project", Text, ForeignKey("projects.project"), nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("expires_at_ns", BigInteger, nullable=False),
    Column("address", Text),
    Column("browser", Text),
    ForeignKeyConstraint(["key_project", "key_id"], ["keys.project", "keys.id"]),
    info=unaudited("logins that begin, fail and end are noted by themselves"),
)


def add_project(tx: Connection, project: Project) -> bool:
    """Make the project unless its id is taken."""
    return insert_new(tx, projects, {name: getattr(project, name) for name in project.__struct_fields__})


def list_projects(tx: Connection) -> list[Project]:
    """Every project, archived ones too, by id."""
    return [_project(row) for row in tx.execute(select(projects).order_by(projects.c.project))]


def get_project(tx: Connection, project: str) -> Project:
    """One project. Raises `NotFound`."""
    row = tx.execute(select(projects).where(projects.c.project == project)).one_or_none()
    if row is None:
        raise NotFound(f"There is no project {project!r}", hint="`assay projects list` shows them.")
    return _project(row)


def change_project(tx: Connection, project: str, **values: Any) -> None:
    """Set columns of a project."""
    tx.execute(update(projects).where(projects.c.project == project).values(**values))


def hold_project(tx: Connection, project: str) -> None:
    """Let no other transaction count this project's admins until this one ends."""
    tx.execute(select(projects.c.project).where(projects.c.project == project).with_for_update())


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


def has_keys(tx: Connection, project: str) -> bool:
    """Whether the project has ever had a key."""
    return tx.execute(select(keys.c.id).where(keys.c.project == project).limit(1)).first() is not None


def set_revoked(tx: Connection, project: str, key_id: str, at_ns: int) -> None:
    """Mark a key as revoked, and end the logins made with it."""
    chosen = (keys.c.project == project, keys.c.id == key_id, keys.c.revoked_at_ns.is_(None))
    tx.execute(update(keys).where(*chosen).values(revoked_at_ns=at_ns))
    tx.execute(delete(sessions).where(sessions.c.key_project == project, sessions.c.key_id == key_id))


def live_keys(tx: Connection) -> list[tuple[str, Key]]:
    """(hash, key) of every key that opens: not revoked, its project not archived."""
    query = (
        select(keys).join(projects).where(keys.c.revoked_at_ns.is_(None), projects.c.archived_at_ns.is_(None))
    )
    return [(row.hash, _key(row)) for row in tx.execute(query)]


def count_admins(tx: Connection, project: str) -> int:
    """Who could still let others in: admin keys that are not revoked, and admins whose account is not disabled."""
    live = (keys.c.project == project, keys.c.role == Role.ADMIN, keys.c.revoked_at_ns.is_(None))
    people = (
        select(func.count())
        .select_from(members.join(users))
        .where(members.c.project == project, members.c.role == Role.ADMIN, users.c.disabled_at_ns.is_(None))
    )
    return (
        tx.execute(select(func.count()).select_from(keys).where(*live)).scalar_one()
        + tx.execute(people).scalar_one()
    )


def add_user(tx: Connection, user: User, password_hash: str) -> bool:
    """Make an account unless its name is taken."""
    row = {name: getattr(user, name) for name in user.__struct_fields__}
    return insert_new(tx, users, {**row, "password_hash": password_hash})


def find_user(tx: Connection, name: str) -> tuple[User, str] | None:
    """An account and the hash of its password."""
    row = tx.execute(select(users).where(users.c.name == name)).one_or_none()
    return None if row is None else (_user(row), row.password_hash)


def list_users(tx: Connection, *, member_of: str | None = None) -> list[User]:
    """Accounts by name: all, or those with a role in a project."""
    query = select(users).order_by(users.c.name)
    if member_of is not None:
        query = query.join(members).where(members.c.project == member_of)
    return [_user(row) for row in tx.execute(query)]


def change_user(tx: Connection, name: str, **values: Any) -> None:
    """Set columns of an account."""
    tx.execute(update(users).where(users.c.name == name).values(**values))


def roles(
    tx: Connection, *, project: str | None = None, user: str | None = None
) -> list[tuple[str, str, Role]]:
    """(project, user, role) of a project, of a user, or of all."""
    query = select(members).order_by(members.c.project, members.c.user)
    if project is not None:
        query = query.where(members.c.project == project)
    if user is not None:
        query = query.where(members.c.user == user)
    return [(row.project, row.user, Role(row.role)) for row in tx.execute(query)]


def set_role(tx: Connection, project: str, user: str, role: Role) -> None:
    """Give a role in a project, or another one."""
    upsert(tx, members, {"project": project, "user": user, "role": role})


def remove_role(tx: Connection, project: str, user: str) -> None:
    """Take the role in a project away."""
    tx.execute(delete(members).where(members.c.project == project, members.c.user == user))


def add_session(tx: Connection, digest: str, session: Session, *, key_project: str | None) -> None:
    """Keep a login by the hash of its token, and forget those that have ended."""
    tx.execute(delete(sessions).where(sessions.c.expires_at_ns <= session.created_at_ns))
    row = {name: getattr(session, name) for name in session.__struct_fields__}
    tx.execute(insert(sessions).values(**row, hash=digest, key_project=key_project))


def find_session(tx: Connection, digest: str) -> Session | None:
    """The login whose token has this hash, be it over or not."""
    row = tx.execute(select(sessions).where(sessions.c.hash == digest)).one_or_none()
    return None if row is None else _session(row)


def sessions_of(
    tx: Connection, *, user: str | None, key_id: str | None, now_ns: int | None = None
) -> list[Session]:
    """Logins of an account or with a key, newest first; with `now_ns` without those that have ended."""
    chosen = [_whose(user, key_id)]
    if now_ns is not None:
        chosen.append(sessions.c.expires_at_ns > now_ns)
    query = select(sessions).where(*chosen).order_by(sessions.c.created_at_ns.desc(), sessions.c.id.desc())
    return [_session(row) for row in tx.execute(query)]


def remove_sessions(tx: Connection, ids: Sequence[str]) -> None:
    """End logins; one that has ended already is no error."""
    tx.execute(delete(sessions).where(sessions.c.id.in_(ids)))


def enter(tx: Connection, session_id: str, project: str) -> None:
    """Remember the project that a login is in."""
    tx.execute(update(sessions).where(sessions.c.id == session_id).values(project=project))


def all_sessions(tx: Connection) -> list[tuple[str, Session]]:
    """(hash, session) of every login; the reader checks the time and whether its key or account still stands."""
    return [(row.hash, _session(row)) for row in tx.execute(select(sessions))]


def _whose(user: str | None, key_id: str | None) -> ColumnElement[bool]:
    return sessions.c.user == user if user is not None else sessions.c.key_id == key_id


def _project(row: Row[Any]) -> Project:
    return Project(
        project=row.project,
        name=row.name or row.project,
        created_at_ns=row.created_at_ns,
        archived_at_ns=row.archived_at_ns,
    )


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


def _user(row: Row[Any]) -> User:
    return User(**{name: getattr(row, name) for name in User.__struct_fields__})


def _session(row: Row[Any]) -> Session:
    return Session(**{name: getattr(row, name) for name in Session.__struct_fields__})
