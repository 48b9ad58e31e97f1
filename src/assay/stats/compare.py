"""From two lists of scores to a verdict: the right test, its interval, what it could have seen, and what it says.

Yes/no scores get McNemar's exact test and Tango's interval; numbers, and everything that comes in clusters, a
permutation test and the interval that inverts it. A test and an interval that disagree about 0 decide nothing.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from assay.errors import BadRequest
from assay.stats.checks import Floats, by_cluster, check_share, finite
from assay.stats.intervals import clopper_pearson, mean_bca, mean_t, standard_error, wilson
from assay.stats.multiplicity import benjamini_hochberg, benjamini_yekutieli, bonferroni, holm
from assay.stats.paired import mcnemar_exact, paired_permutation, tango
from assay.stats.power import paired_means_mde, paired_proportions_mde
from assay.stats.types import Estimate
from assay.wire.verdicts import Interval, Outcome, Verdict

FEW = 300
"""Below this many values nothing rests on the normal approximation (Bowyer et al. 2025, arXiv 2503.01747)."""

Adjustment = Literal["holm", "bonferroni", "bh", "by"]

_ADJUSTMENTS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "bonferroni": bonferroni,
    "bh": benjamini_hochberg,
    "by": benjamini_yekutieli,
}
_AT_RANDOM = "cases in error would have scored like the others"


class _Measured(NamedTuple):
    """What the numbers say, before anyone asks what it means."""

    estimate: float
    interval: Interval | None
    p_value: float
    mde: float | None
    method: str
    assumptions: tuple[str, ...]
    note: str | None = None


def compare_paired(
    baseline: Sequence[bool] | Sequence[float],
    candidate: Sequence[bool] | Sequence[float],
    *,
    metric: str,
    question: str | None = None,
    n_errors: int = 0,
    level: float = 0.95,
    margin: float | None = None,
    higher_is_better: bool = True,
    bounds: tuple[float, float] | None = None,
    clusters: Sequence[Hashable | None] | None = None,
    max_error_share: float = 0.1,
    seed: int = 0,
) -> Verdict:
    """The verdict on two runs over the same cases: `baseline[i]` and `candidate[i]` are the scores of one case.

    All scores are bools (yes/no: McNemar's exact test, Tango's interval) or all are finite numbers (permutation test and
    its inversion). `clusters` names the group of each case (None: it stands alone); then whole groups are permuted.
    `margin` > 0 is what the asker calls negligible: an interval inside ±margin is `equivalent`, even where it leaves 0
    out. Two one-sided tests are thereby made at half of 1 − level each, on the safe side.

    Cases that errored on either side are left out by the caller and counted in `n_errors`. Where the scores' range is
    known (yes/no, or `bounds`) the note says how far the estimate could move if all of them had gone one way, and a
    verdict that would not survive this is `invalid`; where it is not known, one with more than `max_error_share` of its
    cases in error is. No case at all is `invalid` too.

    `bounds` also lets equal answers count: when no difference was seen in n cases, at most 1 − α^(1/n) of all cases
    differ, and by no more than the range. Without it, equal numbers bound nothing and the verdict is inconclusive.

    Raises `BadRequest` for lists of unequal length, missing or not finite values, bools mixed with numbers, values
    outside `bounds`, a margin ≤ 0, or a level outside (0, 1).
    """
    _check_question(level=level, margin=margin, n_errors=n_errors)
    first, second, yes_no = _pairs(baseline, candidate)
    span = _span((0.0, 1.0) if yes_no else bounds, first, second)
    asked = _unanswered(metric, question, level=level, n=first.size, n_errors=n_errors, margin=margin)
    if first.size == 0:
        return asked
    measured = _measure(first, second, yes_no, level=level, clusters=clusters, span=span, seed=seed)
    outcome, said = _outcome(measured, level=level, margin=margin, higher_is_better=higher_is_better)
    outcome, missing = _weigh_errors(
        outcome, measured.estimate, first.size, n_errors, span=span, margin=margin, limit=max_error_share
    )
    return msgspec.structs.replace(
        asked,
        outcome=outcome,
        estimate=measured.estimate,
        interval=measured.interval,
        method=measured.method,
        p_value=measured.p_value,
        mde=measured.mde,
        assumptions=measured.assumptions + ((_AT_RANDOM,) if n_errors else ()),
        baseline=float(first.mean()),
        candidate=float(second.mean()),
        note=_joined(measured.note, said, missing),
    )


def adjust(verdicts: Sequence[Verdict], method: Adjustment = "holm") -> list[Verdict]:
    """The same verdicts as one family of questions: `p_adjusted` and `adjustment` filled, claims that do not hold undone.

    `holm` (or the weaker `bonferroni`) bounds the chance of any false better or worse; `bh` the expected share of false
    ones among those claimed, `by` the same under any dependence. Verdicts without a p-value are no part of the family.
    `better` and `worse` become `inconclusive` where the adjusted p-value exceeds 1 − level. Intervals are not widened,
    and an `equivalent` rests on its interval alone: ask for a level of 1 − α/m where m of those must hold together.
    Raises `BadRequest` for an unknown method.
    """
    if method not in _ADJUSTMENTS:
        raise BadRequest(
            f"unknown adjustment {method!r}", hint=f"use one of {', '.join(_ADJUSTMENTS)}", param="method"
        )
    tested = [v.p_value for v in verdicts if v.p_value is not None]
    adjusted = iter(_ADJUSTMENTS[method](tested))
    return [v if v.p_value is None else _adjusted(v, next(adjusted), method, len(tested)) for v in verdicts]


def rate(
    values: Sequence[bool] | Sequence[float],
    *,
    metric: str,
    level: float = 0.95,
    n_errors: int = 0,
    clusters: Sequence[Hashable | None] | None = None,
    seed: int = 0,
) -> Estimate:
    """How high one run scores: a proportion of yes, or a mean, with its interval.

    Yes/no: Clopper-Pearson below 300 values, Wilson from there on. Numbers: Student's t below 300, the BCa bootstrap from
    there on. With clusters: t with clustered standard errors and clusters − 1 degrees of freedom. An estimate without
    values is None, an interval of a single number too. Raises `BadRequest` as `compare_paired` does.
    """
    check_share(level, "level")
    yes_no, array, groups = (
        _is_yes_no(values, "values"),
        finite(values, "values"),
        _groups(clusters, len(values)),
    )
    n = array.size
    empty = Estimate(
        metric=metric,
        estimate=None,
        interval=None,
        level=level,
        method="none",
        n=n,
        n_errors=n_errors,
        note="no case has a score",
    )
    if n == 0:
        return empty
    interval, method, assumptions, note = _interval(
        array, yes_no=yes_no, groups=groups, level=level, seed=seed
    )
    if n_errors and yes_no:
        yes = float(array.sum())
        lowest, highest = yes / (n + n_errors), (yes + n_errors) / (n + n_errors)
        note = _joined(
            note,
            f"{n_errors} cases without a score: all cases together lie between {lowest:.3g} and {highest:.3g}",
        )
    return msgspec.structs.replace(
        empty,
        estimate=float(array.mean()),
        interval=interval,
        method=method,
        assumptions=assumptions,
        note=note,
    )


def _unanswered(
    metric: str, question: str | None, *, level: float, n: int, n_errors: int, margin: float | None
) -> Verdict:
    """What was asked, and the answer for want of any pair."""
    return Verdict(
        question=question or f"Is the candidate different from the baseline in {metric}?",
        metric=metric,
        outcome=Outcome.INVALID,
        estimate=None,
        interval=None,
        level=level,
        method="none",
        n=n,
        n_errors=n_errors,
        margin=margin,
        note="no case has a score on both sides",
    )


def _measure(
    first: Floats,
    second: Floats,
    yes_no: bool,
    *,
    level: float,
    clusters: Sequence[Hashable | None] | None,
    span: float | None,
    seed: int,
) -> _Measured:
    groups = _groups(clusters, first.size)
    if yes_no and groups is None:
        return _yes_no(first, second, level=level)
    return _numbers(first, second, level=level, clusters=groups, span=span, seed=seed)


def _yes_no(first: Floats, second: Floats, *, level: float) -> _Measured:
    n, gained, lost = first.size, int((second > first).sum()), int((second < first).sum())
    return _Measured(
        estimate=(gained - lost) / n,
        interval=tango(gained, lost, n=n, level=level),
        p_value=mcnemar_exact(gained, lost),
        mde=paired_proportions_mde(n, discordance=(gained + lost) / n, level=level),
        method="McNemar's exact test, Tango's score interval",
        assumptions=("cases are independent of each other",),
    )


def _numbers(
    first: Floats,
    second: Floats,
    *,
    level: float,
    clusters: Sequence[Hashable | None] | None,
    span: float | None,
    seed: int,
) -> _Measured:
    sums, sizes = by_cluster(second - first, clusters)
    what = "cases" if clusters is None else "clusters"
    of_clusters = "" if clusters is None else " of whole clusters"
    test = paired_permutation(first.tolist(), second.tolist(), level=level, seed=seed, clusters=clusters)
    interval, note = test.interval, None
    if not (second - first).any():
        interval, note = _all_equal(sums.size, level=level, span=span if clusters is None else None)
    elif interval is None:
        note = f"too few {what} ({sums.size}) for an interval at this level"
    error = standard_error(sums, sizes) if sums.size > 1 else 0.0
    return _Measured(
        estimate=test.estimate,
        interval=interval,
        p_value=test.p_value,
        mde=None
        if error == 0.0 or interval is None
        else paired_means_mde(first.size, variance=first.size * error**2, df=sums.size - 1, level=level),
        method=f"{'exact' if test.exact else 'Monte Carlo'} paired permutation test{of_clusters}, interval by its inversion",
        assumptions=(
            f"{what} are independent of each other",
            f"differences lie symmetrically about their mean, or the {what} are many",
        ),
        note=note,
    )


def _all_equal(n: int, *, level: float, span: float | None) -> tuple[Interval | None, str]:
    """No difference was seen in `n` cases: were more than 1 − α^(1/n) of all to differ, that had a chance below α."""
    most = 1 - (1 - level) ** (1 / n)
    interval = None if span is None else Interval(lo=-most * span, hi=most * span)
    return (
        interval,
        "every difference is 0"
        if span is None
        else f"every difference is 0: at most {100 * most:.2g} % of all cases differ",
    )


def _outcome(
    measured: _Measured, *, level: float, margin: float | None, higher_is_better: bool
) -> tuple[Outcome, str | None]:
    interval = measured.interval
    if interval is None:
        return Outcome.INCONCLUSIVE, None
    significant = measured.p_value <= 1 - level + 1e-12
    excludes_zero = interval.lo > 0 or interval.hi < 0
    if margin is not None and -margin < interval.lo and interval.hi < margin:
        return (
            Outcome.EQUIVALENT,
            "different from 0, by less than the margin" if significant and excludes_zero else None,
        )
    if significant != excludes_zero:
        sides = (
            ("the test rejects 0, the interval holds it")
            if significant
            else ("the interval leaves 0 out, the test does not reject it")
        )
        return Outcome.INCONCLUSIVE, f"{sides} (p = {measured.p_value:.3g})"
    if not significant:
        return Outcome.INCONCLUSIVE, None
    return (Outcome.BETTER if (measured.estimate > 0) == higher_is_better else Outcome.WORSE), None


def _weigh_errors(
    outcome: Outcome,
    estimate: float,
    n: int,
    n_errors: int,
    *,
    span: float | None,
    margin: float | None,
    limit: float,
) -> tuple[Outcome, str | None]:
    """Undo what the cases in error could overturn, and say how far they could move the estimate."""
    if n_errors == 0:
        return outcome, None
    total = n + n_errors
    decided = outcome in (Outcome.BETTER, Outcome.WORSE, Outcome.EQUIVALENT)
    if span is None:
        if decided and n_errors > limit * total:
            return Outcome.INVALID, f"{n_errors} of {total} cases are in error: too many to decide"
        return (
            outcome,
            f"{n_errors} of {total} cases are in error; how far they could move the estimate is not known",
        )
    lowest, highest = (n * estimate - n_errors * span) / total, (n * estimate + n_errors * span) / total
    note = f"{n_errors} of {total} cases are in error: with them the estimate could lie anywhere from {lowest:+.3g} to {highest:+.3g}"
    if outcome is Outcome.EQUIVALENT:
        survives = margin is not None and -margin < lowest and highest < margin
    else:
        survives = lowest > 0 or highest < 0
    if decided and not survives:
        return Outcome.INVALID, f"{note}, too far to decide"
    return outcome, note


def _adjusted(verdict: Verdict, p_adjusted: float, method: str, family: int) -> Verdict:
    claims = verdict.outcome in (Outcome.BETTER, Outcome.WORSE)
    undone = claims and p_adjusted > 1 - verdict.level + 1e-12
    note = f"{verdict.outcome} alone, not as one of {family} questions" if undone else None
    return msgspec.structs.replace(
        verdict,
        p_adjusted=p_adjusted,
        adjustment=method,
        outcome=Outcome.INCONCLUSIVE if undone else verdict.outcome,
        note=_joined(verdict.note, note),
    )


def _interval(
    array: Floats, *, yes_no: bool, groups: Sequence[Hashable | None] | None, level: float, seed: int
) -> tuple[Interval | None, str, tuple[str, ...], str | None]:
    """The interval of a rate, the name of its method, what it assumes, and what is to be said about it."""
    n, independent = array.size, ("cases are independent of each other",)
    units = n if groups is None else by_cluster(array, groups)[0].size
    if groups is not None:
        assumptions = ("clusters are independent of each other", "clusters are many or alike")
        if units < 2:
            return None, "none", assumptions, "one cluster is too few for an interval"
        return (
            mean_t(array, level=level, clusters=groups),
            "Student's t, clustered standard error",
            assumptions,
            None,
        )
    if yes_no:
        exact = n < FEW
        yes = int(array.sum())
        interval = clopper_pearson(yes, n, level=level) if exact else wilson(yes, n, level=level)
        return interval, "Clopper-Pearson" if exact else "Wilson", independent, None
    if n < 2:
        return None, "none", independent, "one value is too few for an interval"
    if n < FEW:
        return mean_t(array, level=level), "Student's t", (*independent, "the mean is nearly normal"), None
    return mean_bca(array, level=level, rng=np.random.default_rng(seed)), "BCa bootstrap", independent, None


def _check_question(*, level: float, margin: float | None, n_errors: int) -> None:
    check_share(level, "level")
    if margin is not None and not margin > 0:
        raise BadRequest(f"margin must be greater than 0, not {margin!r}", param="margin")
    if n_errors < 0:
        raise BadRequest(f"n_errors must not be negative, not {n_errors!r}", param="n_errors")


def _pairs(
    baseline: Sequence[bool] | Sequence[float], candidate: Sequence[bool] | Sequence[float]
) -> tuple[Floats, Floats, bool]:
    """Both sides as floats, and whether they are yes/no."""
    if len(baseline) != len(candidate):
        raise BadRequest(
            f"pairs are needed: baseline has {len(baseline)} values, candidate has {len(candidate)}",
            param="candidate",
        )
    yes_no = _is_yes_no(baseline, "baseline")
    if yes_no != _is_yes_no(candidate, "candidate"):
        raise BadRequest("baseline and candidate must both be yes/no or both be numbers", param="candidate")
    return finite(baseline, "baseline"), finite(candidate, "candidate"), yes_no


def _is_yes_no(values: Sequence[bool] | Sequence[float], name: str) -> bool:
    bools = sum(isinstance(value, bool | np.bool_) for value in values)
    if 0 < bools < len(values):
        raise BadRequest(f"{name} mixes yes/no with numbers", param=name)
    return bools > 0


def _span(bounds: tuple[float, float] | None, *sides: Floats) -> float | None:
    if bounds is None:
        return None
    lowest, highest = bounds
    if not lowest < highest:
        raise BadRequest(f"bounds must be (lowest, highest), not {bounds!r}", param="bounds")
    if any(side.size and (side.min() < lowest or side.max() > highest) for side in sides):
        raise BadRequest(f"values lie outside the bounds {bounds!r}", param="bounds")
    return highest - lowest


def _groups(clusters: Sequence[Hashable | None] | None, n: int) -> Sequence[Hashable | None] | None:
    """The clusters, or None where they say nothing because each holds one case."""
    if clusters is None:
        return None
    sums, _ = by_cluster(np.zeros(n), clusters)
    return None if sums.size == n else clusters


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None
