"""A verdict in plain words: the one sentence that pages, the command line and reports share."""

from assay.ui.filters import NARROW
from assay.ui.language import _, later, ngettext
from assay.wire.verdicts import Outcome, Verdict

_RATE_METHODS = ("mcnemar", "tango", "wilson", "clopper", "newcombe", "proportion")

_OPENINGS = {
    Outcome.BETTER: later("The candidate is better"),
    Outcome.WORSE: later("The candidate is worse"),
    Outcome.EQUIVALENT: later("The two are equivalent within the margin"),
    Outcome.INCONCLUSIVE: later("Inconclusive: the evidence does not settle it"),
    Outcome.INVALID: later("Invalid: this comparison cannot be judged"),
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
    return f"{text}{NARROW}{_('points')}" if unit else text


def level(verdict: Verdict) -> str:
    """The confidence level as a percentage, without needless zeros."""
    return f"{verdict.level * 100:.4g}{NARROW}%"


def p_text(p: float) -> str:
    """`p = 0.0004`; below one in ten thousand only the bound."""
    figure = "< 0.0001" if p < 0.0001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"
    return f"p {figure}".replace(" ", NARROW)


def sentence(verdict: Verdict) -> str:
    """How much, how sure, by which method, and what could not have been seen."""
    opening = _(_OPENINGS[verdict.outcome])
    if verdict.outcome is Outcome.INVALID:
        return (
            _("{opening}. {note}").format(opening=opening, note=verdict.note)
            if verdict.note
            else f"{opening}."
        )
    return _("{finding}, {evidence}{blind_spot}.").format(
        finding=_finding(verdict, opening),
        evidence=_(", ").join(_evidence(verdict)),
        blind_spot=_blind_spot(verdict),
    )


def _finding(verdict: Verdict, opening: str) -> str:
    said = opening
    if verdict.estimate is not None:
        estimate = quantity(verdict, verdict.estimate, signed=True)
        said = _how_much(verdict).format(opening=opening, estimate=estimate)
    if verdict.interval is not None:
        lo = quantity(verdict, verdict.interval.lo, unit=False)
        hi = quantity(verdict, verdict.interval.hi, unit=False)
        said += f" [{level(verdict)}: {lo}, {hi}]"
    return said


def _how_much(verdict: Verdict) -> str:
    if verdict.outcome in (Outcome.BETTER, Outcome.WORSE):
        return _("{opening} by {estimate}")
    if verdict.baseline is None and verdict.candidate is None and verdict.outcome is Outcome.INCONCLUSIVE:
        return _("{opening}; the estimate is {estimate}")
    return _("{opening}; the difference is {estimate}")


def _evidence(verdict: Verdict) -> list[str]:
    facts = [verdict.method]
    if verdict.p_adjusted is not None:
        facts[0] += f" {p_text(verdict.p_adjusted)} ({verdict.adjustment or _('adjusted')})"
    elif verdict.p_value is not None:
        facts[0] += f" {p_text(verdict.p_value)}"
    facts.append(f"n = {verdict.n}".replace(" ", NARROW))
    if verdict.n_errors:
        text = ngettext("{n} error counted apart", "{n} errors counted apart", verdict.n_errors)
        facts.append(text.format(n=verdict.n_errors))
    return facts


def _blind_spot(verdict: Verdict) -> str:
    if verdict.mde is None:
        return ""
    return _("; it would have seen ≥{mde}").format(mde=f"{NARROW}{quantity(verdict, verdict.mde)}")
