"""A decision and what it rests on."""

from enum import StrEnum

import msgspec

from assay.wire.verdicts import Verdict


class Kind(StrEnum):
    """What a decision did."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    RELEASED = "released"
    BLOCKED = "blocked"
    ALERTED = "alerted"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Where the verdicts came from, so that anybody can look again."""

    run_ids: tuple[str, ...] = ()
    comparison_id: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One kept decision. `subject` is what it was about, e.g. `polish/production`; `actor` who or what made it."""

    project: str
    id: str
    kind: Kind
    subject: str
    actor: str
    at_ns: int
    verdicts: tuple[Verdict, ...] = ()
    evidence: Evidence = Evidence()
    note: str | None = None
