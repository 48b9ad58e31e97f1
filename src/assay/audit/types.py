"""An entry of the log."""

from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `action` is noun and verb (`key.revoked`), `subject` tells which one (`checkout`), `before` and `after`
    hold what differs. `actor_id` is `user:<name>` or `key:<id>`; `via` says whether by key, session, socket or login."""

    project: str
    id: str
    at_ns: int
    actor: str
    actor_id: str | None
    via: str
    address: str | None
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class EntryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to show. `project` None is every project; `action` is a whole one or its noun; times are half-open."""

    project: str | None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
