from typing import Any

import pytest

from assay.ui import words
from assay.wire.verdicts import Interval, Outcome, Verdict


def _verdict(**changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "question": "Is it better?",
        "metric": "exact",
        "outcome": Outcome.BETTER,
        "estimate": 0.231,
        "interval": Interval(0.124, 0.33),
        "level": 0.95,
        "method": "exact McNemar",
        "n": 120,
        "p_value": 0.0004,
        "mde": 0.11,
        "baseline": 0.41,
        "candidate": 0.641,
    }
    return Verdict(**{**fields, **changes})


def plain(verdict: Verdict) -> str:
    return words.sentence(verdict).replace("\u202f", " ")


def test_the_sentence_says_how_much_how_sure_and_what_could_not_be_seen() -> None:
    assert plain(_verdict()) == (
        "The candidate is better by +23.1 points [95 %: 12.4, 33.0], exact McNemar p = 0.0004, n = 120; it would have seen ≥ 11.0 points."
    )


def test_errors_and_adjustment_are_told() -> None:
    text = plain(_verdict(n_errors=2, p_adjusted=0.02, adjustment="Holm", mde=None))
    assert "p = 0.02 (Holm)" in text
    assert "2 errors counted apart" in text


def test_a_number_keeps_its_own_scale() -> None:
    text = plain(
        _verdict(
            method="exact paired permutation test",
            estimate=-182.34,
            interval=None,
            outcome=Outcome.WORSE,
            p_value=1e-6,
            mde=None,
        )
    )
    assert text == "The candidate is worse by −182.3, exact paired permutation test p < 0.0001, n = 120."


def test_an_invalid_verdict_says_why_and_no_figure() -> None:
    text = plain(_verdict(outcome=Outcome.INVALID, note="40 of 120 cases failed."))
    assert text == "Invalid: this comparison cannot be judged. 40 of 120 cases failed."


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_sentence_without_figures_too(outcome: Outcome) -> None:
    text = plain(_verdict(outcome=outcome, estimate=None, interval=None, p_value=None, mde=None))
    assert text.endswith(".")
    assert "None" not in text
