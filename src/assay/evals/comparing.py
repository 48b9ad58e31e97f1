"""Two runs, case by case. The statistics are imported at the first comparison, for the same reason as in `summing`."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Annotated, Literal

import msgspec
from sqlalchemy import Connection

from assay.datasets import library as datasets
from assay.errors import BadRequest, NotFound
from assay.evals import store
from assay.evals.planning import get_run
from assay.evals.summing import clusters_of
from assay.evals.types import CaseScore, Comparison, ComparisonOptions, Difference, Run, RunScorer
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.wire.verdicts import Verdict

Show = Literal["all", "different", "better", "worse", "both_right", "both_wrong", "error"]
"""Which cases of a comparison: `better` and `worse` are about the candidate; the two `both_…` about yes/no metrics."""

_Scores = Mapping[str, Mapping[str, CaseScore]]


def compare(
    tx: Connection,
    project: str,
    *,
    baseline: str,
    candidate: str,
    options: ComparisonOptions,
    actor: str,
    clock: Clock = SYSTEM,
) -> Comparison:
    """Compare two runs that have ended, metric by metric, and keep the verdicts.

    Several metrics are one family of questions (Holm). A case without a score on either side is no pair: it is counted in
    `n_errors` and bounds how far the verdict could move. Raises `BadRequest` for runs over different cases, for scorers
    that differ, and for a run that has not ended.
    """
    sides = (get_run(tx, project, baseline), get_run(tx, project, candidate))
    _check_alike(tx, sides, overlap=options.overlap)
    scorers = _shared(sides, options.metrics)
    if baseline == candidate:
        raise BadRequest("A run cannot be compared with itself", param="candidate")
    scores = (store.scores_of(tx, sides[0]), store.scores_of(tx, sides[1]))
    case_ids = _common(tx, sides, scores)
    if not case_ids:
        raise BadRequest("The runs share no case", param="candidate")
    verdicts = _verdicts(sides, scorers, scores, case_ids, clusters_of(tx, sides[1]), options)
    made = Comparison(
        project=project,
        id=uuid7(),
        baseline=baseline,
        candidate=candidate,
        verdicts=verdicts,
        options=options,
        actor=actor,
        created_at_ns=clock.now_ns(),
    )
    store.add_comparison(tx, made)
    return made


def get_comparison(tx: Connection, project: str, comparison_id: str) -> Comparison:
    """Raises `NotFound`."""
    found = store.find_comparison(tx, project, comparison_id)
    if found is None:
        raise NotFound(f"There is no comparison {comparison_id!r}")
    return found


def sides_of(tx: Connection, comparison: Comparison) -> tuple[Run, Run]:
    """The baseline's run and the candidate's."""
    return (
        get_run(tx, comparison.project, comparison.baseline),
        get_run(tx, comparison.project, comparison.candidate),
    )


def comparisons_of(tx: Connection, run: Run, *, limit: int = 20) -> list[Comparison]:
    """Those that a run takes part in, newest first."""
    return store.comparisons_of(tx, run.project, run.id, limit=limit)


def list_differences(
    tx: Connection,
    comparison: Comparison,
    metric: str,
    *,
    show: Show = "all",
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[Page[Difference], dict[str, int]]:
    """The cases of a comparison side by side, those of one sort only where asked; and how many there are of each sort."""
    sides = sides_of(tx, comparison)
    found = {scorer.metric: scorer for scorer in sides[1].scorers}
    if metric not in found:
        raise BadRequest(
            f"There is no metric {metric!r}", param="metric", hint=f"There are: {', '.join(found)}."
        )
    scores = (store.scores_of(tx, sides[0]), store.scores_of(tx, sides[1]))
    counts: Counter[str] = Counter(all=0)
    wanted: list[str] = []
    for case_id in _common(tx, sides, scores):
        values = (_value(side, case_id, metric) for side in scores)
        sorts = ("all", *_sorts(found[metric], *values))
        counts.update(sorts)
        if show in sorts:
            wanted.append(case_id)
    begin = 0 if cursor is None else from_cursor(cursor, tuple[Annotated[int, msgspec.Meta(ge=0)]])[0]
    page = wanted[begin : begin + limit]
    first, second = (store.find_results(tx, side, page) for side in sides)
    items = [Difference(case_id=each, baseline=first.get(each), candidate=second.get(each)) for each in page]
    return Page(items, to_cursor(begin + limit) if len(wanted) > begin + limit else None), dict(counts)


def _check_alike(tx: Connection, sides: tuple[Run, Run], *, overlap: bool) -> None:
    """Raises `BadRequest` for runs that have not ended, or that are not about the same cases."""
    for run in sides:
        if run.ended_at_ns is None:
            raise BadRequest(
                f"The run {run.id} ({run.title}) has {store.count_results(tx, run)} of {run.cases} results: it has not ended",
                hint="Wait for its job to succeed; a run that was cancelled or failed cannot be compared.",
            )
    first, second = sides
    same = (first.dataset_hash, first.split) == (second.dataset_hash, second.split)
    if not same and not overlap:
        raise BadRequest(
            f"The runs are over different cases: {_over(first)}, and {_over(second)}",
            param="candidate",
            hint='Run both over the same dataset version, or send "overlap": true to compare the cases that they share.',
        )


def _common(
    tx: Connection, sides: tuple[Run, Run], results: tuple[Container[str], Iterable[str]]
) -> list[str]:
    """The cases that both runs have a result for and whose content is the same, in the candidate's order."""
    first, second = sides
    ids = [case_id for case_id in results[1] if case_id in results[0]]
    if first.dataset_hash == second.dataset_hash:
        return ids
    marks = [_case_hashes(tx, run) for run in sides]
    return [case_id for case_id in ids if marks[0][case_id] == marks[1][case_id]]


