"""Gates: a rule over verdicts, for continuous integration and releases."""

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from assay.wire.verdicts import Outcome, Verdict

Rule = Literal["not_worse", "better"]
"""`not_worse`: every metric is better, equivalent, or surely above minus the margin. `better`: every metric is better."""


class Gate(msgspec.Struct, frozen=True):
    """How a rule turned out. The exit codes are those of `assay eval gate`."""

    outcome: Literal["pass", "regressed", "undecided"]
    exit_code: int
    reasons: list[str]


def gate(verdicts: list[Verdict], rule: Rule = "not_worse", *, lower_is_better: Collection[str] = ()) -> Gate:
    """Pass (0), regressed (1: a metric is worse), or undecided (2: inconclusive or invalid). No verdict is undecided.

    `lower_is_better` names the metrics that ought to fall; only an interval against a margin needs to know.
    """
    worse = [verdict for verdict in verdicts if verdict.outcome is Outcome.WORSE]
    if worse:
        return Gate("regressed", 1, [f"{verdict.metric} is worse" for verdict in worse])
    undecided = [
        f"{verdict.metric} is {verdict.outcome.value}{_missing(verdict, rule)}"
        for verdict in verdicts
        if not _passes(verdict, rule, falls=verdict.metric in lower_is_better)
    ]
    if undecided or not verdicts:
        return Gate("undecided", 2, undecided or ["there is no verdict"])
    return Gate("pass", 0, [f"{verdict.metric} is {_passed_as(verdict)}" for verdict in verdicts])


def objection_to(verdicts: Sequence[Verdict]) -> str | None:
    """Why these verdicts do not speak for the candidate: one is worse, or none is better. None when they do."""
    worse = [verdict.metric for verdict in verdicts if verdict.outcome is Outcome.WORSE]
    if worse:
        return f"The candidate is worse in {', '.join(worse)}"
    if not any(verdict.outcome is Outcome.BETTER for verdict in verdicts):
        said = ", ".join(f"{verdict.metric} is {verdict.outcome.value}" for verdict in verdicts)
        return f"No verdict says that the candidate is better: {said or 'there is none'}"
    return None


def _passes(verdict: Verdict, rule: Rule, *, falls: bool) -> bool:
    if verdict.outcome is Outcome.BETTER:
        return True
    return rule == "not_worse" and (
        verdict.outcome is Outcome.EQUIVALENT or _is_not_inferior(verdict, falls=falls)
    )


def _is_not_inferior(verdict: Verdict, *, falls: bool) -> bool:
    """Whether the whole interval lies on the better side of the margin, whatever else is open."""
    if verdict.outcome is not Outcome.INCONCLUSIVE or verdict.margin is None or verdict.interval is None:
        return False
    return verdict.interval.hi < verdict.margin if falls else verdict.interval.lo > -verdict.margin


def _missing(verdict: Verdict, rule: Rule) -> str:
    if verdict.outcome is Outcome.INVALID and verdict.note:
        return f": {verdict.note}"
    if rule == "better":
        return ", and the rule asks for better"
    return "; a margin would let it pass if it cannot be worse by more" if verdict.margin is None else ""


def _passed_as(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return f"not worse by more than {verdict.margin:g}"
    return verdict.outcome.value
