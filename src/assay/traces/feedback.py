"""Scores that clients send: feedback of users, marks of people, measurements of code."""

import math

import msgspec

from assay.errors import BadRequest, Unavailable
from assay.kit import ids
from assay.spans import Spool
from assay.wire.scores import Score, ScoreSource

_LONGEST = {"name": 100, "comment": 10_000, "value": 10_000}
_TARGETS = ("trace_id", "span_id", "session_id", "case_id")


class ScoreRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/scores`. The same `id` sent again is kept once."""

    name: str
    value: bool | float | str
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    case_id: str | None = None
    comment: str | None = None
    source: ScoreSource = ScoreSource.USER
    id: str | None = None


def score_of(sent: ScoreRequest, *, project: str, author: str, now_ns: int) -> Score:
    """The score that a request asks to keep. Raises `BadRequest` naming what is wrong."""
    if not any(getattr(sent, name) for name in _TARGETS):
        raise BadRequest(f"A score needs what it is about: one of {', '.join(_TARGETS)}.", param="trace_id")
    if not sent.name.strip():
        raise BadRequest("A score needs a name.", param="name", hint="E.g. thumbs, correct or helpful.")
    if isinstance(sent.value, float) and not math.isfinite(sent.value):
        raise BadRequest(f"{sent.value} is no number that can be kept.", param="value")
    for name, longest in _LONGEST.items():
        if isinstance(text := getattr(sent, name), str) and len(text) > longest:
            raise BadRequest(f"{name} is longer than {longest} characters.", param=name)
    for name in (*_TARGETS, "id"):
        if (text := getattr(sent, name)) is not None and not 0 < len(text) <= 200:
            raise BadRequest(f"{name} must have 1 to 200 characters.", param=name)
    return Score(
        score_id=sent.id or ids.uuid7(),
        project=project,
        name=sent.name.strip(),
        value=sent.value,
        source=sent.source,
        at_ns=now_ns,
        trace_id=sent.trace_id,
        span_id=sent.span_id,
        session_id=sent.session_id,
        case_id=sent.case_id,
        explanation=sent.comment,
        author=author,
    )


async def keep(spool: Spool, score: Score) -> None:
    """Return when the score is on the medium. Raises `Unavailable` when it cannot be taken now."""
    spool.admit_telemetry()
    receipt = spool.append([score])
    if receipt is None or not await spool.kept(receipt):
        raise Unavailable(
            f"The score could not be kept: {spool.fault or 'the server is stopping'}.",
            hint="Send it again with the same id.",
        )
