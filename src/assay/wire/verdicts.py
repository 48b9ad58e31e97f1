"""A verdict: the answer to one question about a metric, with how much, how sure, and what could not have been seen."""

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """Which way the evidence points. `better` and `worse` are about the candidate, in the metric's own direction."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


class Interval(msgspec.Struct, frozen=True):
    """A confidence interval with both ends included."""

    lo: float
    hi: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One component draws it, gates and experiments return it, decisions keep it for ever.

    `estimate` and `interval` are on the metric's own scale (for a comparison: candidate minus baseline). `mde` is the
    smallest true difference that this design would have detected with 80 % power at `1 - level`. `margin` is what the
    asker called negligible. `n_errors` counts cases without a score; they are never in `n`. `p_adjusted` and
    `adjustment` say what was done about asking several questions at once.
    """

    question: str
    metric: str
    outcome: Outcome
    estimate: float | None
    interval: Interval | None
    level: float
    method: str
    n: int
    n_errors: int = 0
    p_value: float | None = None
    p_adjusted: float | None = None
    mde: float | None = None
    margin: float | None = None
    anytime_valid: bool = False
    adjustment: str | None = None
    assumptions: tuple[str, ...] = ()
    baseline: float | None = None
    candidate: float | None = None
    note: str | None = None
