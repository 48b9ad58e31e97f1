"""Roles and what they allow, projects, keys, people, who stands behind a request, and what they may spend."""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

PROJECT = "default"
"""The project that is there from the first start. Its admins run the server."""

ENVIRONMENT = "production"
"""Where a request belongs unless its key or a header says otherwise."""


class Role(StrEnum):
    """What a key or a person is trusted with, in rising order: app, viewer, editor, admin."""

    APP = "app"
    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def at_least(self, other: "Role") -> bool:
        """Whether this role stands at or above the other."""
        return _ORDER[self] >= _ORDER[other]


_ORDER = {role: rank for rank, role in enumerate(Role)}


class Right(StrEnum):
    """One thing that somebody may be allowed to do."""

    CALL = "call"
    """Call models and tasks through `/v1` and `/api/tasks/…/calls`: this spends money."""
    SEND = "send"
    """Send telemetry and scores."""
    READ_PROMPTS = "read_prompts"
    """Fetch and render prompts."""
    READ = "read"
    """See everything in the project except secrets."""
    EDIT = "edit"
    """Change prompts, tasks, datasets and releases; start runs and jobs."""
    OVERRIDE = "override"
    """Choose routes and variants by header, against the release."""
    ADMINISTER = "administer"
    """The project's keys, people and settings, and its log."""
    OBSERVE = "observe"
    """The figures of the whole server. Only those of the project `default` have it."""
    OPERATE = "operate"
    """The server: its projects and accounts. Only an admin of the project `default` has it."""


RIGHTS: dict[Right, frozenset[Role]] = {
    Right.CALL: frozenset({Role.APP, Role.EDITOR, Role.ADMIN}),
    Right.SEND: frozenset({Role.APP, Role.EDITOR, Role.ADMIN}),
    Right.READ_PROMPTS: frozenset({Role.APP, Role.VIEWER, Role.EDITOR, Role.ADMIN}),
    Right.READ: frozenset({Role.VIEWER, Role.EDITOR, Role.ADMIN}),
    Right.EDIT: frozenset({Role.EDITOR, Role.ADMIN}),
    Right.OVERRIDE: frozenset({Role.EDITOR, Role.ADMIN}),
    Right.ADMINISTER: frozenset({Role.ADMIN}),
    Right.OBSERVE: frozenset({Role.VIEWER, Role.EDITOR, Role.ADMIN}),
    Right.OPERATE: frozenset({Role.ADMIN}),
}
"""Who has which right. A viewer looks: no calls that cost, no scores that enter decisions."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request, in the project that it is about. `environment` is None unless the key is bound to one.

    Behind a request is a key (`key_id`), an account (`user`), or whoever owns the data directory. An `operator` is an
    admin of the project `default`: they run the server, and their logins may enter every project as admin.
    """

    project: str
    key_id: str | None
    name: str
    role: Role
    environment: str | None
    via: Literal["key", "session", "socket"]
    user: str | None = None
    operator: bool = False
    must_change_password: bool = False

    def may(self, right: Right) -> bool:
        """Whether the role has the right, and for those that concern the server, whether the project does."""
        if self.role not in RIGHTS[right]:
            return False
        if right is Right.OBSERVE:
            return self.operator or self.project == PROJECT
        return self.operator or right is not Right.OPERATE


SOCKET = Principal(
    project=PROJECT,
    key_id=None,
    name="local",
    role=Role.ADMIN,
    environment=None,
    via="socket",
    operator=True,
)
"""Who comes through the Unix socket in the data directory: whoever may open it owns the directory."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept. `prefix` is its first characters, to tell keys apart; the rest is known to its owner only."""

    project: str
    id: str
    name: str
    role: Role
    environment: str | None
    prefix: str
    created_at_ns: int
    revoked_at_ns: int | None = None

    @property
    def operates(self) -> bool:
        """Whether it is an admin's of `default`."""
        return self.project == PROJECT and self.role is Role.ADMIN


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. `project`, its id, stands in every row that belongs to it and never changes; `name` is for people."""

    project: str
    name: str
    created_at_ns: int
    archived_at_ns: int | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account, by the name that its owner signs in with. The hash of its password is not part of it."""

    name: str
    created_at_ns: int
    password_changed_at_ns: int
    must_change_password: bool = False
    disabled_at_ns: int | None = None
    signed_in_at_ns: int | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser login with a key or an account: whose, since when, until when, from where, and in which project it is."""

    id: str
    key_id: str | None
    user: str | None
    project: str
    created_at_ns: int
    expires_at_ns: int
    address: str | None
    browser: str | None


class Per(StrEnum):
    """Of what a limit counts the calls."""

    PROJECT = "project"
    KEY = "key"
    USER = "user"
    TAG = "tag"


class Period(StrEnum):
    """The time of a budget: the UTC day or month, or since the budget was made."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """How much is allowed, each None for no limit. With `usd` it is a budget."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    usd: Decimal | None = None
    period: Period | None = None


class Limit(Allowance, frozen=True, kw_only=True):
    """What is allowed to whom. `name` is the id of a key, a user or a tag; without one the limit holds for each of them by
    itself, and a limit for a name takes its place there. With `model` only calls of that model count."""

    project: str
    id: str
    per: Per
    name: str | None = None
    model: str | None = None
    created_at_ns: int = 0


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What calls under a budget cost up to a moment: in the period that began at `since_ns`."""

    project: str
    limit_id: str
    name: str
    usd: Decimal
    since_ns: int
    until_ns: int
