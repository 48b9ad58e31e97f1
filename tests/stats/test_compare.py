"""Verdicts: the right method, honest outcomes at every edge, and the promises kept under simulation."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadRequest
from assay.stats.compare import adjust, compare_paired, rate
from assay.stats.paired import mcnemar_exact, paired_permutation, tango
from assay.wire.verdicts import Interval, Outcome, Verdict


def answers(*, both: int, gained: int, lost: int, neither: int) -> tuple[list[bool], list[bool]]:
    baseline = [True] * both + [False] * gained + [True] * lost + [False] * neither
    candidate = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return baseline, candidate


def verdict_of(p_value: float | None, outcome: Outcome) -> Verdict:
    return Verdict(
        question="q", metric="m", outcome=outcome, estimate=0.1, interval=Interval(lo=0.01, hi=0.2),
        level=0.95, method="m", n=10, p_value=p_value,
    )  # fmt: skip


def test_yes_no_scores_get_mcnemar_and_tango() -> None:
    verdict = compare_paired(*answers(both=30, gained=40, lost=12, neither=38), metric="exact")
    assert verdict.outcome is Outcome.BETTER
    assert verdict.n == 120
    assert verdict.estimate == pytest.approx(28 / 120)
    assert verdict.baseline == pytest.approx(42 / 120)
    assert verdict.candidate == pytest.approx(70 / 120)
    assert verdict.p_value == mcnemar_exact(40, 12)
    assert verdict.interval == tango(40, 12, n=120)
    assert verdict.mde == pytest.approx(0.17, abs=0.02)
    assert "McNemar" in verdict.method
    assert "Tango" in verdict.method
    assert verdict.note is None


def test_a_metric_where_less_is_better_turns_the_outcome_not_the_estimate() -> None:
    cheaper = [value / 2 for value in range(1, 41)]
    dearer = [value / 2 + 1.5 + value % 3 for value in range(1, 41)]
    rise = compare_paired(cheaper, dearer, metric="cost", higher_is_better=False)
    fall = compare_paired(dearer, cheaper, metric="cost", higher_is_better=False)
    assert (rise.outcome, fall.outcome) == (Outcome.WORSE, Outcome.BETTER)
    assert rise.estimate is not None
    assert rise.estimate > 0
    assert compare_paired(cheaper, dearer, metric="score").outcome is Outcome.BETTER


def test_numbers_get_the_permutation_test_and_the_interval_that_inverts_it() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=60).tolist(), rng.normal(0.1, 1, size=60).tolist()
    verdict, test = (
        compare_paired(first, second, metric="score", seed=4),
        paired_permutation(first, second, seed=4),
    )
    assert (verdict.p_value, verdict.interval, verdict.estimate) == (
        test.p_value,
        test.interval,
        test.estimate,
    )
    assert verdict.outcome is Outcome.INCONCLUSIVE
    spread = np.std(np.array(second) - np.array(first), ddof=1)
    assert verdict.mde == pytest.approx(2.85 * spread / np.sqrt(60), rel=0.01)
    assert verdict == compare_paired(first, second, metric="score", seed=4)


def test_a_test_and_an_interval_that_disagree_decide_nothing() -> None:
    """Five of five gained: Tango's interval leaves 0 out, McNemar's exact p is 0.0625."""
    verdict = compare_paired(*answers(both=0, gained=5, lost=0, neither=0), metric="exact")
    assert verdict.interval is not None
    assert verdict.interval.lo > 0
    assert verdict.p_value == 0.0625
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "does not reject" in str(verdict.note)


def test_an_interval_inside_the_margin_is_equivalent_even_away_from_zero() -> None:
    same = compare_paired(*answers(both=100, gained=0, lost=0, neither=20), metric="exact", margin=0.05)
    assert same.outcome is Outcome.EQUIVALENT
    few = compare_paired(*answers(both=30, gained=0, lost=0, neither=5), metric="exact", margin=0.05)
    assert few.outcome is Outcome.INCONCLUSIVE
    slight = compare_paired(
        *answers(both=9_000, gained=120, lost=40, neither=840), metric="exact", margin=0.05
    )
    assert slight.outcome is Outcome.EQUIVALENT
    assert "less than the margin" in str(slight.note)
    assert (
        compare_paired(*answers(both=9_000, gained=120, lost=40, neither=840), metric="exact").outcome
        is Outcome.BETTER
    )


def test_no_case_is_invalid_and_few_cases_are_inconclusive() -> None:
    empty = compare_paired([], [], metric="exact", n_errors=3)
    assert (empty.outcome, empty.n, empty.n_errors, empty.estimate) == (Outcome.INVALID, 0, 3, None)
    single = compare_paired([1.0], [2.0], metric="score")
    assert (single.outcome, single.interval, single.mde) == (Outcome.INCONCLUSIVE, None, None)
    assert "too few" in str(single.note)
    one = compare_paired([False], [True], metric="exact")
    assert (one.outcome, one.p_value, one.mde) == (Outcome.INCONCLUSIVE, 1.0, None)


def test_equal_numbers_bound_nothing_unless_their_range_is_known() -> None:
    same = [0.25, 0.5, 1.0] * 40
    unknown = compare_paired(same, same, metric="score", margin=0.05)
    assert (unknown.outcome, unknown.interval) == (Outcome.INCONCLUSIVE, None)
    known = compare_paired(same, same, metric="score", margin=0.05, bounds=(0.0, 1.0))
    assert known.outcome is Outcome.EQUIVALENT
    assert known.interval is not None
    assert known.interval.hi == pytest.approx(1 - 0.05 ** (1 / 120))


def test_errors_are_counted_apart_and_their_worst_case_is_told() -> None:
    sides = answers(both=30, gained=40, lost=12, neither=38)
    few = compare_paired(*sides, metric="exact", n_errors=4)
    assert (few.outcome, few.n, few.n_errors) == (Outcome.BETTER, 120, 4)
    assert "+0.194" in str(few.note)
    assert "+0.258" in str(few.note)
    assert any("error" in assumption for assumption in few.assumptions)
    many = compare_paired(*sides, metric="exact", n_errors=28)
    assert many.outcome is Outcome.INVALID
    assert "too far to decide" in str(many.note)


def test_errors_can_undo_equivalence_and_numbers_without_a_range() -> None:
    same = answers(both=100, gained=0, lost=0, neither=20)
    assert compare_paired(*same, metric="exact", margin=0.05, n_errors=5).outcome is Outcome.EQUIVALENT
    assert compare_paired(*same, metric="exact", margin=0.05, n_errors=8).outcome is Outcome.INVALID
    first = [float(v % 7) for v in range(60)]
    second = [v + 1 + (v % 2) / 2 for v in first]
    assert compare_paired(first, second, metric="score", n_errors=6).outcome is Outcome.BETTER
    assert compare_paired(first, second, metric="score", n_errors=7).outcome is Outcome.INVALID
    assert compare_paired(first, second, metric="score", n_errors=7, bounds=(0, 9)).outcome is Outcome.BETTER


def test_clusters_widen_what_copies_of_a_case_would_narrow() -> None:
    first, second = answers(both=2, gained=6, lost=2, neither=2)
    copies = [case for case in range(12) for _ in range(10)]
    tenfold = [first[case] for case in copies], [second[case] for case in copies]
    naive = compare_paired(*tenfold, metric="exact")
    clustered = compare_paired(*tenfold, metric="exact", clusters=copies)
    assert naive.outcome is Outcome.BETTER
    assert clustered.outcome is Outcome.INCONCLUSIVE
    assert "clusters" in clustered.method
    assert clustered.mde is not None
    assert naive.mde is not None
    assert clustered.mde > 2 * naive.mde
    alone = compare_paired(first, second, metric="exact", clusters=list(range(12)))
    assert alone == compare_paired(first, second, metric="exact")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.integers(0, 5))
def test_swapping_the_sides_mirrors_the_verdict(pairs: list[tuple[bool, bool]], n_errors: int) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    there = compare_paired(first, second, metric="exact", n_errors=n_errors, margin=0.1)
    back = compare_paired(second, first, metric="exact", n_errors=n_errors, margin=0.1)
    mirror = {Outcome.BETTER: Outcome.WORSE, Outcome.WORSE: Outcome.BETTER}
    assert back.outcome is mirror.get(there.outcome, there.outcome)
    assert (back.p_value, back.mde) == (there.p_value, there.mde)
    assert there.estimate is not None
    assert back.estimate == pytest.approx(-there.estimate)
    assert msgspec.json.decode(msgspec.json.encode(there), type=Verdict) == there


def test_wrong_calls_are_rare_and_right_ones_as_frequent_as_the_mde_says() -> None:
    rng = np.random.default_rng(12)
    null: list[Outcome] = []
    real: list[Outcome] = []
    for _ in range(400):
        for outcomes, gained, lost in ((null, 0.15, 0.15), (real, 0.2225, 0.0775)):
            drawn = rng.choice(3, p=[gained, lost, 1 - gained - lost], size=120)
            verdict = compare_paired((drawn == 1).tolist(), (drawn == 0).tolist(), metric="exact")
            outcomes.append(verdict.outcome)
    assert sum(o is not Outcome.INCONCLUSIVE for o in null) / 400 <= 0.05
    assert sum(o is Outcome.BETTER for o in real) / 400 == pytest.approx(0.8, abs=0.06)
    assert Outcome.WORSE not in real


def test_several_questions_undo_claims_that_hold_only_alone() -> None:
    family = [
        verdict_of(0.001, Outcome.BETTER),
        verdict_of(0.03, Outcome.WORSE),
        verdict_of(0.4, Outcome.INCONCLUSIVE),
        verdict_of(None, Outcome.INVALID),
    ]
    first, second, third, invalid = adjust(family)
    assert (first.outcome, first.adjustment) == (Outcome.BETTER, "holm")
    assert first.p_adjusted == pytest.approx(0.003)
    assert second.outcome is Outcome.INCONCLUSIVE
    assert second.p_adjusted == pytest.approx(0.06)
    assert "worse alone, not as one of 3 questions" in str(second.note)
    assert third.note is None
    assert invalid == family[3]
    assert [v.outcome for v in adjust(family, "bh")][1] is Outcome.WORSE
    assert adjust([]) == []


def test_a_rate_uses_exact_methods_below_a_few_hundred() -> None:
    few, many = rate([True] * 81 + [False] * 182, metric="exact"), rate([True, False] * 200, metric="exact")
    assert few.method == "Clopper-Pearson"
    assert few.interval is not None
    assert (few.interval.lo, few.interval.hi) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    assert many.method == "Wilson"
    numbers = [float(v % 9) for v in range(320)]
    assert rate(numbers[:200], metric="score").method == "Student's t"
    assert rate(numbers, metric="score").method == "BCa bootstrap"
    assert rate(numbers, metric="score") == rate(numbers, metric="score")
    clustered = rate(numbers, metric="score", clusters=[v // 40 for v in range(320)])
    assert clustered.method == "Student's t, clustered standard error"


def test_a_rate_of_little_says_that_it_is_little() -> None:
    none = rate([], metric="exact", n_errors=2)
    assert (none.estimate, none.interval, none.n, none.n_errors) == (None, None, 0, 2)
    assert rate([4.0], metric="score").interval is None
    assert rate([1.0, 2.0], metric="score", clusters=["a", "a"]).interval is None
    errors = rate([True] * 6 + [False] * 2, metric="exact", n_errors=2)
    assert "between 0.6 and 0.8" in str(errors.note)
    assert (errors.estimate, errors.n) == (0.75, 8)


def test_what_cannot_be_answered_is_refused_by_name() -> None:
    for refused, parameter in (
        (lambda: compare_paired([True], [True, False], metric="m"), "candidate"),
        (lambda: compare_paired([True], [1.0], metric="m"), "candidate"),
        (lambda: compare_paired([True, 1.0], [True, False], metric="m"), "baseline"),
        (lambda: compare_paired([1.0], [float("nan")], metric="m"), "candidate"),
        (lambda: compare_paired([1.0], [2.0], metric="m", bounds=(0.0, 1.0)), "bounds"),
        (lambda: compare_paired([1.0], [1.0], metric="m", bounds=(1.0, 1.0)), "bounds"),
        (lambda: compare_paired([1.0], [1.0], metric="m", margin=0.0), "margin"),
        (lambda: compare_paired([1.0], [1.0], metric="m", level=95), "level"),
        (lambda: compare_paired([1.0], [1.0], metric="m", n_errors=-1), "n_errors"),
        (lambda: compare_paired([1.0], [1.0], metric="m", clusters=[]), "clusters"),
        (lambda: rate([True, 0.5], metric="m"), "values"),
        (lambda: adjust([], "none"), "method"),  # type: ignore[arg-type]
    ):
        with pytest.raises(BadRequest) as error:
            refused()
        assert error.value.param == parameter
