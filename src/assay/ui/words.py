"""A verdict in plain words: the one sentence that pages, the command line and reports share."""

from assay.ui.filters import NARROW
from assay.wire.verdicts import Outcome, Verdict

_RATE_METHODS = ("mcnemar", "tango", "wilson", "clopper", "newcombe", "proportion")

_OPENINGS = {
    Outcome.BETTER: "The candidate is better",
    Outcome.WORSE: "The candidate is worse",
    Outcome.EQUIVALENT: "The two are equivalent within the margin",
    Outcome.INCONCLUSIVE: "Inconclusive: the evidence does not settle it",
    Outcome.INVALID: "Invalid: this comparison cannot be judged",
}


def is_rate(verdict: Verdict) -> bool:
    """Whether the metric is a share of cases, so that differences are percentage points."""
    return any(name in verdict.method.lower() for name in _RATE_METHODS)


def quantity(verdict: Verdict, value: float | None, *, signed: bool = False, unit: bool = True) -> str:
    """A value on the verdict's own scale: percentage points for rates, else four significant digits."""
    if value is None:
        return "–"
    sign = "+" if signed else ""
    if not is_rate(verdict):
        return f"{value:{sign}.4g}".replace("-", "−")
    text = f"{value * 100:{sign}.1f}".replace("-", "−")
    return f"{text}{NARROW}points" if unit else text


def level(verdict: Verdict) -> str:
    """The confidence level as a percentage, without needless zeros."""
    return f"{verdict.level * 100:.4g}{NARROW}%"


def p_text(p: float) -> str:
    """`p = 0.0004`; below one in ten thousand only the bound."""
    figure = "< 0.0001" if p < 0.0001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"
    return f"p {figure}".replace(" ", NARROW)


def sentence(verdict: Verdict) -> str:
    """How much, how sure, by which method, and what could not have been seen."""
    opening = _OPENINGS[verdict.outcome]
    if verdict.outcome is Outcome.INVALID:
        return f"{opening}. {verdict.note}" if verdict.note else f"{opening}."
    main = opening
    if verdict.estimate is not None:
        by = " by" if verdict.outcome in (Outcome.BETTER, Outcome.WORSE) else "; the difference is"
        if verdict.baseline is None and verdict.candidate is None and verdict.outcome is Outcome.INCONCLUSIVE:
            by = "; the estimate is"
        main += f"{by} {quantity(verdict, verdict.estimate, signed=True)}"
    if verdict.interval is not None:
        lo = quantity(verdict, verdict.interval.lo, unit=False)
        hi = quantity(verdict, verdict.interval.hi, unit=False)
        main += f" [{level(verdict)}: {lo}, {hi}]"
    return f"{main}, {', '.join(_evidence(verdict))}{_blind_spot(verdict)}."


def _evidence(verdict: Verdict) -> list[str]:
    facts = [verdict.method]
    if verdict.p_adjusted is not None:
        facts[0] += f" {p_text(verdict.p_adjusted)} ({verdict.adjustment or 'adjusted'})"
    elif verdict.p_value is not None:
        facts[0] += f" {p_text(verdict.p_value)}"
    facts.append(f"n = {verdict.n}".replace(" ", NARROW))
    if verdict.n_errors:
        facts.append(f"{verdict.n_errors} {'error' if verdict.n_errors == 1 else 'errors'} counted apart")
    return facts


def _blind_spot(verdict: Verdict) -> str:
    return "" if verdict.mde is None else f"; it would have seen ≥{NARROW}{quantity(verdict, verdict.mde)}"
