"""Roles and what they allow, keys, and who stands behind a request."""

from enum import StrEnum
from typing import Literal

import msgspec

PROJECT = "default"
"""The one project there is so far."""

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
    """Keys, providers and settings."""


RIGHTS: dict[Right, frozenset[Role]] = {
    Right.CALL: frozenset({Role.APP, Role.EDITOR, Role.ADMIN}),
    Right.SEND: frozenset({Role.APP, Role.EDITOR, Role.ADMIN}),
    Right.READ_PROMPTS: frozenset({Role.APP, Role.VIEWER, Role.EDITOR, Role.ADMIN}),
    Right.READ: frozenset({Role.VIEWER, Role.EDITOR, Role.ADMIN}),
    Right.EDIT: frozenset({Role.EDITOR, Role.ADMIN}),
    Right.OVERRIDE: frozenset({Role.EDITOR, Role.ADMIN}),
    Right.ADMINISTER: frozenset({Role.ADMIN}),
}
"""Who has which right. A viewer looks: no calls that cost, no scores that enter decisions."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request. `environment` is None unless the key is bound to one."""

    project: str
    key_id: str | None
    name: str
    role: Role
    environment: str | None
    via: Literal["key", "session", "socket"]

    def may(self, right: Right) -> bool:
        """Whether the role has the right."""
        return self.role in RIGHTS[right]


SOCKET = Principal(
    project=PROJECT, key_id=None, name="local", role=Role.ADMIN, environment=None, via="socket"
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


class Session(msgspec.Struct, frozen=True):
    """A browser login: who it is, and until when."""

    principal: Principal
    expires_at_ns: int
