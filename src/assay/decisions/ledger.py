"""Recording and reading decisions."""

from collections.abc import Sequence

from sqlalchemy import Connection

from assay.decisions import store
from assay.decisions.types import Decision, Evidence, Kind
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.wire.verdicts import Verdict


def record(
    tx: Connection,
    project: str,
    kind: Kind,
    subject: str,
    *,
    actor: str,
    verdicts: Sequence[Verdict] = (),
    evidence: Evidence = Evidence(),  # noqa: B008 - frozen
    note: str | None = None,
    clock: Clock = SYSTEM,
) -> Decision:
    """Keep a decision in the transaction that acts on it. `actor` is a principal's name or what decided by itself."""
    decision = Decision(
        project=project,
        id=uuid7(),
        kind=kind,
        subject=subject,
        actor=actor,
        at_ns=clock.now_ns(),
        verdicts=tuple(verdicts),
        evidence=evidence,
        note=note,
    )
    store.add(tx, decision)
    return decision


def list_decisions(
    tx: Connection,
    project: str,
    *,
    kind: Kind | None = None,
    subject: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Decision]:
    """Decisions, newest first, of one kind or about one subject if asked. Raises `BadRequest` for a foreign cursor."""
    before = None if cursor is None else from_cursor(cursor, tuple[int, str])
    found = store.decisions_of(tx, project, kind=kind, subject=subject, before=before, limit=limit + 1)
    if len(found) <= limit:
        return Page(found)
    last = found[limit - 1]
    return Page(found[:limit], to_cursor(last.at_ns, last.id))
