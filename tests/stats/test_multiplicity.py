"""Adjusted p-values against the papers' example, statsmodels, and the errors that they promise to bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from assay.errors import BadRequest
from assay.stats.multiplicity import benjamini_hochberg, benjamini_yekutieli, bonferroni, holm

PAPER = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
]  # fmt: skip
TEA = [0.005, 0.06, 0.007, 0.04, 0.01, 0.03]


def claims(adjusted: list[float]) -> int:
    return sum(p <= 0.05 for p in adjusted)


def test_the_example_of_benjamini_and_hochberg_is_reproduced() -> None:
    assert claims(benjamini_hochberg(PAPER)) == 4
    assert claims(bonferroni(PAPER)) == 3
    assert claims(holm(PAPER)) == 3


def test_published_adjusted_values_are_reproduced_in_the_order_given() -> None:
    assert benjamini_hochberg(TEA) == pytest.approx([0.02, 0.06, 0.02, 0.048, 0.02, 0.045])
    assert benjamini_yekutieli(TEA) == pytest.approx([0.049, 0.147, 0.049, 0.1176, 0.049, 0.11025])


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_all_methods_agree_with_statsmodels(p_values: list[float]) -> None:
    for ours, name in (
        (holm, "holm"),
        (bonferroni, "bonferroni"),
        (benjamini_hochberg, "fdr_bh"),
        (benjamini_yekutieli, "fdr_by"),
    ):
        assert ours(p_values) == pytest.approx(list(multipletests(p_values, method=name)[1]))


def test_holm_bounds_the_chance_of_any_false_claim() -> None:
    rng = np.random.default_rng(11)
    families = rng.uniform(size=(2_000, 8))
    families[:, :3] = 1e-6
    false = [claims(holm(family.tolist())[3:]) > 0 for family in families]
    unadjusted = (families[:, 3:] <= 0.05).any(axis=1).mean()
    assert np.mean(false) < 0.06
    assert unadjusted > 0.2


def test_no_question_needs_no_adjustment() -> None:
    assert holm([]) == benjamini_hochberg([]) == benjamini_yekutieli([]) == []
    assert holm([0.04]) == benjamini_hochberg([0.04]) == [0.04]


def test_what_is_no_p_value_is_refused() -> None:
    for wrong in ([1.2], [-0.1, 0.5], [float("nan")]):
        with pytest.raises(BadRequest, match="p_values"):
            holm(wrong)
