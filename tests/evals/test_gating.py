"""Gates: better or surely not worse passes, worse regresses, everything else is undecided."""

import msgspec
import pytest

from assay.evals import Gate, Rule, gate
from assay.wire.verdicts import Interval, Outcome, Verdict


def verdict(outcome: Outcome, lo: float = -0.1, hi: float = 0.1, margin: float | None = None) -> Verdict:
    return Verdict(
        question="?",
        metric="m",
        outcome=outcome,
        estimate=(lo + hi) / 2,
        interval=Interval(lo, hi),
        level=0.95,
        method="test",
        n=10,
        margin=margin,
    )


BETTER, WORSE = verdict(Outcome.BETTER, 0.1, 0.3), verdict(Outcome.WORSE, -0.3, -0.1)
OPEN, EQUAL = verdict(Outcome.INCONCLUSIVE), verdict(Outcome.EQUIVALENT, -0.01, 0.01, 0.02)
INVALID = verdict(Outcome.INVALID)


@pytest.mark.parametrize(
    ("verdicts", "rule", "code"),
    [
        ([BETTER], "not_worse", 0),
        ([BETTER, EQUAL], "not_worse", 0),
        ([BETTER, WORSE], "not_worse", 1),
        ([WORSE, INVALID], "better", 1),
        ([OPEN], "not_worse", 2),
        ([INVALID], "not_worse", 2),
        ([], "not_worse", 2),
        ([BETTER], "better", 0),
        ([BETTER, EQUAL], "better", 2),
        ([verdict(Outcome.INCONCLUSIVE, -0.01, 0.2, margin=0.02)], "not_worse", 0),
        ([verdict(Outcome.INCONCLUSIVE, -0.05, 0.2, margin=0.02)], "not_worse", 2),
        ([verdict(Outcome.INCONCLUSIVE, -0.01, 0.2, margin=0.02)], "better", 2),
    ],
)
def test_a_rule_has_an_exit_code(verdicts: list[Verdict], rule: Rule, code: int) -> None:
    answer = gate(verdicts, rule)
    assert answer.exit_code == code
    assert answer.outcome == ("pass", "regressed", "undecided")[code]
    assert answer.reasons


def test_where_lower_is_better_the_other_end_of_the_interval_counts() -> None:
    rising = verdict(Outcome.INCONCLUSIVE, -0.01, 0.2, margin=0.02)
    falling = verdict(Outcome.INCONCLUSIVE, -0.2, 0.01, margin=0.02)
    assert gate([rising], lower_is_better=["m"]).exit_code == 2
    assert gate([falling], lower_is_better=["m"]).exit_code == 0


def test_an_invalid_verdict_says_why() -> None:
    noted = msgspec.structs.replace(INVALID, note="too many errors")
    assert gate([noted]) == Gate("undecided", 2, ["m is invalid: too many errors"])
