"""`/settings`: one's own account and logins, the project and the people in it; and the switch between projects."""

import re
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access import accounts, projects, sessions
from assay.access.accounts import Member
from assay.access.guards import FOR_ANYONE, NEW_PASSWORD, requires
from assay.access.signing import SignIn, session_cookie, visit_of
from assay.access.types import PROJECT, Principal, Project, Right, Role, Session
from assay.errors import AssayError, BadRequest
from assay.records import Records
from assay.settings import Settings
from assay.snapshot import SnapshotSource
from assay.ui import shell
from assay.ui.language import later, local_path

HttpRequest = Request[Any, Any, Any]

ROLES = [Role.VIEWER, Role.EDITOR, Role.ADMIN]
"""Roles for people."""

_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Mac OS", "macOS"),
    ("Windows", "Windows"),
    ("Linux", "Linux"),
)
_NAMES = {"Edg": "Edge", "OPR": "Opera"}


class PasswordForm(msgspec.Struct):
    """What the form for another password sends."""

    current: str = ""
    new: str = ""
    again: str = ""
    csrf_token: str = ""


class ProjectForm(msgspec.Struct):
    """What the form with the project's name sends."""

    name: str = ""
    csrf_token: str = ""


class RoleForm(msgspec.Struct):
    """What the forms about people in the project send."""

    user: str = ""
    role: Role = Role.VIEWER
    csrf_token: str = ""


class SwitchForm(msgspec.Struct):
    """What the switch between projects sends."""

    project: str = ""
    next: str = "/"
    csrf_token: str = ""


class LoginLine(msgspec.Struct):
    """One login in the list of one's own."""

    id: str
    browser: str
    address: str | None
    created_at_ns: int
    expires_at_ns: int
    present: bool


class SettingsContext(msgspec.Struct):
    """What `access/settings.html` shows."""

    user: str | None
    key_id: str | None
    project_name: str
    must_change: bool
    changed: bool
    logins: list[LoginLine]
    problem: AssayError | None


class ProjectContext(msgspec.Struct):
    """What `access/project.html` shows. `wanted` is the account that a form named and that could not be used."""

    project: Project
    members: list[Member]
    roles: list[Role]
    wanted: str
    may_archive: bool
    problem: AssayError | None


@get("/settings", opt=NEW_PASSWORD, include_in_schema=False, sync_to_thread=True)
def show_settings(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    changed: FromQuery[bool] = False,
) -> Response[str]:
    """Who you are here, your password, and where you are signed in."""
    return _settings_page(request, principal, records, changed=changed)


