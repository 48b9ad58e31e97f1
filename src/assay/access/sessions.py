"""Browser logins: a key is exchanged for a cookie.

The cookie holds a random token, of which the server keeps the hash. The CSRF token is an HMAC under that token: a page
of ours can show it, another site can neither read nor compute it, and nothing more needs to be kept.
"""

import hmac
import secrets
from hashlib import sha256

from sqlalchemy import Connection

from assay.access import store
from assay.access.authentication import KEYS, SESSIONS
from assay.access.types import Principal, Role
from assay.errors import Forbidden, Unauthorized
from assay.kit.clock import SYSTEM, Clock
from assay.records import touch
from assay.snapshot import Snapshot

COOKIE = "assay_session"
"""The cookie's name; HttpOnly, SameSite=Strict."""

_TOKEN_BYTES = 32
_HOUR_NS = 3_600_000_000_000


def identify(snapshot: Snapshot, secret: str) -> Principal:
    """Whose key somebody wants to log in with. Raises `Unauthorized`, and `Forbidden` for an app's key."""
    principal = snapshot[KEYS].find(secret.strip().encode())
    if principal is None:
        raise Unauthorized(
            "This key is not known here, or it was revoked",
            hint="`assay keys create NAME --role admin` makes one.",
        )
    if not principal.role.at_least(Role.VIEWER):
        raise Forbidden(
            f"{principal.name!r} is a key for applications; it cannot sign in here",
            hint="Use a key with the role viewer, editor or admin.",
        )
    return principal


def begin(tx: Connection, principal: Principal, *, hours: float, clock: Clock = SYSTEM) -> str:
    """Begin a login and return the cookie's token."""
    if principal.key_id is None:
        raise Forbidden("A login needs a key")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    now = clock.now_ns()
    store.add_session(
        tx, principal.project, _digest(token).hex(), principal.key_id, now, now + int(hours * _HOUR_NS)
    )
    touch(tx, SESSIONS.name)
    return token


def end(tx: Connection, token: str) -> None:
    """End the login of this token."""
    store.remove_session(tx, _digest(token).hex())
    touch(tx, SESSIONS.name)


def find(snapshot: Snapshot, token: str, *, clock: Clock = SYSTEM) -> Principal | None:
    """Who is logged in with this token; None if nobody is any more."""
    session = snapshot[SESSIONS].get(_digest(token))
    if session is None or session.expires_at_ns <= clock.now_ns():
        return None
    return session.principal


def csrf_token(token: str) -> str:
    """What an unsafe request of this login must carry."""
    return hmac.new(token.encode(), b"assay csrf", sha256).hexdigest()


def csrf_matches(token: str, shown: str) -> bool:
    """Whether the shown token belongs to this login."""
    return hmac.compare_digest(csrf_token(token).encode(), shown.encode())


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
