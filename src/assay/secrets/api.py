"""`/api/secrets`: for whoever runs the server. No answer holds a value."""

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from assay.access.guards import requires
from assay.access.types import Right
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.secrets.types import Secret
from assay.secrets.vault import Vault


class SecretRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/secrets/{name}`."""

    value: str


class SecretAnswer(msgspec.Struct):
    """A secret without its value."""

    name: str
    created: str
    changed: str


class Rotated(msgspec.Struct):
    """How many secrets are sealed anew."""

    secrets: int


@get("/api/secrets", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def list_all(vault: NamedDependency[Vault]) -> Page[SecretAnswer]:
    """The names of the secrets and when they were set."""
    return Page([_answer(secret) for secret in vault.list()])


@put("/api/secrets/{name:str}", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def set_value(
    name: FromPath[str], data: JSONBody[SecretRequest], vault: NamedDependency[Vault]
) -> SecretAnswer:
    """Keep a secret, encrypted. A provider whose `api_key` is `secret:NAME` uses it from its next call on."""
    return _answer(vault.set(name, data.value))


@delete("/api/secrets/{name:str}", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def remove(name: FromPath[str], vault: NamedDependency[Vault]) -> None:
    """Forget a secret for good."""
    vault.remove(name)


@post("/api/secrets/rotate", guards=[requires(Right.OPERATE)], status_code=200, sync_to_thread=True)
def rotate(vault: NamedDependency[Vault]) -> Rotated:
    """Seal every secret with a new key of the server."""
    return Rotated(vault.rotate())


def _answer(secret: Secret) -> SecretAnswer:
    return SecretAnswer(secret.name, rfc3339(secret.created_at_ns), rfc3339(secret.changed_at_ns))


handlers = [list_all, set_value, remove, rotate]
