"""`/users` and `/projects`, for whoever runs the server."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from assay.access import accounts, projects
from assay.access.accounts import Member
from assay.access.guards import requires
from assay.access.settings_pages import ROLES
from assay.access.types import PROJECT, Principal, Project, Right, Role
from assay.errors import AssayError, BadRequest
from assay.records import Records
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]


class UserForm(msgspec.Struct):
    """What the form that makes an account sends."""

    name: str = ""
    project: str = PROJECT
    role: Role = Role.VIEWER
    csrf_token: str = ""


class ProjectForm(msgspec.Struct):
    """What the form that makes a project sends."""

    id: str = ""
    name: str = ""
    csrf_token: str = ""


class UsersContext(msgspec.Struct):
    """What `access/users.html` shows. `made` is an account and its new password, shown this once."""

    members: list[Member]
    projects: list[str]
    roles: list[Role]
    form: UserForm
    made: tuple[str, str] | None
    problem: AssayError | None


class ProjectsContext(msgspec.Struct):
    """What `access/projects.html` shows."""

    projects: list[Project]
    form: ProjectForm
    problem: AssayError | None


@get("/users", guards=[requires(Right.OPERATE)], include_in_schema=False, sync_to_thread=True)
def show_users(
    request: HttpRequest, principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Response[str]:
    """Every account, with a form that makes one."""
    return _users_page(request, principal, records)


@post(
    "/users", guards=[requires(Right.OPERATE)], include_in_schema=False, status_code=200, sync_to_thread=True
)
def add_user(
    request: HttpRequest,
    data: URLEncodedBody[UserForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[str]:
    """Make an account with a role in a project, and show its password, which no later page can."""
    try:
        password = accounts.new_password()
        kept = accounts.prepare_password(password, user=data.name)
        with records.write() as tx:
            if projects.get_project(tx, data.project).archived_at_ns is not None:
                raise BadRequest(f"The project {data.project!r} is archived", param="project")
            user = accounts.create_user(tx, data.name, kept)
            accounts.set_role(tx, data.project, user.name, data.role)
    except AssayError as problem:
        return _users_page(request, principal, records, form=data, problem=problem)
    return _users_page(request, principal, records, made=(user.name, password))


@post(
    "/users/{name:str}/password",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=200,
    sync_to_thread=True,
)
def reset_password(
    request: HttpRequest,
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[str]:
    """Make a new password for an account and show it, this once."""
    try:
        password = accounts.new_password()
        kept = accounts.prepare_password(password, user=name)
        with records.write() as tx:
            user = accounts.set_password(tx, name, kept, must_change_password=True)
    except AssayError as problem:
        return _users_page(request, principal, records, problem=problem)
    return _users_page(request, principal, records, made=(user.name, password))


@post(
    "/users/{name:str}/disable",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def disable(
    request: HttpRequest,
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[Any]:
    """Shut an account out and go back to the list."""
    try:
        with records.write() as tx:
            accounts.disable(tx, name)
    except AssayError as problem:
        return _users_page(request, principal, records, problem=problem)
    return Redirect("/users", status_code=303)


@post(
    "/users/{name:str}/enable",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def enable(name: FromPath[str], records: NamedDependency[Records]) -> Redirect:
    """Let a disabled account in again."""
    with records.write() as tx:
        accounts.enable(tx, name)
    return Redirect("/users", status_code=303)


@get("/projects", guards=[requires(Right.OPERATE)], include_in_schema=False, sync_to_thread=True)
def show_projects(request: HttpRequest, records: NamedDependency[Records]) -> Response[str]:
    """Every project, with a form that makes one."""
    return _projects_page(request, records)


@post(
    "/projects",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def add_project(
    request: HttpRequest, data: URLEncodedBody[ProjectForm], records: NamedDependency[Records]
) -> Response[Any]:
    """Make a project."""
    try:
        with records.write() as tx:
            projects.create_project(tx, data.id.strip(), name=data.name.strip() or None)
    except AssayError as problem:
        return _projects_page(request, records, form=data, problem=problem)
    return Redirect("/projects", status_code=303)


@post(
    "/projects/{project:str}/archive",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def archive_project(
    request: HttpRequest, project: FromPath[str], records: NamedDependency[Records]
) -> Response[Any]:
    """Close a project and go back to the list."""
    try:
        with records.write() as tx:
            projects.archive_project(tx, project)
    except AssayError as problem:
        return _projects_page(request, records, problem=problem)
    return Redirect("/projects", status_code=303)


@post(
    "/projects/{project:str}/restore",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def restore_project(project: FromPath[str], records: NamedDependency[Records]) -> Redirect:
    """Open an archived project again."""
    with records.write() as tx:
        projects.restore_project(tx, project)
    return Redirect("/projects", status_code=303)


def _users_page(
    request: HttpRequest,
    principal: Principal,
    records: Records,
    *,
    form: UserForm | None = None,
    made: tuple[str, str] | None = None,
    problem: AssayError | None = None,
) -> Response[str]:
    with records.read() as tx:
        members = accounts.list_members(tx, project=None)
        found = projects.list_projects(tx)
    context = UsersContext(
        members=members,
        projects=[each.project for each in found if each.archived_at_ns is None],
        roles=ROLES,
        form=form or UserForm(project=principal.project),
        made=made,
        problem=problem,
    )
    status = problem.status if problem else 200
    return shell.page(request, "access/users.html", context, title=later("Accounts"), status=status)


def _projects_page(
    request: HttpRequest,
    records: Records,
    *,
    form: ProjectForm | None = None,
    problem: AssayError | None = None,
) -> Response[str]:
    with records.read() as tx:
        found = projects.list_projects(tx)
    context = ProjectsContext(projects=found, form=form or ProjectForm(), problem=problem)
    status = problem.status if problem else 200
    return shell.page(request, "access/projects.html", context, title=later("Projects"), status=status)


handlers = [
    show_users,
    add_user,
    reset_password,
    disable,
    enable,
    show_projects,
    add_project,
    archive_project,
    restore_project,
]
