"""`/api/keys` and `/api/whoami`."""

from typing import Any, Literal

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assay.access.guards import requires
from assay.access.keys import create_key, list_keys, revoke_key
from assay.access.types import Key, Principal, Role
from assay.errors import BadRequest
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records


class KeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/keys`."""

    name: str
    role: Role = Role.APP
    environment: str | None = None
    budget: Any = None
    limits: Any = None


class KeyAnswer(msgspec.Struct, kw_only=True):
    """A key as the API shows it. `key`, the secret, is there only in the answer that creates it."""

    id: str
    name: str
    role: Role
    environment: str | None
    prefix: str
    created: str
    revoked: str | None
    key: str | msgspec.UnsetType = msgspec.UNSET


class Whoami(msgspec.Struct):
    """Who the server thinks you are."""

    project: str
    name: str
    role: Role
    environment: str | None
    key_id: str | None
    via: Literal["key", "session", "socket"]


@post("/api/keys", guards=[requires(Role.ADMIN)], sync_to_thread=True)
def create(
    data: JSONBody[KeyRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> KeyAnswer:
    """Make a key. Its secret is in this answer and nowhere else."""
    for name in ("budget", "limits"):
        if getattr(data, name) is not None:
            raise BadRequest(
                f"This release does not enforce the {name} of a key yet, so it does not take any",
                param=name,
                hint=f"Leave {name!r} out.",
            )
    with records.write() as tx:
        key, secret = create_key(
            tx, principal.project, name=data.name, role=data.role, environment=data.environment
        )
    return msgspec.structs.replace(answer_of(key), key=secret)


@get("/api/keys", guards=[requires(Role.ADMIN)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Page[KeyAnswer]:
    """Every key of the project, newest first, without the secrets."""
    with records.read() as tx:
        page = list_keys(tx, principal.project, cursor=cursor)
    return Page([answer_of(key) for key in page.items], page.next)


@delete("/api/keys/{key_id:str}", guards=[requires(Role.ADMIN)], status_code=200, sync_to_thread=True)
def revoke(
    key_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> KeyAnswer:
    """End a key for good. It is refused from the moment of this answer."""
    with records.write() as tx:
        return answer_of(revoke_key(tx, principal.project, key_id))


@get("/api/whoami", sync_to_thread=False)
def whoami(principal: NamedDependency[Principal]) -> Whoami:
    """The project, name and role of whoever asks."""
    return Whoami(
        principal.project,
        principal.name,
        principal.role,
        principal.environment,
        principal.key_id,
        principal.via,
    )


def answer_of(key: Key) -> KeyAnswer:
    """A kept key in the shape of the API."""
    return KeyAnswer(
        id=key.id,
        name=key.name,
        role=key.role,
        environment=key.environment,
        prefix=key.prefix,
        created=rfc3339(key.created_at_ns),
        revoked=None if key.revoked_at_ns is None else rfc3339(key.revoked_at_ns),
    )


handlers = [create, list_all, revoke, whoami]