@post("/settings/password", opt=NEW_PASSWORD, include_in_schema=False, status_code=303, sync_to_thread=True)
def change_password(
    request: HttpRequest,
    data: URLEncodedBody[PasswordForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    sign_in: NamedDependency[SignIn],
    settings: NamedDependency[Settings],
) -> Response[Any]:
    """Choose another password; every other login of the account ends, this one goes on under a new cookie."""
    visit = visit_of(request, hours=settings.session_hours)
    try:
        if data.new != data.again:
            raise BadRequest("The two new passwords differ", param="again", hint="Type the same one twice.")
        token = sign_in.change_password(principal, data.current, data.new, visit)
    except AssayError as problem:
        return _settings_page(request, principal, records, problem=problem)
    answer = Redirect("/settings?changed=true", status_code=303)
    answer.set_cookie(session_cookie(request, token, hours=visit.hours))
    return answer


@post("/settings/logins/end", opt=FOR_ANYONE, include_in_schema=False, status_code=303, sync_to_thread=True)
def end_logins(
    request: HttpRequest, principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Redirect:
    """End all of your logins but this one."""
    with records.write() as tx:
        sessions.end_others(tx, principal, but=request.cookies.get(sessions.COOKIE))
    return Redirect("/settings#logins", status_code=303)


@post(
    "/settings/logins/{login_id:str}/end",
    opt=FOR_ANYONE,
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def end_login(
    login_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Redirect:
    """End one of your logins."""
    with records.write() as tx:
        sessions.end_one(tx, principal, login_id)
    return Redirect("/settings#logins", status_code=303)


@get("/settings/project", guards=[requires(Right.ADMINISTER)], include_in_schema=False, sync_to_thread=True)
def show_project(
    request: HttpRequest, principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Response[str]:
    """The project's name and the people who have a role in it."""
    return _project_page(request, principal, records)


@post(
    "/settings/project",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def rename_project(
    request: HttpRequest,
    data: URLEncodedBody[ProjectForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[Any]:
    """Give the project another name."""
    try:
        with records.write() as tx:
            projects.rename_project(tx, principal.project, data.name)
    except AssayError as problem:
        return _project_page(request, principal, records, problem=problem)
    return Redirect("/settings/project", status_code=303)


@post(
    "/settings/project/people",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def set_role(
    request: HttpRequest,
    data: URLEncodedBody[RoleForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[Any]:
    """Give an account a role in the project, or another one."""
    try:
        with records.write() as tx:
            accounts.set_role(tx, principal.project, data.user, data.role)
    except AssayError as problem:
        return _project_page(request, principal, records, wanted=data.user, problem=problem)
    return Redirect("/settings/project#people", status_code=303)


@post(
    "/settings/project/people/remove",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def remove_role(
    request: HttpRequest,
    data: URLEncodedBody[RoleForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[Any]:
    """Take an account's role in the project away."""
    try:
        with records.write() as tx:
            accounts.remove_role(tx, principal.project, data.user)
    except AssayError as problem:
        return _project_page(request, principal, records, problem=problem)
    return Redirect("/settings/project#people", status_code=303)


@post("/project", opt=FOR_ANYONE, include_in_schema=False, status_code=303, sync_to_thread=True)
def switch_project(
    request: HttpRequest,
    data: URLEncodedBody[SwitchForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    snapshot: NamedDependency[SnapshotSource],
) -> Redirect:
    """Go over to another project; the login remembers it."""
    if principal.via != "session":
        raise BadRequest("Only a login can go over to another project", hint="Send x-assay-project instead.")
    with records.write() as tx:
        sessions.enter(tx, snapshot.current, request.cookies.get(sessions.COOKIE, ""), data.project)
    return Redirect(local_path(data.next), status_code=303)


def browser_name(agent: str | None) -> str:
    """`Firefox on Linux` from a User-Agent header; the beginning of what it says when that is no known browser."""
    if not agent:
        return "unknown"
    name = next((each for each in _BROWSERS if re.search(rf"{each}\w*/", agent)), None)
    if name is None:
        return agent[:40]
    system = next((shown for word, shown in _SYSTEMS if word in agent), None)
    shown = _NAMES.get(name, name)
    return f"{shown} on {system}" if system else shown


def _settings_page(
    request: HttpRequest,
    principal: Principal,
    records: Records,
    *,
    changed: bool = False,
    problem: AssayError | None = None,
) -> Response[str]:
    with records.read() as tx:
        project = projects.get_project(tx, principal.project)
        found = sessions.list_sessions(tx, principal)
        present = sessions.present(tx, request.cookies.get(sessions.COOKIE))
    context = SettingsContext(
        user=principal.user,
        key_id=principal.key_id,
        project_name=project.name,
        must_change=principal.must_change_password,
        changed=changed and problem is None,
        logins=[_line(each, present) for each in found],
        problem=problem,
    )
    status = problem.status if problem else 200
    return shell.page(request, "access/settings.html", context, title=later("Settings"), status=status)


def _line(session: Session, present: Session | None) -> LoginLine:
    return LoginLine(
        session.id,
        browser_name(session.browser),
        session.address,
        session.created_at_ns,
        session.expires_at_ns,
        present is not None and present.id == session.id,
    )


def _project_page(
    request: HttpRequest,
    principal: Principal,
    records: Records,
    *,
    wanted: str = "",
    problem: AssayError | None = None,
) -> Response[str]:
    with records.read() as tx:
        project = projects.get_project(tx, principal.project)
        members = accounts.list_members(tx, project=principal.project)
    context = ProjectContext(
        project=project,
        members=members,
        roles=ROLES,
        wanted=wanted,
        may_archive=principal.may(Right.OPERATE) and project.project != PROJECT,
        problem=problem,
    )
    status = problem.status if problem else 200
    return shell.page(request, "access/project.html", context, title=later("Settings"), status=status)


handlers = [
    show_settings,
    change_password,
    end_logins,
    end_login,
    show_project,
    rename_project,
    set_role,
    remove_role,
    switch_project,
]
