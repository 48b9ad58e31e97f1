"""`/api/users` and `/api/projects`: accounts, their roles, and the projects in which they have them."""

import msgspec
from litestar import delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assay.access import accounts, projects
from assay.access.accounts import Member
from assay.access.guards import FOR_ANYONE, requires
from assay.access.keys import create_key
from assay.access.logins import SESSIONS
from assay.access.types import Principal, Project, Right, Role, User
from assay.errors import NotFound
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records
from assay.snapshot import SnapshotSource


class UserRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/users`. Without a password one is made, and is in the answer this once. With a role, the
    account gets it in the project of whoever asks."""

    name: str
    role: Role | None = None
    password: str | None = None
    must_change_password: bool = True


class PasswordRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/users/{name}/password`."""

    password: str | None = None
    must_change_password: bool = True


class RoleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/users/{name}/role`."""

    role: Role


class UserAnswer(msgspec.Struct, kw_only=True):
    """An account as the API shows it. `password` is there only where one was made for it."""

    name: str
    roles: dict[str, Role]
    must_change_password: bool
    created: str
    password_changed: str
    disabled: str | None
    signed_in: str | None
    password: str | msgspec.UnsetType = msgspec.UNSET


class ProjectRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/projects`. With `admin_key` the answer has a first admin key of the project, this once."""

    id: str
    name: str | None = None
    admin_key: bool = False


class ProjectChange(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PATCH /api/projects/{project}`."""

    name: str


class ProjectAnswer(msgspec.Struct, kw_only=True):
    """A project as the API shows it; `role` is the caller's own in it, null when it is not open to them."""

    id: str
    name: str
    role: Role | None
    created: str
    archived: str | None
    key: str | msgspec.UnsetType = msgspec.UNSET


