"""Doors of the Litestar app.

`signed_in` stands before every route (set it on the app): whoever does not show a key, a login or the Unix socket gets
401, unless the route says `opt={"public": True}`. `requires(…)` stands before a route that needs more. The app gives
`app.state.snapshot`, a `SnapshotSource`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import FormMultiDict
from litestar.enums import RequestEncodingType
from litestar.handlers import BaseRouteHandler

from assay.access import sessions
from assay.access.authentication import authenticate, carries_key
from assay.access.types import SOCKET, Principal, Right, Role
from assay.errors import Forbidden, Unauthorized
from assay.snapshot import SnapshotSource

Connected = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connected, BaseRouteHandler], Awaitable[None]]

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
SOCKET_FLAG = "assay_socket"
"""What the server of the Unix socket sets in `scope["state"]`; a client cannot."""

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
    except Unauthorized:
        return None


def csrf_token(request: Request[Any, Any, Any]) -> str:
    """The token that the forms of this page must send back; empty without a login."""
    token = request.cookies.get(sessions.COOKIE)
    return sessions.csrf_token(token) if token else ""


async def signed_in(connection: Connected, handler: BaseRouteHandler) -> None:
    """The guard of the whole app: a known principal, and for an unsafe request of a login its CSRF token."""
    if handler.opt.get("public"):
        return
    if principal_of(connection).via == "session" and connection.scope.get("method") not in _SAFE_METHODS:
        await _check_csrf(cast("Request[Any, Any, Any]", connection))


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
        raise Forbidden(f"{who.name!r} is {who.role.value!r}, which lacks the right {needed.value!r}")

    return guard


def _identify(connection: Connected) -> Principal:
    source = cast("SnapshotSource", connection.app.state.snapshot)
    headers = connection.scope["headers"]
    if carries_key(headers):
        return authenticate(source.current, headers)
    if connection.scope["state"].get(SOCKET_FLAG) is True:
        return SOCKET
    token = connection.cookies.get(sessions.COOKIE)
    found = sessions.find(source.current, token) if token else None
    if found is not None:
        return found
    if token:
        raise Unauthorized("The login has ended", hint="Sign in again at /login.")
    return authenticate(source.current, headers)


async def _check_csrf(request: Request[Any, Any, Any]) -> None:
    shown = request.headers.get(CSRF_HEADER)
    if shown is None and request.content_type[0] in (
        RequestEncodingType.URL_ENCODED,
        RequestEncodingType.MULTI_PART,
    ):
        form: FormMultiDict = await request.form()
        field = form.get(CSRF_FIELD)
        shown = field if isinstance(field, str) else None
    if shown is None or not sessions.csrf_matches(request.cookies[sessions.COOKIE], shown):
        raise Forbidden(
            "The form's token is missing or does not belong to this login",
            hint="Reload the page and try again. Programs send a key instead of the cookie.",
        )
