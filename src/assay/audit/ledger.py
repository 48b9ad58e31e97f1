"""Writing and reading the log."""

from collections.abc import Sequence

from sqlalchemy import Connection

from assay.access import PROJECT
from assay.access.acting import acting
from assay.audit import store
from assay.audit.types import Entry, EntryFilter
from assay.kit.clock import SYSTEM
from assay.kit.ids import uuid7
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.records.auditing import Change


def log_changes(tx: Connection, changes: Sequence[Change]) -> None:
    """Keep what a transaction changed, with who acts just now. What belongs to no project is kept with the server's,
    `default`. Changes of one transaction stay in their order: each is a nanosecond after the one before."""
    actor, now = acting.get(), SYSTEM.now_ns()
    store.add(
        tx,
        [
            Entry(
                project=change.project or PROJECT,
                id=uuid7(),
                at_ns=now + position,
                actor=actor.name,
                actor_id=actor.id,
                via=actor.via,
                address=actor.address,
                action=change.action,
                subject=change.subject,
                before=change.before,
                after=change.after,
            )
            for position, change in enumerate(changes)
        ],
    )


def list_entries(
    tx: Connection, wanted: EntryFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[Entry]:
    """Entries, newest first. Raises `BadRequest` for a foreign cursor."""
    before = None if cursor is None else from_cursor(cursor, tuple[int, str])
    found = store.entries_of(tx, wanted, before=before, limit=limit + 1)
    if len(found) <= limit:
        return Page(found)
    last = found[limit - 1]
    return Page(found[:limit], to_cursor(last.at_ns, last.id))
