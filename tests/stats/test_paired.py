"""Paired tests against published tables, independent solutions of the same equations, and simulation."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from assay.errors import BadRequest
from assay.stats.paired import (
    mcnemar_chi2,
    mcnemar_exact,
    paired_permutation,
    paired_t,
    sign_test,
    tango,
)
from assay.wire.verdicts import Interval

DISCORDANT = st.integers(1, 60).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n)))
)


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.lo, interval.hi


def test_agrestis_approval_table_is_reproduced() -> None:
    statistic, p_value = mcnemar_chi2(150, 86)
    assert statistic == pytest.approx(17.36, abs=5e-3)
    assert p_value == pytest.approx(3.10e-5, abs=5e-8)
    assert mcnemar_exact(150, 86) == pytest.approx(3.72e-5, abs=5e-8)
    assert mcnemar_chi2(150, 86, correction=True)[0] == pytest.approx(16.82, abs=5e-3)


def test_cavos_table_is_reproduced() -> None:
    """Cavo et al. 2012 as analysed by Fagerland, Lydersen & Laake (2017), chapter 8."""
    assert mcnemar_exact(6, 16) == pytest.approx(0.052479, abs=5e-7)
    assert mcnemar_exact(6, 16, mid_p=True) == pytest.approx(0.034690, abs=5e-7)
    assert mcnemar_chi2(6, 16)[1] == pytest.approx(0.033006, abs=5e-7)
    assert ends(tango(6, 16, n=161)) == pytest.approx((-0.1240, -0.0054), abs=5e-5)


def test_the_score_interval_of_propcis_is_reproduced() -> None:
    assert ends(tango(48, 41, n=549, level=0.9)) == pytest.approx((-0.0157, 0.0414), abs=5e-5)


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_agrees_with_statsmodels(gained: int, lost: int) -> None:
    if gained + lost == 0:
        assert mcnemar_exact(gained, lost) == 1.0
        assert mcnemar_chi2(gained, lost) == (0.0, 1.0)
        return
    table = [[5, gained], [lost, 5]]
    assert mcnemar_exact(gained, lost) == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
    expected = statsmodels_mcnemar(table, exact=False, correction=False)
    assert mcnemar_chi2(gained, lost) == pytest.approx((expected.statistic, expected.pvalue))
    assert mcnemar_exact(gained, lost, mid_p=True) <= mcnemar_exact(gained, lost)


def score_statistic(gained: int, lost: int, n: int, difference: float) -> float:
    """Tango's statistic from its definition: the restricted likelihood is maximised by search, not by formula."""
    same = n - gained - lost

    def unlikely(q: float) -> float:
        cells = ((gained, q + difference), (lost, q), (same, 1 - 2 * q - difference))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    found = optimize.minimize_scalar(
        unlikely,
        bounds=(max(0.0, -difference), (1 - difference) / 2),
        method="bounded",
        options={"xatol": 1e-13},
    )
    variance = n * (2 * found.x + difference * (1 - difference))
    return (gained - lost - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("gained", "lost", "n"),
    [(6, 16, 161), (12, 2, 50), (9, 3, 14), (1, 0, 44), (5, 0, 5), (3, 4, 7), (1, 0, 2), (40, 41, 300)],
)
def test_both_ends_solve_the_score_equation(gained: int, lost: int, n: int) -> None:
    z = scipy_stats.norm.ppf(0.975)
    lo, hi = ends(tango(gained, lost, n=n))
    if lo > -1:
        assert score_statistic(gained, lost, n, lo) == pytest.approx(z, abs=2e-4)
    if hi < 1:
        assert score_statistic(gained, lost, n, hi) == pytest.approx(-z, abs=2e-4)


