"""`/api/keys`, `/api/whoami` and `/api/logins`: keys, and what belongs to whoever asks."""

from typing import Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assay.access import sessions
from assay.access.guards import FOR_ANYONE, NEW_PASSWORD, csrf_token, requires
from assay.access.keys import create_key, list_keys, revoke_key
from assay.access.limits import Budget, KeyLimits, allowance_of, create_limit
from assay.access.signing import SignIn, session_cookie, visit_of
from assay.access.types import Key, Per, Principal, Role, Session
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records
from assay.settings import Settings

HttpRequest = Request[Any, Any, Any]


class KeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/keys`. Budget and limits of a key are a limit as `/api/limits` shows it."""

    name: str
    role: Role = Role.APP
    environment: str | None = None
    budget: Budget | None = None
    limits: KeyLimits | None = None


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


class Whoami(msgspec.Struct, kw_only=True):
    """Who the server thinks you are. `csrf_token` is there for a login: what its unsafe requests must carry."""

    project: str
    name: str
    role: Role
    environment: str | None
    key_id: str | None
    user: str | None
    operator: bool
    via: Literal["key", "session", "socket"]
    csrf_token: str | msgspec.UnsetType = msgspec.UNSET


class LoginAnswer(msgspec.Struct, kw_only=True):
    """One of your logins. `present` is the one that asks."""

    id: str
    created: str
    expires: str
    project: str
    address: str | None
    browser: str | None
    present: bool


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/account/password`."""

    current: str
    new: str


class Ended(msgspec.Struct):
    """How many logins were ended."""

    ended: int


@post("/api/keys", guards=[requires(Role.ADMIN)], sync_to_thread=True)
def create(
    data: JSONBody[KeyRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> KeyAnswer:
    """Make a key. Its secret is in this answer and nowhere else."""
    with records.write() as tx:
        key, secret = create_key(
            tx, principal.project, name=data.name, role=data.role, environment=data.environment
        )
        if data.budget is not None or data.limits is not None:
            allowance = allowance_of(data.limits or KeyLimits(), data.budget)
            create_limit(tx, principal.project, per=Per.KEY, name=key.id, allowance=allowance)
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


@get("/api/whoami", opt=NEW_PASSWORD, sync_to_thread=False)
def whoami(request: HttpRequest, principal: NamedDependency[Principal]) -> Whoami:
    """The project, name and role of whoever asks."""
    fields = {name: getattr(principal, name) for name in Whoami.__struct_fields__ if name != "csrf_token"}
    if principal.via == "session":
        fields["csrf_token"] = csrf_token(request)
    return Whoami(**fields)


@get("/api/logins", opt=FOR_ANYONE, sync_to_thread=True)
def list_logins(
    request: HttpRequest, principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Page[LoginAnswer]:
    """The browsers in which you are signed in: with your account, or with the key that asks."""
    with records.read() as tx:
        found = sessions.list_sessions(tx, principal)
        present = sessions.present(tx, request.cookies.get(sessions.COOKIE))
    return Page([_login(session, present) for session in found])


@delete("/api/logins", opt=FOR_ANYONE, status_code=200, sync_to_thread=True)
def end_logins(
    request: HttpRequest, principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Ended:
    """End all of your logins but the one that asks."""
    with records.write() as tx:
        return Ended(sessions.end_others(tx, principal, but=request.cookies.get(sessions.COOKIE)))


@delete("/api/logins/{login_id:str}", opt=FOR_ANYONE, status_code=200, sync_to_thread=True)
def end_login(
    login_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Ended:
    """End one of your logins."""
    with records.write() as tx:
        sessions.end_one(tx, principal, login_id)
    return Ended(1)


@put("/api/account/password", opt=NEW_PASSWORD, sync_to_thread=True)
def change_password(
    request: HttpRequest,
    data: JSONBody[PasswordChange],
    principal: NamedDependency[Principal],
    sign_in: NamedDependency[SignIn],
    settings: NamedDependency[Settings],
) -> Response[Ended]:
    """Choose another password for your account. All of its logins end; a login that asked gets a new cookie."""
    hours = settings.session_hours
    token = sign_in.change_password(principal, data.current, data.new, visit_of(request, hours=hours))
    answer = Response(Ended(1))
    answer.set_cookie(session_cookie(request, token, hours=hours))
    return answer


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


def _login(session: Session, present: Session | None) -> LoginAnswer:
    return LoginAnswer(
        id=session.id,
        created=rfc3339(session.created_at_ns),
        expires=rfc3339(session.expires_at_ns),
        project=session.project,
        address=session.address,
        browser=session.browser,
        present=present is not None and present.id == session.id,
    )


handlers = [create, list_all, revoke, whoami, list_logins, end_logins, end_login, change_password]
