"""Intervals against published numbers, other implementations, and their own promise: coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.api import OLS
from statsmodels.stats.proportion import proportion_confint

from assay.errors import BadRequest
from assay.stats.intervals import clopper_pearson, clustered_se, mean_bca, mean_t, wilson
from assay.wire.verdicts import Interval

CLUSTERED = [1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1]
THREES = [place // 3 for place in range(12)]


def ends(interval: Interval) -> tuple[float, float]:
    return interval.lo, interval.hi


@pytest.mark.parametrize(
    ("yes", "n", "score", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_newcombes_table_is_reproduced(
    yes: int, n: int, score: tuple[float, float], exact: tuple[float, float]
) -> None:
    assert ends(wilson(yes, n)) == pytest.approx(score, abs=5e-5)
    assert ends(clopper_pearson(yes, n)) == pytest.approx(exact, abs=5e-5)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_proportions_agree_with_statsmodels(counts: tuple[int, int], level: float) -> None:
    yes, n = counts
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "beta")):
        theirs = proportion_confint(yes, n, alpha=1 - level, method=method)
        assert ends(ours(yes, n, level=level)) == pytest.approx(theirs, abs=1e-9)
        assert 0.0 <= ours(yes, n, level=level).lo <= yes / n <= ours(yes, n, level=level).hi <= 1.0


def test_coverage_of_a_proportion_is_exact_or_close() -> None:
    for n in (8, 40):
        counts = np.arange(n + 1)
        score = [wilson(int(k), n) for k in counts]
        exact = [clopper_pearson(int(k), n) for k in counts]
        truths = np.linspace(0.01, 0.99, 197)
        weights = scipy_stats.binom.pmf(counts[:, None], n, truths)
        score_cover = sum(
            w * np.array([i.lo <= p <= i.hi for p in truths]) for w, i in zip(weights, score, strict=True)
        )
        exact_cover = sum(
            w * np.array([i.lo <= p <= i.hi for p in truths]) for w, i in zip(weights, exact, strict=True)
        )
        assert exact_cover.min() >= 0.95
        assert score_cover.min() > 0.82
        assert abs(score_cover.mean() - 0.95) < 0.012


def test_clustered_errors_are_those_of_a_clustered_regression() -> None:
    fitted = OLS(CLUSTERED, np.ones(12)).fit(
        cov_type="cluster", cov_kwds={"groups": np.array(THREES), "use_correction": False}
    )
    assert clustered_se(CLUSTERED, THREES, finite_clusters=False) == pytest.approx(float(fitted.bse[0]))
    assert clustered_se(CLUSTERED, THREES, finite_clusters=False) == pytest.approx(0.1816208, abs=1e-7)
    assert clustered_se(CLUSTERED, THREES) == pytest.approx(0.2097176, abs=1e-7)
    assert clustered_se(CLUSTERED, list(range(12))) == pytest.approx(0.1486471, abs=1e-7)


def test_a_cluster_named_none_stands_alone() -> None:
    assert clustered_se(CLUSTERED, [None] * 12) == pytest.approx(0.1486471, abs=1e-7)
    assert clustered_se([1, 2, 3, 4], ["a", "a", None, None]) == clustered_se(
        [1, 2, 3, 4], ["a", "a", "b", "c"]
    )


def test_the_t_interval_is_scipys() -> None:
    values = np.random.default_rng(3).normal(5, 2, size=23)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert ends(mean_t(values, level=0.9)) == pytest.approx((expected.low, expected.high))


def test_the_bootstrap_is_scipys_under_the_same_seed() -> None:
    values = np.random.default_rng(1).exponential(size=60)
    expected = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=2_000, method="BCa", random_state=np.random.default_rng(5)
    ).confidence_interval
    ours = mean_bca(values, rng=np.random.default_rng(5), resamples=2_000)
    assert ends(ours) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_means_are_covered_as_promised_even_when_skewed() -> None:
    rng = np.random.default_rng(20)
    covered_t = covered_bca = 0
    for _ in range(400):
        values = rng.exponential(size=80)
        covered_t += mean_t(values).lo <= 1 <= mean_t(values).hi
        bca = mean_bca(values, rng=rng, resamples=600)
        covered_bca += bca.lo <= 1 <= bca.hi
    assert 0.91 <= covered_t / 400 <= 0.98
    assert 0.91 <= covered_bca / 400 <= 0.98


def test_values_without_spread_have_an_interval_without_width() -> None:
    assert ends(mean_t([2.0, 2.0, 2.0])) == (2.0, 2.0)
    assert ends(mean_bca([0.1] * 7, rng=np.random.default_rng(0))) == pytest.approx((0.1, 0.1))


def test_what_cannot_be_answered_is_refused_by_name() -> None:
    for refused, parameter in (
        (lambda: wilson(3, 2), "successes"),
        (lambda: clopper_pearson(0, 0), "n"),
        (lambda: wilson(1, 2, level=1.0), "level"),
        (lambda: mean_t([1.0]), "values"),
        (lambda: mean_t([1.0, float("nan")]), "values"),
        (lambda: clustered_se([1.0, 2.0], ["a"]), "clusters"),
        (lambda: clustered_se([1.0, 2.0], ["a", "a"]), "values"),
        (lambda: mean_bca([1.0], rng=np.random.default_rng(0)), "values"),
    ):
        with pytest.raises(BadRequest) as error:
            refused()
        assert error.value.param == parameter
