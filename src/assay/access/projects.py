"""Projects: making, renaming and archiving them.

Everything else belongs to one. Nothing is deleted: an archived project's keys open no more and nobody enters it until it
is restored.
"""

import re

from sqlalchemy import Connection

from assay.access import store
from assay.access.authentication import KEYS
from assay.access.logins import SESSIONS
from assay.access.types import PROJECT, Project
from assay.errors import BadRequest, Conflict
from assay.kit.clock import SYSTEM, Clock
from assay.records import touch

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NAME_LENGTH = 100


def create_project(
    tx: Connection, project: str, *, name: str | None = None, clock: Clock = SYSTEM
) -> Project:
    """Make a project. Raises `Conflict` when the id is or was in use."""
    if not _ID.fullmatch(project):
        raise BadRequest(
            f"{project!r} cannot be the id of a project",
            param="id",
            hint="Lower-case letters, digits, - and _, at most 63, e.g. shop. It never changes; the name may.",
        )
    made = Project(project=project, name=_checked(name or project), created_at_ns=clock.now_ns())
    if not store.add_project(tx, made):
        raise Conflict(
            f"There is a project {project!r} already, perhaps archived",
            hint="Choose another id, or restore it.",
        )
    touch(tx, SESSIONS.name)
    return made


def rename_project(tx: Connection, project: str, name: str) -> Project:
    """Give it another name; its id stays. Raises `NotFound`."""
    store.get_project(tx, project)
    store.change_project(tx, project, name=_checked(name))
    touch(tx, SESSIONS.name)
    return store.get_project(tx, project)


def archive_project(tx: Connection, project: str, *, clock: Clock = SYSTEM) -> Project:
    """Close it: its keys open no more, nobody enters it. Raises `NotFound`, and `Conflict` for `default`."""
    if project == PROJECT:
        raise Conflict(f"The project {PROJECT!r} cannot be archived: its admins run the server")
    if store.get_project(tx, project).archived_at_ns is None:
        store.change_project(tx, project, archived_at_ns=clock.now_ns())
        _opened_or_closed(tx)
    return store.get_project(tx, project)


def restore_project(tx: Connection, project: str) -> Project:
    """Open an archived project again, with everything that it had. Raises `NotFound`."""
    store.get_project(tx, project)
    store.change_project(tx, project, archived_at_ns=None)
    _opened_or_closed(tx)
    return store.get_project(tx, project)


def list_projects(tx: Connection) -> list[Project]:
    """Every project, archived ones too, by id."""
    return store.list_projects(tx)


def get_project(tx: Connection, project: str) -> Project:
    """One project. Raises `NotFound`."""
    return store.get_project(tx, project)


def _opened_or_closed(tx: Connection) -> None:
    touch(tx, KEYS.name)
    touch(tx, SESSIONS.name)


def _checked(name: str) -> str:
    plain = name.strip()
    if not plain or len(plain) > _NAME_LENGTH or not plain.isprintable():
        raise BadRequest(
            f"{name!r} cannot name a project",
            param="name",
            hint=f"1 to {_NAME_LENGTH} printable characters.",
        )
    return plain
