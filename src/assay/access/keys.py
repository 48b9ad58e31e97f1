"""Making, listing and revoking keys."""

import logging
import re
import secrets

from sqlalchemy import Connection

from assay.access import store
from assay.access.accounts import keep_an_admin
from assay.access.authentication import KEYS
from assay.access.logins import SESSIONS
from assay.access.types import PROJECT, Key, Project, Role
from assay.errors import BadRequest, Unusable
from assay.kit.clock import SYSTEM, Clock
from assay.kit.hashing import content_hash
from assay.kit.ids import uuid7
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.records import touch

log = logging.getLogger(__name__)

_PREFIX = "sk-assay-"
_SECRET_BYTES = 32  # 43 characters of URL-safe base64
_SHOWN = len(_PREFIX) + 4
_SHORTEST_ADMIN_KEY = 8
_SAFE_ADMIN_KEY = 32
_NAME_LENGTH = 100
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def create_key(
    tx: Connection,
    project: str,
    *,
    name: str,
    role: Role = Role.APP,
    environment: str | None = None,
    clock: Clock = SYSTEM,
) -> tuple[Key, str]:
    """Make a key and return it with its secret, which nobody can read again."""
    secret = new_secret()
    return _keep(tx, project, secret, name=name, role=role, environment=environment, clock=clock), secret


def new_secret() -> str:
    """A key that nobody knows yet: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def list_keys(tx: Connection, project: str, *, cursor: str | None = None, limit: int = 100) -> Page[Key]:
    """The project's keys, newest first, revoked ones too."""
    before = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.keys_of(tx, project, before=before, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].id) if len(found) > limit else None)


def revoke_key(tx: Connection, project: str, key_id: str, *, clock: Clock = SYSTEM) -> Key:
    """End a key and the logins made with it, for good. Revoking twice changes nothing.

    Raises `NotFound`, and `Conflict` when nobody else is admin, so that nobody shuts themselves out.
    """
    key = store.get_key(tx, project, key_id)
    if key.revoked_at_ns is not None:
        return key
    store.set_revoked(tx, project, key_id, clock.now_ns())
    if key.role is Role.ADMIN:
        keep_an_admin(tx, project, key.name)
    touch(tx, KEYS.name)
    touch(tx, SESSIONS.name)
    return store.get_key(tx, project, key_id)


def prepare(tx: Connection, admin_key: str | None, *, clock: Clock = SYSTEM) -> str | None:
    """Make what a first start needs: the project and an admin key.

    Returns the secret if one was made here, to be printed once. A configured `admin_key` is made known (a new value at a
    later start too, beside the old one, which stays until it is revoked). Raises `Unusable` if it cannot serve as a key.
    """
    store.add_project(tx, Project(project=PROJECT, name=PROJECT, created_at_ns=clock.now_ns()))
    if admin_key is not None:
        _check_admin_key(admin_key)
        if store.find_key_by_hash(tx, content_hash(admin_key.encode())) is None:
            _keep(
                tx,
                PROJECT,
                admin_key,
                name="admin (configured)",
                role=Role.ADMIN,
                environment=None,
                clock=clock,
            )
        return None
    if store.has_keys(tx, PROJECT):
        return None
    _, secret = create_key(tx, PROJECT, name="admin", role=Role.ADMIN, clock=clock)
    return secret


def _keep(
    tx: Connection, project: str, secret: str, *, name: str, role: Role, environment: str | None, clock: Clock
) -> Key:
    name = name.strip()
    if not name or len(name) > _NAME_LENGTH or not name.isprintable():
        raise BadRequest(
            f"{name!r} cannot name a key", param="name", hint=f"1 to {_NAME_LENGTH} printable characters."
        )
    if environment is not None and not _ENVIRONMENT.fullmatch(environment):
        raise BadRequest(
            f"{environment!r} cannot name an environment",
            param="environment",
            hint="Lower-case letters, digits, - and _, at most 63, e.g. production.",
        )
    key = Key(
        project=project,
        id=uuid7(),
        name=name,
        role=role,
        environment=environment,
        prefix=secret[:_SHOWN] if secret.startswith(_PREFIX) else secret[:2],
        created_at_ns=clock.now_ns(),
    )
    store.add_key(tx, key, content_hash(secret.encode()))
    touch(tx, KEYS.name)
    touch(tx, SESSIONS.name)
    return key


def _check_admin_key(secret: str) -> None:
    if len(secret) < _SHORTEST_ADMIN_KEY or not all("!" <= character <= "~" for character in secret):
        raise Unusable(
            "admin_key cannot serve as a key",
            hint=f"At least {_SHORTEST_ADMIN_KEY} characters without spaces, ASCII only; best: openssl rand -hex 32",
        )
    if len(secret) < _SAFE_ADMIN_KEY:
        log.warning(
            "admin_key is short: keys are kept under a fast hash, so use 32 random characters or more."
        )