def _case_hashes(tx: Connection, run: Run) -> dict[str, str]:
    version = datasets.get_version(tx, run.project, run.dataset, run.dataset_version)
    return datasets.case_hashes(tx, version)


def _over(run: Run) -> str:
    return f"{run.dataset} v{run.dataset_version}" + (f" ({run.split})" if run.split else "")


def _shared(sides: tuple[Run, Run], metrics: list[str]) -> list[RunScorer]:
    """The scorers that both runs have. Raises `BadRequest` when there are none, or they scored differently."""
    first, second = ({scorer.metric: scorer for scorer in run.scorers} for run in sides)
    names = metrics or [name for name in second if name in first]
    absent = [name for name in names if name not in first or name not in second]
    if absent or not names:
        raise BadRequest(
            f"Both runs need the metrics {', '.join(absent)}" if absent else "The runs share no metric",
            param="metrics",
            hint=f"The baseline has {', '.join(first)}; the candidate has {', '.join(second)}.",
        )
    for name in names:
        if first[name].version != second[name].version:
            raise BadRequest(
                f"The metric {name!r} was scored in two ways: with {first[name].specification}, and with {second[name].specification}",
                param="metrics",
                hint="Run both again with the same scorer; a scorer whose code has changed is another one.",
            )
    return [second[name] for name in names]


def _verdicts(
    sides: tuple[Run, Run],
    scorers: list[RunScorer],
    scores: tuple[_Scores, _Scores],
    case_ids: list[str],
    clusters: Mapping[str, str],
    options: ComparisonOptions,
) -> list[Verdict]:
    from assay.stats.compare import adjust, compare_paired

    verdicts = []
    for scorer in scorers:
        values = {
            case_id: (_value(scores[0], case_id, scorer.metric), _value(scores[1], case_id, scorer.metric))
            for case_id in case_ids
        }
        pairs = [(case_id, a, b) for case_id, (a, b) in values.items() if a is not None and b is not None]
        groups = [clusters.get(each) for each, _, _ in pairs]
        verdicts.append(
            compare_paired(
                [a for _, a, _ in pairs],
                [b for _, _, b in pairs],
                metric=scorer.metric,
                question=f"Does {sides[1].title} score differently from {sides[0].title} in {scorer.metric} on {_over(sides[1])}?",
                n_errors=len(values) - len(pairs),
                level=options.level,
                margin=options.margin,
                higher_is_better=scorer.higher_is_better,
                bounds=scorer.bounds,
                clusters=groups if any(groups) else None,
            )
        )
    return adjust(verdicts) if len(verdicts) > 1 else verdicts


def _value(scores: _Scores, case_id: str, metric: str) -> bool | float | None:
    score = scores.get(case_id, {}).get(metric)
    return None if score is None else score.value


def _sorts(scorer: RunScorer, a: bool | float | None, b: bool | float | None) -> tuple[str, ...]:
    """The sorts that a case belongs to, besides `all`."""
    if a is None or b is None:
        return ("error",)
    if a != b:
        return ("different", "better" if (b > a) == scorer.higher_is_better else "worse")
    if scorer.kind == "yes_no":
        return ("both_right" if bool(a) == scorer.higher_is_better else "both_wrong",)
    return ()
