"""`/login`, `/logout` and `/keys`."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access import sessions
from assay.access.guards import person, requires
from assay.access.keys import create_key, list_keys, revoke_key
from assay.access.types import Key, Principal, Role
from assay.errors import AssayError, BadRequest, Forbidden
from assay.records import Records
from assay.settings import Settings
from assay.snapshot import SnapshotSource
from assay.ui import shell

HttpRequest = Request[Any, Any, Any]
_HOUR_S = 3600


class LoginForm(msgspec.Struct):
    """What `/login` sends."""

    key: str = ""
    next: str = "/"


class KeyForm(msgspec.Struct):
    """What the form on `/keys` sends."""

    name: str = ""
    role: Role = Role.APP
    environment: str = ""
    csrf_token: str = ""


class LoginContext(msgspec.Struct):
    """What `access/login.html` shows."""

    next: str
    problem: AssayError | None


class KeysContext(msgspec.Struct):
    """What `access/keys.html` shows. `made` is a key just created and its secret, shown this once."""

    keys: list[Key]
    next: str | None
    roles: list[Role]
    made: tuple[Key, str] | None
    problem: AssayError | None


@get("/login", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_login(request: HttpRequest, next: FromQuery[str] = "/") -> Response[Any]:
    """The form that asks for a key; somebody who has signed in already goes on."""
    if person(request) is not None:
        return Redirect(local_path(next), status_code=303)
    return _login_page(request, next, None)


@post("/login", opt={"public": True}, include_in_schema=False, status_code=303, sync_to_thread=True)
def login(
    request: HttpRequest,
    data: URLEncodedBody[LoginForm],
    records: NamedDependency[Records],
    snapshot: NamedDependency[SnapshotSource],
    settings: NamedDependency[Settings],
) -> Response[Any]:
    """Exchange a key for the cookie of a session."""
    _refuse_other_sites(request)
    try:
        principal = sessions.identify(snapshot.current, data.key)
    except AssayError as problem:
        return _login_page(request, data.next, problem)
    with records.write() as tx:
        token = sessions.begin(tx, principal, hours=settings.session_hours)
    answer = Redirect(local_path(data.next), status_code=303)
    answer.set_cookie(_cookie(request, token, max_age=int(settings.session_hours * _HOUR_S)))
    return answer


@post("/logout", include_in_schema=False, status_code=303, sync_to_thread=True)
def logout(request: HttpRequest, records: NamedDependency[Records]) -> Redirect:
    """End the session on the server and in the browser."""
    token = request.cookies.get(sessions.COOKIE)
    if token:
        with records.write() as tx:
            sessions.end(tx, token)
    answer = Redirect("/login", status_code=303)
    answer.set_cookie(_cookie(request, "", max_age=0))
    return answer


@get("/keys", guards=[requires(Role.ADMIN)], include_in_schema=False, sync_to_thread=True)
def show_keys(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Every key, with a form that makes one."""
    return _keys_page(request, principal, records, cursor=cursor)


@post("/keys", guards=[requires(Role.ADMIN)], include_in_schema=False, status_code=200, sync_to_thread=True)
def make_key(
    request: HttpRequest,
    data: URLEncodedBody[KeyForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[str]:
    """Make a key and show its secret, which no later page can."""
    try:
        with records.write() as tx:
            made = create_key(
                tx,
                principal.project,
                name=data.name,
                role=data.role,
                environment=data.environment.strip() or None,
            )
    except BadRequest as problem:
        return _keys_page(request, principal, records, problem=problem)
    return _keys_page(request, principal, records, made=made)


@post(
    "/keys/{key_id:str}/revoke", guards=[requires(Role.ADMIN)], include_in_schema=False, sync_to_thread=True
)
def revoke(
    request: HttpRequest,
    key_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[Any]:
    """End a key and go back to the list."""
    try:
        with records.write() as tx:
            revoke_key(tx, principal.project, key_id)
    except AssayError as problem:
        return _keys_page(request, principal, records, problem=problem)
    return Redirect("/keys", status_code=303)


def local_path(wanted: str) -> str:
    """Where to go after a login: only ever a path of this server, whatever a link says."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_local and "\\" not in wanted else "/"


def _login_page(request: HttpRequest, wanted: str, problem: AssayError | None) -> Response[str]:
    context = LoginContext(next=local_path(wanted), problem=problem)
    return shell.page(
        request, "access/login.html", context, title="Sign in", status=problem.status if problem else 200
    )


def _keys_page(
    request: HttpRequest,
    principal: Principal,
    records: Records,
    *,
    cursor: str | None = None,
    made: tuple[Key, str] | None = None,
    problem: AssayError | None = None,
) -> Response[str]:
    with records.read() as tx:
        page = list_keys(tx, principal.project, cursor=cursor)
    context = KeysContext(keys=page.items, next=page.next, roles=list(Role), made=made, problem=problem)
    return shell.page(
        request, "access/keys.html", context, title="Keys", status=problem.status if problem else 200
    )


def _refuse_other_sites(request: HttpRequest) -> None:
    # There is no session yet whose token could be asked for; browsers say themselves where a form comes from.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("Another site sent this login", hint="Open /login itself.")


def _cookie(request: HttpRequest, token: str, *, max_age: int) -> Cookie:
    return Cookie(
        key=sessions.COOKIE,
        value=token,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


handlers = [show_login, login, logout, show_keys, make_key, revoke]