@get("/api/users", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def list_users(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    everywhere: FromQuery[bool] = False,
) -> Page[UserAnswer]:
    """The accounts with a role in the project; with `everywhere` all accounts and roles, for whoever runs the server."""
    with records.read() as tx:
        found = accounts.list_members(tx, project=accounts.scope_of(principal, everywhere=everywhere))
    return Page([answer_of(member) for member in found])


@post("/api/users", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def add_user(
    data: JSONBody[UserRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> UserAnswer:
    """Make an account, with a role in the project if one is given."""
    password = data.password or accounts.new_password()
    kept = accounts.prepare_password(password, user=data.name)
    with records.write() as tx:
        user = accounts.create_user(tx, data.name, kept, must_change_password=data.must_change_password)
        if data.role is not None:
            accounts.set_role(tx, principal.project, user.name, data.role)
        member = accounts.get_member(tx, user.name, seen_by=principal)
    shown = msgspec.UNSET if data.password else password
    return msgspec.structs.replace(answer_of(member), password=shown)


@put("/api/users/{name:str}/password", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def reset_password(
    name: FromPath[str],
    data: JSONBody[PasswordRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> UserAnswer:
    """Give an account another password, made here unless one is given. All of its logins end."""
    password = data.password or accounts.new_password()
    kept = accounts.prepare_password(password, user=name)
    with records.write() as tx:
        accounts.set_password(tx, name, kept, must_change_password=data.must_change_password)
        member = accounts.get_member(tx, name, seen_by=principal)
    shown = msgspec.UNSET if data.password else password
    return msgspec.structs.replace(answer_of(member), password=shown)


@post("/api/users/{name:str}/disable", guards=[requires(Right.OPERATE)], status_code=200, sync_to_thread=True)
def disable(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> UserAnswer:
    """Shut an account out at once."""
    with records.write() as tx:
        accounts.disable(tx, name)
        return answer_of(accounts.get_member(tx, name, seen_by=principal))


@post("/api/users/{name:str}/enable", guards=[requires(Right.OPERATE)], status_code=200, sync_to_thread=True)
def enable(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> UserAnswer:
    """Let a disabled account in again."""
    with records.write() as tx:
        accounts.enable(tx, name)
        return answer_of(accounts.get_member(tx, name, seen_by=principal))


@put("/api/users/{name:str}/role", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def set_role(
    name: FromPath[str],
    data: JSONBody[RoleRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> UserAnswer:
    """Give an account a role in the project, or another one."""
    with records.write() as tx:
        accounts.set_role(tx, principal.project, name, data.role)
        return answer_of(accounts.get_member(tx, name, seen_by=principal))


@delete(
    "/api/users/{name:str}/role", guards=[requires(Right.ADMINISTER)], status_code=200, sync_to_thread=True
)
def remove_role(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> UserAnswer:
    """Take an account's role in the project away."""
    with records.write() as tx:
        accounts.remove_role(tx, principal.project, name)
        return answer_of(accounts.get_member(tx, name, seen_by=principal))


@get("/api/projects", opt=FOR_ANYONE, sync_to_thread=True)
def list_projects(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    snapshot: NamedDependency[SnapshotSource],
) -> Page[ProjectAnswer]:
    """The projects that are open to you; for whoever runs the server all, archived ones too."""
    roles = {place.project.project: place.role for place in snapshot.current[SESSIONS].places(principal)}
    with records.read() as tx:
        found = projects.list_projects(tx)
    shown = (each for each in found if each.project in roles or principal.may(Right.OPERATE))
    return Page([project_of(each, roles.get(each.project)) for each in shown])


@post("/api/projects", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def add_project(data: JSONBody[ProjectRequest], records: NamedDependency[Records]) -> ProjectAnswer:
    """Make a project, with a first admin key if asked for."""
    with records.write() as tx:
        made = projects.create_project(tx, data.id, name=data.name)
        answer = project_of(made, Role.ADMIN)
        if data.admin_key:
            _, secret = create_key(tx, made.project, name="admin", role=Role.ADMIN)
            answer = msgspec.structs.replace(answer, key=secret)
    return answer


@patch("/api/projects/{project:str}", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def rename_project(
    project: FromPath[str],
    data: JSONBody[ProjectChange],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> ProjectAnswer:
    """Give a project another name: your own or, if you run the server, any."""
    if project != principal.project and not principal.may(Right.OPERATE):
        raise NotFound(f"There is no project {project!r}", hint="GET /api/projects lists yours.")
    with records.write() as tx:
        return project_of(projects.rename_project(tx, project, data.name), principal.role)


@post(
    "/api/projects/{project:str}/archive",
    guards=[requires(Right.OPERATE)],
    status_code=200,
    sync_to_thread=True,
)
def archive_project(project: FromPath[str], records: NamedDependency[Records]) -> ProjectAnswer:
    """Close a project: its keys open no more and nobody enters it."""
    with records.write() as tx:
        return project_of(projects.archive_project(tx, project), None)


@post(
    "/api/projects/{project:str}/restore",
    guards=[requires(Right.OPERATE)],
    status_code=200,
    sync_to_thread=True,
)
def restore_project(project: FromPath[str], records: NamedDependency[Records]) -> ProjectAnswer:
    """Open an archived project again."""
    with records.write() as tx:
        return project_of(projects.restore_project(tx, project), Role.ADMIN)


def answer_of(member: Member) -> UserAnswer:
    """An account in the shape of the API."""
    user: User = member.user
    return UserAnswer(
        name=user.name,
        roles=member.roles,
        must_change_password=user.must_change_password,
        created=rfc3339(user.created_at_ns),
        password_changed=rfc3339(user.password_changed_at_ns),
        disabled=None if user.disabled_at_ns is None else rfc3339(user.disabled_at_ns),
        signed_in=None if user.signed_in_at_ns is None else rfc3339(user.signed_in_at_ns),
    )


def project_of(project: Project, role: Role | None) -> ProjectAnswer:
    """A project in the shape of the API."""
    return ProjectAnswer(
        id=project.project,
        name=project.name,
        role=role,
        created=rfc3339(project.created_at_ns),
        archived=None if project.archived_at_ns is None else rfc3339(project.archived_at_ns),
    )


handlers = [
    list_users,
    add_user,
    reset_password,
    disable,
    enable,
    set_role,
    remove_role,
    list_projects,
    add_project,
    rename_project,
    archive_project,
    restore_project,
]
