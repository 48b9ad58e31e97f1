"""Who is logged in and which projects are open to them, answered from the snapshot.

A login is with a key or with an account. A key opens its own project, an account those in which it has a role; an admin
of `default` runs the server and enters every project as admin. Which of them a request is about says its header
`x-assay-project`, else the login remembers it.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from assay.access import store
from assay.access.types import PROJECT, SOCKET, Key, Principal, Project, Role, Session, User
from assay.errors import Forbidden
from assay.snapshot import Part

PROJECT_HEADER = "x-assay-project"
"""Names the project that a request of a login is about."""


class Place(msgspec.Struct, frozen=True):
    """A project that somebody may enter, as what, and whether they are in it."""

    project: Project
    role: Role
    here: bool


class Logins:
    """Every login, with what it takes to know who is behind it: live keys, enabled accounts, their roles, open projects."""

    def __init__(
        self,
        *,
        sessions: dict[bytes, Session],
        keys: Iterable[Key],
        users: Iterable[User],
        roles: Iterable[tuple[str, str, Role]],
        projects: Iterable[Project],
    ) -> None:
        self.sessions = sessions
        self.projects = {each.project: each for each in projects if each.archived_at_ns is None}
        self.users = {each.name: each for each in users if each.disabled_at_ns is None}
        self._keys = {each.id: each for each in keys}
        self._roles: dict[str, dict[str, Role]] = {}
        for project, user, role in roles:
            self._roles.setdefault(user, {})[project] = role

    def behind(self, session: Session, asked: str | None = None) -> Principal | None:
        """Who a login is, in the project asked for, else in the one it remembers. None when nobody is any more: its key
        was revoked, its account disabled or left without a role. Raises `Forbidden` for a project that is not open to it."""
        return self.somebody(
            user=session.user, key_id=session.key_id, asked=asked, remembered=session.project
        )

    def somebody(
        self,
        *,
        user: str | None = None,
        key_id: str | None = None,
        asked: str | None = None,
        remembered: str | None = None,
    ) -> Principal | None:
        """Who signs in with this account or key; without any project that is open to them, nobody."""
        places = self._open_to(user=user, key_id=key_id)
        if not places:
            return None
        if asked is not None and asked not in places:
            raise not_open(asked)
        wanted = asked or remembered
        project = wanted if wanted in places else next(iter(places))
        account, key = self.users.get(user or ""), self._keys.get(key_id or "")
        return Principal(
            project=project,
            role=places[project],
            name=account.name if account else key.name if key else "",
            key_id=key.id if key else None,
            user=account.name if account else None,
            environment=key.environment if key else None,
            via="session",
            operator=places.get(PROJECT) is Role.ADMIN,
            must_change_password=account is not None and account.must_change_password,
        )

    def owner(self, asked: str | None) -> Principal:
        """Who came through the socket, in the project asked for. Raises `Forbidden` when there is none such."""
        if asked is None or asked == PROJECT:
            return SOCKET
        if asked not in self.projects:
            raise not_open(asked)
        return msgspec.structs.replace(SOCKET, project=asked)

    def places(self, principal: Principal) -> list[Place]:
        """The projects that somebody may enter, `default` first."""
        if principal.via == "socket":
            found = self._every_project()
        else:
            found = self._open_to(user=principal.user, key_id=principal.key_id)
        if principal.via == "key":
            found = {principal.project: principal.role}
        return [
            Place(self.projects[name], role, name == principal.project)
            for name, role in found.items()
            if name in self.projects
        ]

    def _open_to(self, *, user: str | None, key_id: str | None) -> dict[str, Role]:
        if user is not None:
            roles = self._roles.get(user, {}) if user in self.users else {}
            if roles.get(PROJECT) is Role.ADMIN:
                return self._every_project()
            return {name: roles[name] for name in self.projects if name in roles}
        key = self._keys.get(key_id or "")
        if key is None or key.project not in self.projects:
            return {}
        return self._every_project() if key.operates else {key.project: key.role}

    def _every_project(self) -> dict[str, Role]:
        return dict.fromkeys(self.projects, Role.ADMIN)


def not_open(project: str) -> Forbidden:
    """The same whether the project is missing, archived or somebody else's."""
    return Forbidden(
        f"The project {project!r} is not open to you, or there is none of that name",
        hint="`assay projects list`, or GET /api/projects, shows those that are.",
    )


def _load(tx: Connection) -> Logins:
    return Logins(
        sessions={bytes.fromhex(digest): session for digest, session in store.all_sessions(tx)},
        keys=(key for _, key in store.live_keys(tx)),
        users=store.list_users(tx),
        roles=store.roles(tx),
        projects=sorted(store.list_projects(tx), key=lambda each: (each.project != PROJECT, each.project)),
    )


SESSIONS: Part[Logins] = Part("sessions", _load)
"""Every login and what stands behind it; look at `expires_at_ns`."""
