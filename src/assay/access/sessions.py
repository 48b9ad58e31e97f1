"""Browser logins: a key, or a name and a password, is exchanged for a cookie.

Every login goes through `begin`, which draws a new token whatever the browser showed before, so that nobody can plant
one. The cookie holds the token, of which the server keeps the hash. The CSRF token is an HMAC under it: a page of ours
can show it, another site can neither read nor compute it, and nothing more needs to be kept. It also names the project,
so that a form that was open while the browser moved to another project does not act in the wrong one.
"""

import hmac
import secrets
from hashlib import sha256

from sqlalchemy import Connection

from assay.access import store
from assay.access.authentication import KEYS
from assay.access.logins import SESSIONS, not_open
from assay.access.types import Principal, Role, Session
from assay.errors import Forbidden, NotFound, Unauthorized
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.records import touch
from assay.records.auditing import Change, note
from assay.snapshot import Snapshot

COOKIE = "assay_session"
"""The cookie's name; HttpOnly, SameSite=Strict."""

_TOKEN_BYTES = 32
_HOUR_NS = 3_600_000_000_000
_BROWSER_LENGTH = 200


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


def begin(
    tx: Connection,
    principal: Principal,
    *,
    hours: float,
    address: str | None = None,
    browser: str | None = None,
    clock: Clock = SYSTEM,
) -> str:
    """Begin a login of a key or an account and return the cookie's token."""
    if principal.key_id is None and principal.user is None:
        raise Forbidden("A login needs a key or an account")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    now = clock.now_ns()
    session = Session(
        id=uuid7(),
        key_id=principal.key_id,
        user=principal.user,
        project=principal.project,
        created_at_ns=now,
        expires_at_ns=now + int(hours * _HOUR_NS),
        address=address,
        browser=browser[:_BROWSER_LENGTH] if browser else None,
    )
    store.add_session(
        tx, _digest(token).hex(), session, key_project=principal.project if principal.key_id else None
    )
    note(tx, _change("login.succeeded", session, principal.name))
    touch(tx, SESSIONS.name)
    return token


def end(tx: Connection, token: str) -> None:
    """End the login of this token; one that has ended already is no error."""
    session = store.find_session(tx, _digest(token).hex())
    if session is not None:
        _end(tx, [session])


def end_one(tx: Connection, principal: Principal, session_id: str) -> Session:
    """End a login of the same key or account. Raises `NotFound` for any other."""
    for session in list_sessions(tx, principal):
        if session.id == session_id:
            _end(tx, [session])
            return session
    raise NotFound(f"You have no login {session_id!r}", hint="GET /api/logins lists yours.")


def end_all(tx: Connection, *, user: str) -> int:
    """End every login of an account. Returns how many there were."""
    return _end(tx, store.sessions_of(tx, user=user, key_id=None))


def end_others(tx: Connection, principal: Principal, *, but: str | None) -> int:
    """End every login of the same key or account except the one of the token `but`. Returns how many there were."""
    kept = present(tx, but)
    found = list_sessions(tx, principal)
    return _end(tx, [each for each in found if kept is None or each.id != kept.id])


def present(tx: Connection, token: str | None) -> Session | None:
    """The login of a token."""
    return None if token is None else store.find_session(tx, _digest(token).hex())


def list_sessions(tx: Connection, principal: Principal, *, clock: Clock = SYSTEM) -> list[Session]:
    """The logins of whoever asks that have not ended, newest first: those of their account, or with their key."""
    if principal.user is None and principal.key_id is None:
        return []
    return store.sessions_of(tx, user=principal.user, key_id=principal.key_id, now_ns=clock.now_ns())


def enter(tx: Connection, snapshot: Snapshot, token: str, project: str) -> None:
    """Remember the project that a login is in from now on. Raises `Forbidden` for one that is not open to it."""
    session = store.find_session(tx, _digest(token).hex())
    if session is None or snapshot[SESSIONS].behind(session, project) is None:
        raise not_open(project)
    store.enter(tx, session.id, project)
    entered = Change(action="login.entered", project=project, subject=session.user or f"key {session.key_id}")
    note(tx, entered)
    touch(tx, SESSIONS.name)


def find(
    snapshot: Snapshot, token: str, *, project: str | None = None, clock: Clock = SYSTEM
) -> Principal | None:
    """Who is logged in with this token, in the project asked for; None if nobody is any more.

    Raises `Forbidden` for a project that is not open to them.
    """
    session = find_session(snapshot, token)
    if session is None or session.expires_at_ns <= clock.now_ns():
        return None
    return snapshot[SESSIONS].behind(session, project)


def find_session(snapshot: Snapshot, token: str) -> Session | None:
    """The login of this token."""
    return snapshot[SESSIONS].sessions.get(_digest(token))


def csrf_token(token: str, project: str) -> str:
    """What an unsafe request of this login in this project must carry."""
    return hmac.new(token.encode(), f"assay csrf {project}".encode(), sha256).hexdigest()


def csrf_matches(token: str, project: str, shown: str) -> bool:
    """Whether the shown token belongs to this login and project."""
    return hmac.compare_digest(csrf_token(token, project).encode(), shown.encode())


def _end(tx: Connection, found: list[Session]) -> int:
    if found:
        store.remove_sessions(tx, [each.id for each in found])
        for each in found:
            note(tx, _change("login.ended", each, each.user or f"key {each.key_id}"))
        touch(tx, SESSIONS.name)
    return len(found)


def _change(action: str, session: Session, subject: str) -> Change:
    shown = {"address": session.address, "browser": session.browser}
    return Change(
        action=action,
        project=session.project,
        subject=subject,
        after={name: value for name, value in shown.items() if value} or None,
    )


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
