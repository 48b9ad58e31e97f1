"""Sample sizes against published figures, and against the rejections they promise."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.power import NormalIndPower, TTestPower

from assay.errors import BadRequest
from assay.stats.paired import mcnemar_exact
from assay.stats.power import (
    mcnemar_power,
    paired_means_mde,
    paired_means_n,
    paired_proportions_mde,
    paired_proportions_n,
    proportion_mde,
    proportion_n,
    two_proportions_n,
)


def test_millers_figures_are_reproduced() -> None:
    assert paired_means_n(0.03, variance=1 / 9) == 969
    noise = (1 / 6, 1 / 6)
    assert paired_means_mde(198, variance=1 / 9, noise=noise) == pytest.approx(0.13273, abs=5e-6)
    assert paired_means_mde(198, variance=1 / 9, noise=noise, repeats=(10, 10)) == pytest.approx(
        0.07567, abs=5e-6
    )


def test_the_ab_calculators_figure_is_reproduced() -> None:
    assert two_proportions_n(0.10, 0.12) == 3_841
    assert two_proportions_n(0.12, 0.10) == 3_841


def test_means_agree_with_statsmodels() -> None:
    wanted = NormalIndPower(ddof=0).solve_power(effect_size=0.25, alpha=0.05, power=0.9, ratio=0)
    assert paired_means_n(0.25, variance=1.0, power=0.9) == np.ceil(wanted)
    exact = TTestPower().solve_power(nobs=20, alpha=0.05, power=0.8)
    assert paired_means_mde(20, variance=1.0, df=19) == pytest.approx(exact, rel=0.02)
    assert paired_means_mde(20, variance=1.0) < exact


def test_the_power_of_mcnemar_is_the_share_of_rejections() -> None:
    rng = np.random.default_rng(6)
    n, discordance, effect = 120, 0.3, 0.15
    cells = rng.multinomial(
        n, [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance], size=4_000
    )
    rejected = np.mean([mcnemar_exact(int(b), int(c)) <= 0.05 for b, c, _ in cells])
    assert mcnemar_power(n, discordance=discordance, effect=effect) == pytest.approx(
        float(rejected), abs=0.02
    )


def test_the_power_of_mcnemar_under_no_effect_is_its_size() -> None:
    for n in (6, 50, 3_000):
        assert 0 <= mcnemar_power(n, discordance=0.4, effect=0.0) <= 0.05
    assert mcnemar_power(5, discordance=1.0, effect=1.0) == 0.0
    assert mcnemar_power(6, discordance=1.0, effect=1.0) == 1.0
    assert mcnemar_power(50, discordance=0.0, effect=0.0) == 0.0


def test_pairs_needed_and_effect_seen_are_inverse() -> None:
    for effect, discordance in ((0.05, 0.2), (0.1, 0.1), (-0.2, 0.5)):
        n = paired_proportions_n(effect, discordance=discordance)
        assert mcnemar_power(n, discordance=discordance, effect=effect) >= 0.8
        assert mcnemar_power(round(n * 0.9) - 3, discordance=discordance, effect=effect) < 0.8
        seen = paired_proportions_mde(n, discordance=discordance)
        assert seen == pytest.approx(abs(effect), rel=0.06)


def test_a_design_that_can_see_nothing_says_so() -> None:
    assert paired_proportions_mde(5, discordance=0.5) is None
    assert paired_proportions_mde(6, discordance=0.0) == pytest.approx(0.9635, abs=1e-3)
    smaller = [paired_proportions_mde(n, discordance=0.2) or 1.0 for n in (10, 40, 160, 640, 40_000)]
    assert smaller == sorted(smaller, reverse=True)
    assert smaller[-1] < 0.007


def test_a_single_proportion_needs_the_cases_that_simulation_confirms() -> None:
    n = proportion_n(0.1, expected=0.5)
    assert n == 194
    rng = np.random.default_rng(9)
    seen = np.abs(rng.binomial(n, 0.6, size=20_000) / n - 0.5) > scipy_stats.norm.ppf(0.975) * np.sqrt(
        0.25 / n
    )
    assert seen.mean() == pytest.approx(0.8, abs=0.03)
    assert proportion_mde(n, expected=0.5) == pytest.approx(0.1, rel=1e-3)
    assert proportion_mde(10, expected=0.95) is None


def test_what_cannot_be_answered_is_refused_by_name() -> None:
    for refused, parameter in (
        (lambda: paired_means_n(0.0, variance=1.0), "effect"),
        (lambda: paired_means_n(0.1, variance=-1.0), "variance"),
        (lambda: paired_means_mde(0, variance=1.0), "n"),
        (lambda: paired_means_mde(5, variance=1.0, repeats=(0, 1)), "repeats"),
        (lambda: paired_proportions_n(0.3, discordance=0.2), "effect"),
        (lambda: paired_proportions_n(1e-6, discordance=0.5, limit=1_000), "effect"),
        (lambda: paired_proportions_mde(10, discordance=1.5), "discordance"),
        (lambda: proportion_n(0.6, expected=0.5), "effect"),
        (lambda: two_proportions_n(0.2, 0.2), "candidate"),
        (lambda: paired_means_n(0.1, variance=1.0, power=1.0), "power"),
    ):
        with pytest.raises(BadRequest) as error:
            refused()
        assert error.value.param == parameter
