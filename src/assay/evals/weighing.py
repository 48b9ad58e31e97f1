"""From the scores of cases to estimates and verdicts: pure, and the only place of this room that asks the statistics.

They are imported at first use, because numpy takes longer to load than the rest of a server needs to start.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from assay.evals.store import ScoredCase
from assay.evals.types import CaseResult, Metric, RunSummary
from assay.kit import money
from assay.stats.types import Estimate
from assay.wire.verdicts import Verdict

Values = Sequence[bool] | Sequence[float]


def summarise(
    results: Iterable[CaseResult], metrics: Sequence[Metric], clusters: Mapping[str, str]
) -> RunSummary:
    """What came of a run so far. `clusters` names the cluster of each case that has one."""
    cases: list[ScoredCase] = []
    paid: list[Decimal | None] = []
    cached = input_tokens = output_tokens = 0
    for result in results:
        cases.append(ScoredCase(result.case_id, result.error, result.scores))
        cached += result.is_cached
        if result.error is None and result.trace_id is not None and not result.is_cached:
            paid.append(result.cost_usd)
        if result.usage is not None:
            input_tokens += result.usage.total_input
            output_tokens += result.usage.total_output
    return RunSummary(
        done=len(cases),
        errors=sum(case.error is not None for case in cases),
        cached=cached,
        cost_usd=money.total(paid),
        cost_unknown=sum(amount is None for amount in paid),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        estimates=tuple(estimate(metric, cases, clusters) for metric in metrics),
    )


def estimate(metric: Metric, cases: Sequence[ScoredCase], clusters: Mapping[str, str]) -> Estimate:
    """How high one metric is, and how sure. Cases in error and cases that could not be scored are counted apart."""
    from assay.stats.compare import rate

    scored = [(case.case_id, value) for case in cases if (value := value_of(case, metric.name)) is not None]
    return rate(
        [value for _, value in scored],
        metric=metric.name,
        n_errors=len(cases) - len(scored),
        clusters=_clusters([case_id for case_id, _ in scored], clusters),
    )


def compare(
    metrics: Sequence[Metric],
    pairs: Sequence[tuple[ScoredCase, ScoredCase]],
    clusters: Mapping[str, str],
    *,
    question: str,
    level: float,
    margins: Mapping[str, float],
) -> list[Verdict]:
    """One verdict a metric, candidate (second of each pair) against baseline; several are adjusted by Holm's method.

    `question` has a place for the metric's name. Raises `BadRequest` for a level or a margin that cannot be.
    """
    from assay.stats.compare import adjust, compare_paired

    verdicts: list[Verdict] = []
    for metric in metrics:
        scored = [
            (first.case_id, before, after)
            for first, second in pairs
            if (before := value_of(first, metric.name)) is not None
            and (after := value_of(second, metric.name)) is not None
        ]
        verdicts.append(
            compare_paired(
                [before for _, before, _ in scored],
                [after for _, _, after in scored],
                metric=metric.name,
                question=question.format(metric=metric.name),
                n_errors=len(pairs) - len(scored),
                level=level,
                margin=margins.get(metric.name),
                higher_is_better=metric.higher_is_better,
                bounds=metric.bounds,
                clusters=_clusters([case_id for case_id, _, _ in scored], clusters),
            )
        )
    return adjust(verdicts, "holm") if len(verdicts) > 1 else verdicts


def value_of(case: ScoredCase, metric: str) -> bool | float | None:
    """The case's value; None when it is in error or could not be scored."""
    score = case.scores.get(metric)
    return None if score is None else score.value


def _clusters(case_ids: Sequence[str], clusters: Mapping[str, str]) -> list[str | None] | None:
    return [clusters.get(case_id) for case_id in case_ids] if clusters else None
