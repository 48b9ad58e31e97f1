"""Doors of the Litestar app.

`signed_in` stands before every route (set it on the app): whoever does not show a key, a login or the Unix socket gets
401, unless the route says `opt={"public": True}`. `requires(…)` stands before a route that needs more; a route for
everybody who is known says `opt={"for_anyone": True}`. The app gives `app.state.snapshot`, a `SnapshotSource`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import FormMultiDict
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler

from assay.access import sessions
from assay.access.acting import Actor, acting
from assay.access.authentication import authenticate, carries_key, check_project
from assay.access.logins import PROJECT_HEADER, SESSIONS, Place
from assay.access.types import Principal, Right, Role
from assay.errors import AssayError, Forbidden, PasswordDue, Unauthorized
from assay.snapshot import Snapshot, SnapshotSource

Connected = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connected, BaseRouteHandler], Awaitable[None]]

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
SOCKET_FLAG = "assay_socket"
"""What the server of the Unix socket sets in `scope["state"]`; a client cannot."""

FOR_ANYONE = {"for_anyone": True}
"""`opt` of a route for everybody who is known, whatever their role."""
NEW_PASSWORD = {"for_anyone": True, "new_password": True}
"""`opt` of the few routes that are open even to somebody who must choose a new password first."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PRINCIPAL = "assay_principal"


def principal(request: Request[Any, Any, Any]) -> Principal:
    """The dependency `principal` of handlers. Raises `Unauthorized`."""
    return principal_of(request)


def principal_of(connection: Connected) -> Principal:
    """Who is behind the connection: by key, else by socket, else by login. Raises `Unauthorized`."""
    state = connection.scope["state"]
    known = state.get(_PRINCIPAL)
    if known is None:
        known = state[_PRINCIPAL] = _identify(connection)
    return cast("Principal", known)


def person(request: Request[Any, Any, Any]) -> Principal | None:
    """Who looks at a page; None when nobody has signed in."""
    try:
        return principal_of(request)
    except AssayError:
        return None


def places(request: Request[Any, Any, Any]) -> Sequence[Place]:
    """The projects that whoever looks at a page may enter."""
    who = person(request)
    return () if who is None else _snapshot(request)[SESSIONS].places(who)


def csrf_token(request: Request[Any, Any, Any]) -> str:
    """The token that the forms of this page must send back; empty without a login."""
    token, who = request.cookies.get(sessions.COOKIE), person(request)
    return sessions.csrf_token(token, who.project) if token and who is not None else ""


def address_of(connection: Connected) -> str | None:
    """Where a request comes from; None for the Unix socket. Behind a proxy that is trusted, where that says."""
    client = connection.scope.get("client")
    return client[0] if client else None


async def signed_in(connection: Connected, handler: BaseRouteHandler) -> None:
    """The guard of the whole app: a known principal, and for an unsafe request of a login its CSRF token."""
    if handler.opt.get("public"):
        return
    who = principal_of(connection)
    acting.set(actor_of(who, address_of(connection)))
    if who.via == "session" and connection.scope.get("method") not in _SAFE_METHODS:
        await _check_csrf(cast("Request[Any, Any, Any]", connection), who.project)
    if who.must_change_password and not handler.opt.get("new_password"):
        raise PasswordDue(
            "Choose a password of your own first: the present one was given to you",
            hint="The page /settings has the form.",
        )


def requires(needed: Role | Right) -> Guard:
    """A guard that lets through a role or those above it, or the roles that have a right."""

    async def guard(connection: Connected, handler: BaseRouteHandler) -> None:
        await signed_in(connection, handler)
        who = principal_of(connection)
        if who.role.at_least(needed) if isinstance(needed, Role) else who.may(needed):
            return
        if isinstance(needed, Role):
            raise Forbidden(
                f"This needs the role {needed.value!r} or above; {who.name!r} is {who.role.value!r}"
            )
        if needed is Right.OPERATE:
            raise Forbidden("This is for whoever runs the server: an admin of the project 'default'")
        if needed is Right.OBSERVE:
            raise Forbidden(
                "This is about the whole server", hint="Use a key or a login of the project 'default'."
            )
        raise Forbidden(f"{who.name!r} is {who.role.value!r}, which lacks the right {needed.value!r}")

    guard.needed = needed  # type: ignore[attr-defined]
    return guard


def needed_by(handler: BaseRouteHandler) -> Role | Right | None:
    """What the guards of a route ask for; None when they let everybody through who is known.

    Raises `LookupError` for a route that says nothing, so that a test can find it.
    """
    for guard in handler.guards or ():
        needed: Role | Right | None = getattr(guard, "needed", None)
        if needed is not None:
            return needed
    if handler.opt.get("public") or handler.opt.get("for_anyone"):
        return None
    raise LookupError(f"{handler} declares no right")


def actor_of(who: Principal, address: str | None) -> Actor:
    """Somebody as the log names them."""
    who_id = f"user:{who.user}" if who.user else f"key:{who.key_id}" if who.key_id else None
    return Actor(name=who.name, id=who_id, via=who.via, address=address)


def _snapshot(connection: Connected) -> Snapshot:
    return cast("SnapshotSource", connection.app.state.snapshot).current


def _identify(connection: Connected) -> Principal:
    snapshot, headers = _snapshot(connection), connection.scope["headers"]
    asked = connection.headers.get(PROJECT_HEADER)
    if carries_key(headers):
        return check_project(authenticate(snapshot, headers), asked)
    if connection.scope["state"].get(SOCKET_FLAG) is True:
        return snapshot[SESSIONS].owner(asked)
    token = connection.cookies.get(sessions.COOKIE)
    found = sessions.find(snapshot, token, project=asked) if token else None
    if found is not None:
        return found
    if token:
        raise Unauthorized("The login has ended", hint="Sign in again at /login.")
    return authenticate(snapshot, headers)


async def _check_csrf(request: Request[Any, Any, Any], project: str) -> None:
    shown = request.headers.get(CSRF_HEADER)
    if shown is None and request.content_type[0] in (
        RequestEncodingType.URL_ENCODED,
        RequestEncodingType.MULTI_PART,
    ):
        form: FormMultiDict = await request.form()
        field = form.get(CSRF_FIELD)
        shown = field if isinstance(field, str) else None
    if shown is None or not sessions.csrf_matches(request.cookies[sessions.COOKIE], project, shown):
        raise Forbidden(
            f"The form's token is missing or does not belong to this login in the project {project!r}",
            hint="Reload the page and try again. Programs send a key instead of the cookie.",
        )
