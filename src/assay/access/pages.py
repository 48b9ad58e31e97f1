"""`/login`, `/logout` and `/keys`."""

from math import ceil
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access import sessions
from assay.access.guards import NEW_PASSWORD, person, requires
from assay.access.keys import create_key, list_keys, revoke_key
from assay.access.limits import list_limits
from assay.access.logins import SESSIONS
from assay.access.signing import SignIn, session_cookie, visit_of
from assay.access.types import Key, Limit, Per, Principal, Role
from assay.errors import AssayError, BadRequest, Forbidden, RateLimited
from assay.records import Records
from assay.settings import Settings
from assay.snapshot import Snapshot, SnapshotSource
from assay.ui import shell
from assay.ui.language import local_path

HttpRequest = Request[Any, Any, Any]


class LoginForm(msgspec.Struct):
    """What `/login` sends: a key, or the name and the password of an account."""

    key: str = ""
    user: str = ""
    password: str = ""
    next: str = "/"


class KeyForm(msgspec.Struct):
    """What the form on `/keys` sends."""

    name: str = ""
    role: Role = Role.APP
    environment: str = ""
    csrf_token: str = ""


class LoginContext(msgspec.Struct):
    """What `access/login.html` shows. Without any account there is only the field for a key."""

    next: str
    user: str
    by_key: bool
    has_accounts: bool
    problem: AssayError | None


class KeysContext(msgspec.Struct):
    """What `access/keys.html` shows. `made` is a key just created and its secret, shown this once."""

    keys: list[Key]
    limits: dict[str, Limit]
    next: str | None
    roles: list[Role]
    made: tuple[Key, str] | None
    problem: AssayError | None


@get("/login", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def show_login(
    request: HttpRequest, snapshot: NamedDependency[SnapshotSource], next: FromQuery[str] = "/"
) -> Response[Any]:
    """The form that asks for a name and a password, or for a key; somebody who has signed in already goes on."""
    if person(request) is not None:
        return Redirect(local_path(next), status_code=303)
    return _login_page(request, snapshot.current, LoginForm(next=next))


@post("/login", opt={"public": True}, include_in_schema=False, status_code=303, sync_to_thread=True)
def login(
    request: HttpRequest,
    data: URLEncodedBody[LoginForm],
    records: NamedDependency[Records],
    snapshot: NamedDependency[SnapshotSource],
    settings: NamedDependency[Settings],
    sign_in: NamedDependency[SignIn],
) -> Response[Any]:
    """Exchange a key, or a name and a password, for the cookie of a session."""
    _refuse_other_sites(request)
    visit = visit_of(request, hours=settings.session_hours)
    try:
        if data.key:
            token = sign_in.with_key(snapshot.current, data.key, visit)
        else:
            token = sign_in.with_password(snapshot.current, data.user, data.password, visit)
    except AssayError as problem:
        return _login_page(request, snapshot.current, data, problem)
    before = request.cookies.get(sessions.COOKIE)
    if before:
        with records.write() as tx:
            sessions.end(tx, before)
    who = sessions.find(snapshot.current, token)
    wanted = "/settings" if who is not None and who.must_change_password else local_path(data.next)
    answer = Redirect(wanted, status_code=303)
    answer.set_cookie(session_cookie(request, token, hours=visit.hours))
    return answer


@post(
    "/logout",
    opt=NEW_PASSWORD,
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def logout(request: HttpRequest, records: NamedDependency[Records]) -> Redirect:
    """End the session on the server and in the browser."""
    token = request.cookies.get(sessions.COOKIE)
    if token:
        with records.write() as tx:
            sessions.end(tx, token)
    answer = Redirect("/login", status_code=303)
    answer.set_cookie(session_cookie(request, "", hours=0))
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


def _login_page(
    request: HttpRequest, snapshot: Snapshot, form: LoginForm, problem: AssayError | None = None
) -> Response[str]:
    context = LoginContext(
        next=local_path(form.next),
        user=form.user,
        by_key=bool(form.key),
        has_accounts=bool(snapshot[SESSIONS].users),
        problem=problem,
    )
    answer = shell.page(
        request, "access/login.html", context, title="Sign in", status=problem.status if problem else 200
    )
    if isinstance(problem, RateLimited) and problem.retry_after_s is not None:
        answer.headers["retry-after"] = str(ceil(problem.retry_after_s))
    return answer


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
        limits = {
            one.name: one for one in list_limits(tx, principal.project) if one.per is Per.KEY and one.name
        }
    context = KeysContext(
        keys=page.items, limits=limits, next=page.next, roles=list(Role), made=made, problem=problem
    )
    return shell.page(
        request, "access/keys.html", context, title="Keys", status=problem.status if problem else 200
    )


def _refuse_other_sites(request: HttpRequest) -> None:
    # There is no session yet whose token could be asked for; browsers say themselves where a form comes from.
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:
        site = "same-origin" if urlsplit(origin).netloc == request.headers.get("host") else "cross-site"
    if site not in (None, "same-origin", "none"):
        raise Forbidden("Another site sent this login", hint="Open /login itself.")


handlers = [show_login, login, logout, show_keys, make_key, revoke]
