"""Starting and finding runs: everything that can be wrong with one is said before its first call."""

from collections.abc import Container

import msgspec
from sqlalchemy import Connection

from assay.datasets import Case, DatasetVersion
from assay.datasets import library as datasets
from assay.errors import BadRequest, NotFound
from assay.evals import store
from assay.evals.cases import messages_of
from assay.evals.store import Which
from assay.evals.types import Result, Run, RunOptions, RunScorer
from assay.jobs import Jobs
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.kit.names import check_name
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.scorers import BoundScorer, bind_all
from assay.scorers.registry import Specification
from assay.tasks import get_variant
from assay.tasks.table import compile_variant

KIND = "eval_run"
MOST_AT_ONCE = 64
_NAMED = 10


class Examples(msgspec.Struct, frozen=True):
    """What a run runs over: a dataset as `name` or `name@version`, and one of its splits or all."""

    dataset: str
    split: str | None = None


def start_run(
    tx: Connection,
    jobs: Jobs,
    project: str,
    *,
    task: str,
    variant: str,
    examples: Examples,
    scorers: list[Specification],
    options: RunOptions,
    models: Container[str],
    actor: str,
    clock: Clock = SYSTEM,
) -> Run:
    """A run of a variant, as a job that begins when the transaction commits.

    Raises `NotFound` for what is not there, and `BadRequest` for a variant that the first case does not fit.
    """
    chosen = get_variant(tx, project, task, variant)
    if chosen.spec.model not in models:
        raise BadRequest(
            f"The variant {task}/{variant} asks for the model {chosen.spec.model!r}, which is not configured here",
            param="variant",
            hint="GET /v1/models lists the models there are.",
        )
    bound = bind_all(scorers)
    version, cases = _cases(tx, project, examples)
    try:
        messages_of(compile_variant(chosen), cases[0])
    except BadRequest as error:
        hint = (
            f"{error.hint} This is the first case; its inputs must be those of the variant."
            if error.hint
            else None
        )
        raise BadRequest(
            f"The variant {task}/{variant} does not fit the case {cases[0].id!r} of {version.name}: {error.message}",
            param="dataset",
            hint=hint,
        ) from error
    run = Run(
        project=project,
        id=uuid7(),
        job_id="",
        task=task,
        variant=variant,
        variant_hash=chosen.hash,
        model=chosen.spec.model,
        dataset=version.name,
        dataset_version=version.version,
        dataset_hash=version.hash,
        split=examples.split,
        cases=len(cases),
        scorers=[_kept(each) for each in bound],
        options=_checked(options),
        actor=actor,
        created_at_ns=clock.now_ns(),
    )
    return _added(tx, jobs, run)


def start_outputs_run(
    tx: Connection,
    jobs: Jobs,
    project: str,
    *,
    outputs: list[tuple[str, str]],
    label: str,
    task: str | None,
    examples: Examples,
    scorers: list[Specification],
    actor: str,
    clock: Clock = SYSTEM,
) -> Run:
    """A run over outputs made elsewhere, as (case id, output). A case without one is an error of that case.

    Raises `BadRequest` that names ids which the dataset version does not have, or that come twice.
    """
    check_name(label, param="variant")
    bound = bind_all(scorers)
    version, cases = _cases(tx, project, examples)
    _check_ids([case_id for case_id, _ in outputs], cases, version)
    run = Run(
        project=project,
        id=uuid7(),
        job_id="",
        task=task,
        variant=label,
        variant_hash=None,
        model=None,
        dataset=version.name,
        dataset_version=version.version,
        dataset_hash=version.hash,
        split=examples.split,
        cases=len(cases),
        scorers=[_kept(each) for each in bound],
        options=RunOptions(),
        actor=actor,
        created_at_ns=clock.now_ns(),
    )
    made = _added(tx, jobs, run)
    store.add_outputs(tx, made, outputs)
    return made


def get_run(tx: Connection, project: str, run_id: str) -> Run:
    """Raises `NotFound`."""
    found = store.find_run(tx, project, run_id)
    if found is None:
        raise NotFound(f"There is no run {run_id!r}", hint="GET /api/runs lists them.")
    return found


def list_runs(
    tx: Connection,
    project: str,
    *,
    task: str | None = None,
    dataset: str | None = None,
    variant: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Run]:
    """Newest first."""
    before = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.list_runs(
        tx, project, task=task, dataset=dataset, variant=variant, before=before, limit=limit + 1
    )
    return Page(found[:limit], to_cursor(found[limit - 1].id) if len(found) > limit else None)


def list_results(
    tx: Connection, run: Run, *, which: Which = "all", cursor: str | None = None, limit: int = 100
) -> Page[Result]:
    """In the dataset's order, as far as the run has come: all, the wrong ones, or those without an output."""
    after = -1
    if cursor is not None:
        (after,) = from_cursor(cursor, tuple[int])
    found = store.list_results(tx, run, which=which, after=after, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].position) if len(found) > limit else None)


def cases_of(tx: Connection, run: Run) -> list[Case]:
    """The cases that a run runs over, in order."""
    version = datasets.get_version(tx, run.project, run.dataset, run.dataset_version)
    return [case for case in datasets.iter_cases(tx, version) if run.split in (None, case.split)]


def _added(tx: Connection, jobs: Jobs, run: Run) -> Run:
    job_id = jobs.add(tx, KIND, project=run.project, arguments={"run_id": run.id})
    made = msgspec.structs.replace(run, job_id=job_id)
    store.add_run(tx, made)
    return made


def _cases(tx: Connection, project: str, examples: Examples) -> tuple[DatasetVersion, list[Case]]:
    name, number = datasets.parse_reference(examples.dataset)
    version = datasets.get_version(tx, project, name, number)
    cases = [case for case in datasets.iter_cases(tx, version) if examples.split in (None, case.split)]
    if not cases:
        known = ", ".join(version.splits) or "none"
        raise BadRequest(
            f"{version.name} v{version.version} has no case in the split {examples.split!r}",
            param="split",
            hint=f"Its splits: {known}.",
        )
    return version, cases


def _check_ids(ids: list[str], cases: list[Case], version: DatasetVersion) -> None:
    known = {case.id for case in cases}
    strange = sorted(set(ids) - known)
    twice = sorted({each for each in ids if ids.count(each) > 1}) if len(set(ids)) < len(ids) else []
    for wrong, what in ((strange, f"are not in {version.name} v{version.version}"), (twice, "come twice")):
        if wrong:
            listed = ", ".join(wrong[:_NAMED]) + (" …" if len(wrong) > _NAMED else "")
            raise BadRequest(f"{len(wrong)} ids {what}: {listed}", param="outputs")


def _checked(options: RunOptions) -> RunOptions:
    if not 1 <= options.concurrency <= MOST_AT_ONCE:
        raise BadRequest(
            f"concurrency is {options.concurrency}; it must lie between 1 and {MOST_AT_ONCE}",
            param="concurrency",
        )
    return options


def _kept(bound: BoundScorer) -> RunScorer:
    return RunScorer(
        metric=bound.metric,
        name=bound.name,
        version=bound.version,
        kind=bound.kind,
        higher_is_better=bound.scorer.higher_is_better,
        specification=bound.specification,
        bounds=bound.scorer.bounds,
    )
