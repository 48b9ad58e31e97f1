"""Comparisons: the same cases, scored alike, a verdict a metric; and what is no comparison is refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from assay.datasets import Case
from assay.errors import BadRequest, NotFound, UpstreamDown
from assay.evals import Comparison, Run, compare, get_comparison, list_differences
from assay.evals.reports import comparison_report, run_report
from assay.evals.types import ComparisonOptions
from assay.wire.verdicts import Outcome

PROJECT = "default"


def answered(
    world: Any, variant: str, right: Mapping[int, bool] | range, count: int = 40, **options: Any
) -> Run:
    """A run whose answers are right for these cases."""
    world.variant(variant, variant + " {{ text }}")

    def answering(text: str) -> str:
        number = int(text.rsplit(" ", 1)[1])
        return "yes" if number in right else "no"

    world.provider.answering = answering
    world.dataset([Case(id=f"c{at}", input=f"case {at}", reference="yes") for at in range(count)])
    run: Run = world.run(variant, **options)
    return run


def compared(world: Any, baseline: Run, candidate: Run, **options: Any) -> Comparison:
    with world.records.write() as tx:
        return compare(
            tx,
            PROJECT,
            baseline=baseline.id,
            candidate=candidate.id,
            options=ComparisonOptions(**options),
            actor="ann",
        )


def test_a_candidate_that_wins_is_better_and_the_verdict_is_kept(world: Any) -> None:
    comparison = compared(world, answered(world, "a", range(10)), answered(world, "b", range(30)))
    (verdict,) = comparison.verdicts
    assert verdict.outcome is Outcome.BETTER
    assert (verdict.n, verdict.n_errors) == (40, 0)
    assert verdict.estimate == pytest.approx(0.5)
    assert verdict.interval is not None
    assert 0 < verdict.interval.lo < 0.5 < verdict.interval.hi
    assert (verdict.baseline, verdict.candidate) == (0.25, 0.75)
    with world.records.read() as tx:
        assert get_comparison(tx, PROJECT, comparison.id) == comparison
        with pytest.raises(NotFound):
            get_comparison(tx, PROJECT, "nowhere")


def test_the_other_way_round_it_is_worse(world: Any) -> None:
    comparison = compared(world, answered(world, "b", range(30)), answered(world, "a", range(10)))
    assert comparison.verdicts[0].outcome is Outcome.WORSE


def test_a_few_cases_decide_nothing(world: Any) -> None:
    comparison = compared(world, answered(world, "a", range(19)), answered(world, "b", range(21)))
    assert comparison.verdicts[0].outcome is Outcome.INCONCLUSIVE
    assert comparison.verdicts[0].mde is not None


def test_several_metrics_are_one_family(world: Any) -> None:
    scorers = ["exact", {"name": "contains", "as": "has_yes", "text": "yes"}]
    sides = [answered(world, name, range(count), scorers=scorers) for name, count in (("a", 10), ("b", 30))]
    comparison = compared(world, *sides)
    assert [verdict.metric for verdict in comparison.verdicts] == ["exact", "has_yes"]
    assert all(verdict.adjustment == "holm" for verdict in comparison.verdicts)
    only = compared(world, *sides, metrics=["has_yes"])
    assert [verdict.metric for verdict in only.verdicts] == ["has_yes"]


def test_cases_in_error_on_either_side_are_no_pairs(world: Any) -> None:
    baseline = answered(world, "a", range(10))
    world.variant("b", "b {{ text }}")

    def answering(text: str) -> str:
        number = int(text.rsplit(" ", 1)[1])
        if number < 3:
            raise UpstreamDown("nobody there")
        return "yes"

    world.provider.answering = answering
    (verdict,) = compared(world, baseline, world.run("b")).verdicts
    assert (verdict.n, verdict.n_errors) == (37, 3)
    assert verdict.note is not None
    assert "in error" in verdict.note


def test_clusters_are_counted_as_one_piece_of_evidence(world: Any) -> None:
    cases = [
        Case(id=f"c{at}", input=f"case {at}", reference="yes", cluster=f"k{at // 10}") for at in range(40)
    ]
    sides = []
    for name, right in (("a", range(10)), ("b", range(30))):
        world.variant(name, name + " {{ text }}")
        world.dataset(cases, "clustered")
        world.provider.answering = lambda text, right=right: (
            "yes" if int(text.rsplit(" ", 1)[1]) in right else "no"
        )
        sides.append(world.run(name, dataset="clustered"))
    (verdict,) = compared(world, *sides).verdicts
    assert "cluster" in verdict.method
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_runs_over_different_cases_are_refused_unless_the_overlap_is_asked_for(world: Any) -> None:
    baseline = answered(world, "a", range(10))
    candidate = answered(world, "b", range(30), count=50)
    with pytest.raises(BadRequest, match=r"d v1, and d v2") as caught:
        compared(world, baseline, candidate)
    assert "overlap" in (caught.value.hint or "")
    assert compared(world, baseline, candidate, overlap=True).verdicts[0].n == 40


def test_metrics_scored_in_two_ways_are_refused(world: Any) -> None:
    baseline = answered(world, "a", range(10))
    candidate = answered(world, "b", range(30), scorers=[{"name": "exact", "casefold": True}])
    with pytest.raises(BadRequest, match="in two ways"):
        compared(world, baseline, candidate)
    with pytest.raises(BadRequest, match="Both runs need"):
        compared(world, baseline, baseline, metrics=["speed"])


def test_a_run_that_has_not_ended_is_refused(world: Any) -> None:
    baseline = answered(world, "a", range(10))
    pending = world.start(world.jobs(), "a")
    with pytest.raises(BadRequest, match="has 0 of 40 results"):
        compared(world, baseline, pending)


def test_the_cases_are_sorted_by_what_changed(world: Any) -> None:
    comparison = compared(world, answered(world, "a", range(10)), answered(world, "b", range(5, 30)))
    with world.records.read() as tx:
        better, counts = list_differences(tx, comparison, "exact", show="better", limit=15)
        rest, _ = list_differences(tx, comparison, "exact", show="better", limit=15, cursor=better.next)
        worse, _ = list_differences(tx, comparison, "exact", show="worse")
    assert counts == {"all": 40, "different": 25, "better": 20, "worse": 5, "both_right": 5, "both_wrong": 10}
    assert [len(better.items), len(rest.items), rest.next] == [15, 5, None]
    assert [item.case_id for item in worse.items] == [f"c{at}" for at in range(5)]
    first = worse.items[0]
    assert first.baseline is not None
    assert first.candidate is not None
    assert (first.baseline.output, first.candidate.output) == ("yes", "no")


def test_reports_say_the_figures_and_interpret_nothing_that_a_model_wrote(world: Any) -> None:
    hostile = "</details>\n```\n<script>alert(1)</script> | x |"
    baseline = answered(world, "a", range(10))
    world.variant("b", "b {{ text }}")
    world.provider.answering = lambda text: hostile
    candidate = world.run("b")
    comparison = compared(world, baseline, candidate)
    with world.records.read() as tx:
        examples = list_differences(tx, comparison, "exact", show="different", limit=3)[0].items
    report = comparison_report(comparison, (baseline, candidate), examples)
    assert "exact: worse." in report
    assert "\n    <script>alert(1)</script> | x |\n" in report
    assert "\n<script>" not in report
    assert "| exact | 0.25 |" in run_report(baseline)
