"""What a run comes to. The statistics are imported when the first run ends: numpy has no part in starting the server."""

from statistics import median

from sqlalchemy import Connection

from assay.datasets import library as datasets
from assay.evals import store
from assay.evals.types import Result, Run, RunScorer, RunSummary
from assay.kit import money
from assay.stats.types import Estimate


def summarize(tx: Connection, run: Run) -> RunSummary:
    """Counts, cost and each metric with its interval, over the results there are."""
    results = list(store.iter_results(tx, run))
    clusters = clusters_of(tx, run)
    fresh = [each.latency_ms for each in results if each.latency_ms is not None and not each.is_cached]
    return RunSummary(
        results=len(results),
        n_errors=sum(each.output is None for each in results),
        n_cached=sum(each.is_cached for each in results),
        cost_usd=money.total([each.cost_usd for each in results]),
        n_unpriced=sum(each.cost_usd is None for each in results),
        input_tokens=sum(each.input_tokens or 0 for each in results),
        output_tokens=sum(each.output_tokens or 0 for each in results),
        latency_ms=median(fresh) if fresh else None,
        metrics=[_estimate(scorer, results, clusters) for scorer in run.scorers],
    )


def clusters_of(tx: Connection, run: Run) -> dict[str, str]:
    """Case id to cluster, for those that have one."""
    version = datasets.get_version(tx, run.project, run.dataset, run.dataset_version)
    return {case.id: case.cluster for case in datasets.iter_cases(tx, version) if case.cluster is not None}


def _estimate(scorer: RunScorer, results: list[Result], clusters: dict[str, str]) -> Estimate:
    from assay.stats.compare import rate

    scored = [
        (each.case_id, value)
        for each in results
        if (value := each.scores[scorer.metric].value if scorer.metric in each.scores else None) is not None
    ]
    groups = [clusters.get(case_id) for case_id, _ in scored]
    return rate(
        [value for _, value in scored],
        metric=scorer.metric,
        n_errors=len(results) - len(scored),
        clusters=groups if any(groups) else None,
    )
