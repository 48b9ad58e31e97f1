"""From the headers of a request to its `Principal`, without a database.

The snapshot holds every live key by the SHA-256 of its secret. Comparing hashes in a dict leaks no useful timing: an
attacker cannot choose the hash. Headers that were good once are remembered for the life of that snapshot, so the usual
request costs one dict lookup; a revocation makes a new snapshot, and with it an empty memory.
"""

from collections.abc import Iterable
from hashlib import sha256

from sqlalchemy import Connection

from assay.access import store
from assay.access.types import ENVIRONMENT, Principal
from assay.errors import Forbidden, Unauthorized
from assay.snapshot import Part, Snapshot

Headers = Iterable[tuple[bytes, bytes]]

_AUTHORIZATION = b"authorization"
_CARRIERS = frozenset({_AUTHORIZATION, b"x-api-key"})
_MEMORY_PER_KEY = 4
"""Ways to write one key in a header that are worth remembering."""


class KeyRing:
    """Every live key, by hash."""

    __slots__ = ("_by_digest", "_capacity", "known")

    def __init__(self, by_digest: dict[bytes, Principal]) -> None:
        self._by_digest = by_digest
        self._capacity = _MEMORY_PER_KEY * len(by_digest)
        self.known: dict[bytes, Principal] = {}

    def find(self, secret: bytes) -> Principal | None:
        """Whose secret this is."""
        return self._by_digest.get(sha256(secret).digest())

    def find_in_header(self, name: bytes, value: bytes) -> Principal | None:
        """Whose secret an `Authorization` or `x-api-key` header carries."""
        secret = value.strip()
        if name == _AUTHORIZATION:
            scheme, _, secret = secret.partition(b" ")
            if scheme.lower() != b"bearer":
                return None
        principal = self.find(secret.strip())
        if principal is not None and len(self.known) < self._capacity:
            self.known[value] = principal
        return principal


def _load_keys(tx: Connection) -> KeyRing:
    return KeyRing(
        {
            bytes.fromhex(digest): Principal(
                project=key.project,
                key_id=key.id,
                name=key.name,
                role=key.role,
                environment=key.environment,
                via="key",
                operator=key.operates,
            )
            for digest, key in store.live_keys(tx)
        }
    )


KEYS: Part[KeyRing] = Part("keys", _load_keys)
"""Every live key."""


def carries_key(headers: Headers) -> bool:
    """Whether a request shows a key at all, good or bad."""
    return any(name in _CARRIERS for name, _ in headers)


def authenticate(snapshot: Snapshot, headers: Headers) -> Principal:
    """Who sends a request with these raw ASGI headers (names in lower case). Raises `Unauthorized`."""
    ring = snapshot[KEYS]
    known = ring.known
    for name, value in headers:
        if name in _CARRIERS:
            principal = known.get(value)
            if principal is not None:
                return principal
    return _look_closer(ring, headers)


def _look_closer(ring: KeyRing, headers: Headers) -> Principal:
    shown = [(name, value) for name, value in headers if name in _CARRIERS]
    for name, value in shown:
        principal = ring.find_in_header(name, value)
        if principal is not None:
            return principal
    if not shown:
        raise Unauthorized(
            "No API key was sent",
            hint="Send `Authorization: Bearer sk-assay-…` or `x-api-key: sk-assay-…`; `assay keys create NAME` makes one.",
        )
    name, value = shown[0]
    if name == _AUTHORIZATION and value.strip()[:7].lower() not in (b"bearer", b"bearer "):
        raise Unauthorized(
            "The Authorization header is not a bearer key", hint="Send `Authorization: Bearer sk-assay-…`."
        )
    raise Unauthorized(
        "The API key is not known here, or it was revoked",
        hint="`assay keys list` shows the keys of this server; a key of another vendor does not open it.",
    )


def check_project(principal: Principal, asked: str | None) -> Principal:
    """The same; a key opens its own project only. Raises `Forbidden` if a request with it names another one."""
    if asked is not None and asked != principal.project:
        raise Forbidden(
            f"This key is for the project {principal.project!r}, not for {asked!r}",
            hint="Leave x-assay-project out, or use a key of that project.",
        )
    return principal


def environment_of(principal: Principal, asked: str | None) -> str:
    """The environment of a request: what it asks for, else its key's, else production.

    Raises `Forbidden` if the key is bound to another one.
    """
    if principal.environment is None:
        return asked or ENVIRONMENT
    if asked is not None and asked != principal.environment:
        raise Forbidden(
            f"This key is for {principal.environment!r}, not for {asked!r}",
            hint="Leave x-assay-environment out, or use a key of that environment.",
        )
    return principal.environment
