"""Scores that clients send and people give on the pages: feedback of users, marks, measurements of code.

A score is never edited. Who changes their mind gives another one, and the newest of one person about one thing holds.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from assay.errors import AssayError, BadRequest, Unavailable
from assay.kit import ids
from assay.spans import Spool
from assay.ui.language import later
from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import Span

THUMBS = "thumbs"
"""The name of the score that a thumb gives: yes or no."""
COMMENT = "comment"
"""The name of the score that a comment without a thumb gives: a text."""

About = Literal["trace", "span", "session"]
_ABOUT: tuple[tuple[About, str], ...] = (
    ("span", later("this step")),
    ("trace", later("the whole trace")),
    ("session", later("the session")),
)
_YES_NO = {"yes": True, "no": False}
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
    if isinstance(sent.value, str) and not sent.value.strip():
        raise BadRequest("A score needs a value.", param="value", hint="True or false, a number, or a text.")
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


class FeedbackForm(msgspec.Struct, kw_only=True):
    """What the forms of a page send: a thumb (`up`, `down`) or a score of any name, and what it is about."""

    about: str = "trace"
    span_id: str = ""
    session_id: str = ""
    thumb: str = ""
    name: str = ""
    kind: str = "yes_no"
    value: str = ""
    comment: str = ""


class FeedbackPanel(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/feedback.html` shows. `thumb` is what whoever looks thought last of what `about` says."""

    action: str
    choices: list[tuple[str, str]]
    form: FeedbackForm
    thumb: bool | None
    problem: AssayError | None


class Marks(msgspec.Struct):
    """How a trace was received."""

    up: int = 0
    down: int = 0
    comments: int = 0


def filled(form: FeedbackForm, *, trace_id: str) -> ScoreRequest:
    """The score that somebody gave on a page. Raises `BadRequest` naming the field."""
    comment = form.comment.strip() or None
    targets = _targets(form, trace_id)
    if form.thumb:
        if form.thumb not in ("up", "down"):
            raise BadRequest(f"{form.thumb!r} is no thumb.", param="thumb", hint="up or down.")
        name, value = THUMBS, form.thumb == "up"
        return ScoreRequest(name=name, value=value, comment=comment, source=ScoreSource.HUMAN, **targets)
    if form.name.strip():
        return ScoreRequest(
            name=form.name, value=_value(form), comment=comment, source=ScoreSource.HUMAN, **targets
        )
    if comment is None:
        raise BadRequest(
            "There is nothing to keep.", param="comment", hint="Write a comment or press a thumb."
        )
    return ScoreRequest(name=COMMENT, value=comment, source=ScoreSource.HUMAN, **targets)


def panel(
    form: FeedbackForm,
    *,
    action: str,
    span: Span,
    scores: Sequence[Score],
    author: str,
    problem: AssayError | None = None,
) -> FeedbackPanel:
    """The forms below a span, as they were filled in when there is a problem."""
    form = msgspec.structs.replace(form, span_id=span.span_id, session_id=span.session_id or "")
    thumbs = [
        score.value is True
        for score in scores
        if score.author == author and _is_thumb(score) and _is_about(score, form, span.trace_id)
    ]
    return FeedbackPanel(
        action=action,
        choices=[pair for pair in _ABOUT if pair[0] != "session" or span.session_id],
        form=form,
        thumb=thumbs[-1] if thumbs else None,
        problem=problem,
    )


def marks(scores: Iterable[Score]) -> dict[str, Marks]:
    """By trace: the thumbs that hold, and how many comments were written, alone or with a score."""
    thumbs: dict[tuple[str | None, ...], Score] = {}
    found: dict[str, Marks] = {}
    for score in scores:
        if score.trace_id is None:
            continue
        of = found.setdefault(score.trace_id, Marks())
        if _is_thumb(score):
            # A program sends for many people: of its scores none replaces another.
            who = score.author if score.source is ScoreSource.HUMAN else score.score_id
            thumbs[who, score.trace_id, score.span_id] = score
        of.comments += score.name == COMMENT or bool(score.explanation)
    for (_, trace_id, _), score in thumbs.items():
        of = found[str(trace_id)]
        of.up += score.value is True
        of.down += score.value is False
    return found


def _is_thumb(score: Score) -> bool:
    return score.name == THUMBS and isinstance(score.value, bool)


def _is_about(score: Score, form: FeedbackForm, trace_id: str) -> bool:
    match form.about:
        case "span":
            return score.span_id == form.span_id
        case "session":
            return score.session_id == form.session_id
        case _:
            return score.trace_id == trace_id and score.span_id is None


def _targets(form: FeedbackForm, trace_id: str) -> dict[str, str]:
    match form.about:
        case "trace":
            return {"trace_id": trace_id}
        case "span" if form.span_id:
            return {"trace_id": trace_id, "span_id": form.span_id}
        case "session" if form.session_id:
            return {"session_id": form.session_id}
        case other:
            raise BadRequest(f"A score cannot be about {other!r} here.", param="about")


def _value(form: FeedbackForm) -> bool | float | str:
    written = form.value.strip()
    match form.kind:
        case "yes_no" if written.lower() in _YES_NO:
            return _YES_NO[written.lower()]
        case "yes_no":
            raise BadRequest(f"{written!r} is neither yes nor no.", param="value")
        case "number":
            try:
                return float(written)
            except ValueError as error:
                raise BadRequest(f"{written!r} is no number.", param="value", hint="E.g. 0.8") from error
        case "text":
            return written
        case other:
            raise BadRequest(f"{other!r} is no kind of value.", param="kind", hint="yes_no, number or text.")
