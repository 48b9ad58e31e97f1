"""`GET /api/decisions`."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.decisions.ledger import list_decisions
from assay.decisions.types import Decision, Evidence, Kind
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records
from assay.wire.verdicts import Verdict


class DecisionAnswer(msgspec.Struct, kw_only=True):
    """A decision as the API shows it."""

    id: str
    kind: Kind
    subject: str
    actor: str
    at: str
    verdicts: tuple[Verdict, ...]
    evidence: Evidence
    note: str | None


@get("/api/decisions", guards=[requires(Right.READ)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    kind: FromQuery[Kind | None] = None,
    subject: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[DecisionAnswer]:
    """Decisions of the project, newest first."""
    with records.read() as tx:
        page = list_decisions(tx, principal.project, kind=kind, subject=subject, cursor=cursor, limit=limit)
    return Page([answer_of(decision) for decision in page.items], page.next)


def answer_of(decision: Decision) -> DecisionAnswer:
    """A decision in the shape of the API."""
    return DecisionAnswer(
        id=decision.id,
        kind=decision.kind,
        subject=decision.subject,
        actor=decision.actor,
        at=rfc3339(decision.at_ns),
        verdicts=decision.verdicts,
        evidence=decision.evidence,
        note=decision.note,
    )


handlers = [list_all]
