"""A score: one measurement on a span, trace, session or case. Scores are rows of their own, never edits."""

from decimal import Decimal
from enum import StrEnum

import msgspec


class ScoreSource(StrEnum):
    """Who measured."""

    CODE = "code"
    JUDGE = "judge"
    HUMAN = "human"
    USER = "user"
    MONITOR = "monitor"


class Offsets(msgspec.Struct, frozen=True):
    """The part of the output that a score is about, in Unicode code points, end excluded."""

    start: int
    end: int


class Score(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="score"):
    """A bool is a yes/no, a float a number, a str a category or a text. Exactly one target id is set at least."""

    score_id: str
    project: str
    name: str
    value: bool | float | str
    source: ScoreSource
    at_ns: int
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    case_id: str | None = None
    scorer_version: str | None = None
    cost_usd: Decimal | None = None
    explanation: str | None = None
    author: str | None = None
    offsets: tuple[Offsets, ...] = ()
    imported: bool = False