@given(DISCORDANT, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_tangos_interval_holds_the_estimate_and_mirrors(counts: tuple[int, int, int], level: float) -> None:
    gained, lost, n = counts
    lo, hi = ends(tango(gained, lost, n=n, level=level))
    assert -1 <= lo <= (gained - lost) / n <= hi <= 1
    assert lo < hi
    assert ends(tango(lost, gained, n=n, level=level)) == pytest.approx((-hi, -lo), abs=1e-12)
    wider = tango(gained, lost, n=n, level=0.9999)
    assert wider.lo <= lo
    assert hi <= wider.hi


@pytest.mark.parametrize("n", [1, 2, 10, 44, 5_000])
def test_without_discordant_pairs_tango_has_a_closed_form(n: int) -> None:
    z = scipy_stats.norm.ppf(0.975)
    half = z * z / (n + z * z)
    assert ends(tango(0, 0, n=n)) == pytest.approx((-half, half), abs=1e-12)


@pytest.mark.parametrize("n", [1, 3, 25])
def test_when_all_pairs_are_gained_tango_reaches_one(n: int) -> None:
    lo, hi = ends(tango(n, 0, n=n))
    assert hi == 1.0
    z = scipy_stats.norm.ppf(0.975)
    assert lo == pytest.approx((n - z * z) / (n + z * z), abs=1e-9)


def exact_coverage(n: int, gained: float, lost: float) -> float:
    covered = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c <= n:
            lo, hi = ends(INTERVALS[n][b, c])
            if lo <= gained - lost <= hi:
                covered += scipy_stats.multinomial.pmf(
                    [b, c, n - b - c], n, [gained, lost, 1 - gained - lost]
                )
    return covered


INTERVALS = {n: {(b, c): tango(b, c, n=n) for b in range(n + 1) for c in range(n + 1 - b)} for n in (10, 30)}


@pytest.mark.parametrize("n", [10, 30])
def test_tangos_coverage_is_close_to_its_level(n: int) -> None:
    truths = [(0.1, 0.1), (0.3, 0.1), (0.25, 0.25), (0.5, 0.2), (0.05, 0.02), (0.4, 0.0)]
    covered = [exact_coverage(n, *truth) for truth in truths]
    assert min(covered) > 0.92
    assert 0.945 < np.mean(covered) < 0.98


def test_mcnemar_never_exceeds_its_size_and_its_p_values_are_uniform_at_worst() -> None:
    for pairs in (5, 6, 20, 61):
        chances = scipy_stats.binom.pmf(np.arange(pairs + 1), pairs, 0.5)
        p_values = np.array([mcnemar_exact(b, pairs - b) for b in range(pairs + 1)])
        for alpha in (0.01, 0.05, 0.2):
            assert chances[p_values <= alpha].sum() <= alpha + 1e-12
    assert mcnemar_exact(5, 0) == 0.0625
    assert mcnemar_exact(6, 0) == 0.03125


def test_nine_wins_of_nine_is_a_known_sign_test() -> None:
    assert sign_test([0.0] * 9, [0.4] * 9) == pytest.approx(0.0039, abs=5e-5)
    assert sign_test([0.0] * 9 + [1.0] * 30, [0.4] * 9 + [1.0] * 30) == sign_test([0.0] * 9, [0.4] * 9)


def test_the_paired_t_test_is_scipys() -> None:
    rng = np.random.default_rng(8)
    first, second = rng.normal(size=30).tolist(), rng.normal(0.4, 1, size=30).tolist()
    expected = scipy_stats.ttest_rel(second, first)
    ours = paired_t(first, second)
    assert (ours.estimate, ours.p_value) == pytest.approx((np.mean(second) - np.mean(first), expected.pvalue))
    bounds = expected.confidence_interval(0.95)
    assert ends(ours.interval) == pytest.approx((bounds.low, bounds.high))
    assert paired_t([1.0, 2.0], [1.0, 2.0]).p_value == 1.0
    assert paired_t([1.0, 2.0], [2.0, 3.0]).p_value == 0.0


def by_brute_force(gaps: np.ndarray, shift: float) -> float:
    signs = np.array(list(itertools.product((-1, 1), repeat=gaps.size)))
    means = np.abs((signs * (gaps - shift)).mean(axis=1))
    return float((means >= abs((gaps - shift).mean()) - 1e-12).mean())


@settings(max_examples=40)
@given(
    st.lists(st.integers(-9, 9).map(lambda i: i / 4), min_size=1, max_size=9), st.sampled_from([0.8, 0.95])
)
def test_small_permutation_tests_count_every_pattern_and_invert_exactly(
    gaps: list[float], level: float
) -> None:
    array = np.array(gaps)
    test = paired_permutation([0.0] * len(gaps), gaps, level=level)
    assert test.exact
    assert test.p_value == pytest.approx(by_brute_force(array, 0.0))
    if test.interval is None:
        assert 2.0 ** (1 - len(gaps)) > 1 - level
        return
    alpha, step = 1 - level, 1e-6
    assert by_brute_force(array, test.interval.lo + step) > alpha or array.min() == array.max()
    assert by_brute_force(array, test.interval.lo - step) <= alpha + 1e-12
    assert by_brute_force(array, test.interval.hi + step) <= alpha + 1e-12


def test_permutation_agrees_with_scipy() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=12), rng.normal(0.5, 1, size=12)
    theirs = scipy_stats.permutation_test(
        (second - first,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert paired_permutation(first.tolist(), second.tolist()).p_value == pytest.approx(float(theirs))


def test_only_differences_that_are_not_zero_need_counting() -> None:
    gaps = [0.5, 0.25, 0.75, 1.0, 0.5, 0.25, 1.5, -0.25]
    padded = gaps + [0.0] * 500
    few, many = paired_permutation([0.0] * 8, gaps), paired_permutation([0.0] * 508, padded)
    assert many.exact
    assert many.p_value == few.p_value


def test_drawn_permutations_agree_with_the_t_test_and_repeat_under_their_seed() -> None:
    gaps = np.random.default_rng(4).normal(0.15, 1, size=300).tolist()
    zeros = [0.0] * 300
    drawn, t = paired_permutation(zeros, gaps, seed=1), paired_t(zeros, gaps)
    assert not drawn.exact
    assert drawn.p_value == pytest.approx(t.p_value, abs=0.01)
    assert ends(drawn.interval) == pytest.approx(ends(t.interval), abs=0.01)
    assert drawn == paired_permutation(zeros, gaps, seed=1)
    assert drawn != paired_permutation(zeros, gaps, seed=2)
    assert paired_permutation(zeros, [5.0 + g for g in gaps], draws=99).p_value == 1 / 100


def rejections(
    make: Callable[[np.random.Generator], list[float]], *, rounds: int, seed: int
) -> tuple[float, int]:
    """The share of rounds rejected at 5 %, and in how many the interval and the test disagreed about 0."""
    rng = np.random.default_rng(seed)
    rejected = disagreed = 0
    for number in range(rounds):
        gaps = make(rng)
        test = paired_permutation([0.0] * len(gaps), gaps, draws=999, seed=number)
        lo, hi = ends(test.interval)
        rejected += test.p_value <= 0.05
        disagreed += (test.p_value <= 0.05) != (lo > 0 or hi < 0)
    return rejected / rounds, disagreed


def test_the_permutation_test_has_its_size_and_its_power() -> None:
    size, disagreed = rejections(lambda rng: rng.laplace(size=40).tolist(), rounds=1_000, seed=30)
    assert 0.03 <= size <= 0.07
    assert disagreed == 0
    skewed, _ = rejections(lambda rng: (rng.exponential(size=100) - 1).tolist(), rounds=600, seed=31)
    assert 0.03 <= skewed <= 0.08
    power, _ = rejections(lambda rng: rng.normal(0.4536, 1, size=40).tolist(), rounds=600, seed=32)
    assert power == pytest.approx(0.8, abs=0.05)


def test_ignoring_clusters_cries_wolf_and_permuting_them_does_not() -> None:
    """50 clusters of 10 with an intra-cluster correlation of 0.71: the naive test rejects a true null often."""
    rng = np.random.default_rng(40)
    groups = [place // 10 for place in range(500)]
    naive = clustered = 0
    for number in range(250):
        shared = np.repeat(rng.normal(size=50), 10) * math.sqrt(0.71)
        gaps = (shared + rng.normal(size=500) * math.sqrt(0.29)).tolist()
        zeros = [0.0] * 500
        naive += paired_permutation(zeros, gaps, draws=199, seed=number).p_value <= 0.05
        clustered += paired_permutation(zeros, gaps, draws=999, seed=number, clusters=groups).p_value <= 0.05
    assert naive / 250 > 0.3
    assert 0.01 <= clustered / 250 <= 0.09


def test_what_cannot_be_answered_is_refused_by_name() -> None:
    for refused, parameter in (
        (lambda: mcnemar_exact(-1, 2), "gained"),
        (lambda: tango(3, 3, n=5), "n"),
        (lambda: tango(0, 0, n=0), "n"),
        (lambda: paired_permutation([], []), "baseline"),
        (lambda: paired_permutation([1.0], [1.0], draws=5), "draws"),
        (lambda: paired_t([1.0, 2.0], [1.0]), "candidate"),
        (lambda: sign_test([1.0], [float("inf")]), "candidate"),
    ):
        with pytest.raises(BadRequest) as error:
            refused()
        assert error.value.param == parameter
