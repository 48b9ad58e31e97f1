"""Starting runs and looking into them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from assay.catalog.models import ModelConfig
from assay.datasets import DatasetVersion, get_version, iter_cases
from assay.datasets.library import parse_reference
from assay.errors import BadRequest, NotFound
from assay.evals import store
from assay.evals.store import Which
from assay.evals.types import CaseResult, Metric, Run, RunOptions, RunSummary
from assay.evals.weighing import summarise
from assay.jobs import Job, Jobs, get_job
from assay.kit import json
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.scorers import BoundScorer, bind_all
from assay.tasks import Variant, get_variant

JOB = "eval_run"
"""The kind of a run's job."""

MOST_AT_ONCE = 64


class RecordedOutput(msgspec.Struct, frozen=True):
    """An output line: what something else answered to a case. Anything but a text is kept as its JSON."""

    id: str
    output: Any


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /api/runs`: a task and its variant, or outputs that were recorded elsewhere."""

    dataset: str
    scorers: list[str | dict[str, Any]]
    task: str | None = None
    variant: str | None = None
    outputs: list[RecordedOutput] | None = None
    split: str | None = None
    concurrency: int = 4
    no_cache: bool = False
    repeat: int = 0


def start(
    tx: Connection,
    jobs: Jobs,
    models: Mapping[str, ModelConfig],
    project: str,
    request: RunRequest,
    *,
    actor: str,
    clock: Clock = SYSTEM,
) -> Run:
    """Keep a run and the job that does it; it begins when the transaction commits.

    Raises `BadRequest` and `NotFound` for whatever cannot be run, before anything is paid.
    """
    if not 1 <= request.concurrency <= MOST_AT_ONCE:
        raise BadRequest(
            f"concurrency is {request.concurrency}: it must be 1 to {MOST_AT_ONCE}", param="concurrency"
        )
    variant = _variant(tx, project, request, models)
    metrics = tuple(_metric(each) for each in bind_all(request.scorers))
    name, number = parse_reference(request.dataset)
    version = get_version(tx, project, name, number)
    ids = [case.id for case in iter_cases(tx, version) if request.split in (None, case.split)]
    if not ids:
        raise BadRequest(_empty(version, request.split), param="split" if request.split else "dataset")
    recorded = None if request.outputs is None else _recorded(request.outputs, set(ids))
    run_id = uuid7()
    run = Run(
        project=project,
        id=run_id,
        job_id=jobs.add(tx, JOB, project=project, arguments={"run_id": run_id}),
        task=request.task,
        variant=None if variant is None else variant.name,
        variant_hash=None if variant is None else variant.hash,
        model=None if variant is None else variant.spec.model,
        dataset=name,
        dataset_version=version.version,
        dataset_hash=version.hash,
        split=request.split,
        cases=len(ids),
        metrics=metrics,
        options=RunOptions(concurrency=request.concurrency, no_cache=request.no_cache, repeat=request.repeat),
        actor=actor,
        created_at_ns=clock.now_ns(),
    )
    store.add_run(tx, run)
    if recorded is not None:
        store.add_outputs(tx, run, recorded)
    return run


def get_run(tx: Connection, project: str, run_id: str) -> Run:
    """Raises `NotFound`."""
    return store.get_run(tx, project, run_id)


def job_of(tx: Connection, run: Run) -> Job:
    """The job that does the run: its status, progress and error."""
    return get_job(tx, run.project, run.job_id)


def list_runs(
    tx: Connection,
    project: str,
    *,
    task: str | None = None,
    variant: str | None = None,
    dataset: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Run]:
    """Newest first. Raises `BadRequest` for a foreign cursor."""
    before: str | None = None
    if cursor is not None:
        match from_cursor(cursor):
            case [str(before)]:
                pass
            case _:
                raise BadRequest(f"{cursor!r} is not a cursor of this list", param="cursor")
    found = store.list_runs(
        tx, project, task=task, variant=variant, dataset=dataset, before=before, limit=limit + 1
    )
    return Page(found[:limit], to_cursor(found[limit - 1].id) if len(found) > limit else None)


def list_results(
    tx: Connection, run: Run, *, which: Which = "all", cursor: str | None = None, limit: int = 100
) -> Page[CaseResult]:
    """Results in the dataset's order: all, those that some yes/no metric calls wrong, or those in error."""
    after = -1
    if cursor is not None:
        match from_cursor(cursor):
            case [int(after)]:
                pass
            case _:
                raise BadRequest(f"{cursor!r} is not a cursor of this list", param="cursor")
    found = store.list_results(tx, run, which=which, after=after, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].position) if len(found) > limit else None)


def summary_of(tx: Connection, run: Run) -> RunSummary:
    """What came of it: as kept when it ended, else of the cases that are done so far."""
    if run.summary is not None:
        return run.summary
    version = get_version(tx, run.project, run.dataset, run.dataset_version)
    return summarise(store.iter_results(tx, run), run.metrics, clusters_of(tx, version))


def clusters_of(tx: Connection, version: DatasetVersion) -> dict[str, str]:
    """Case id → cluster, of the cases that have one."""
    return {case.id: case.cluster for case in iter_cases(tx, version) if case.cluster is not None}


def _variant(
    tx: Connection, project: str, request: RunRequest, models: Mapping[str, ModelConfig]
) -> Variant | None:
    if (request.variant is None) == (request.outputs is None):
        raise BadRequest(
            "A run has either a variant or outputs",
            param="variant",
            hint='Send "variant": "v1", or "outputs": [{"id": "c1", "output": "…"}].',
        )
    if request.variant is None:
        return None
    if request.task is None:
        raise BadRequest("A variant needs its task", param="task", hint='Send "task": "…" too.')
    variant = get_variant(tx, project, request.task, request.variant)
    if variant.spec.model not in models:
        raise NotFound(
            f"The variant {variant.name!r} asks the model {variant.spec.model!r}, which is not configured",
            param="variant",
            hint=f"Configured models: {', '.join(sorted(models)) or 'none'}.",
        )
    return variant


def _metric(bound: BoundScorer) -> Metric:
    return Metric(
        name=bound.metric,
        scorer=bound.name,
        version=bound.version,
        kind=bound.kind,
        higher_is_better=bound.scorer.higher_is_better,
        bounds=bound.scorer.bounds,
        specification=bound.specification,
    )


def _recorded(given: Sequence[RecordedOutput], ids: set[str]) -> dict[str, str]:
    recorded: dict[str, str] = {}
    for number, each in enumerate(given):
        if each.id not in ids:
            raise BadRequest(
                f"outputs[{number}] answers the case {each.id!r}, which is not in the dataset",
                param=f"outputs[{number}].id",
                hint="The ids are those of the dataset's cases: `assay datasets export` shows them.",
            )
        if each.id in recorded:
            raise BadRequest(f"outputs[{number}]: the case {each.id!r} has two outputs", param="outputs")
        recorded[each.id] = each.output if isinstance(each.output, str) else json.encode(each.output).decode()
    return recorded


def _empty(version: DatasetVersion, split: str | None) -> str:
    if split is None:
        return f"{version.name!r} v{version.version} has no cases"
    known = ", ".join(sorted(version.splits)) or "none"
    return f"{version.name!r} v{version.version} has no cases in the split {split!r}; its splits: {known}"
