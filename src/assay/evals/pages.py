"""`/runs`, `/runs/{id}` and `/comparisons/{id}`."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from sqlalchemy import Connection

from assay.access import ENVIRONMENT, Principal, Right
from assay.access.guards import requires
from assay.charts.forest import forest
from assay.datasets import Case
from assay.datasets import library as datasets
from assay.errors import BadRequest
from assay.evals import comparing, planning
from assay.evals.comparing import Show
from assay.evals.gating import objection_to
from assay.evals.store import Which
from assay.evals.summing import summarize
from assay.evals.types import Comparison, ComparisonOptions, Difference, Result, Run, RunSummary
from assay.jobs import Job, Jobs, get_job
from assay.records import Records
from assay.scorers.types import Kind
from assay.stats.types import Estimate
from assay.ui import shell

_SHOWN = 50
_SHOWS: tuple[tuple[Show, str], ...] = (
    ("different", "Different"),
    ("better", "Candidate better"),
    ("worse", "Candidate worse"),
    ("both_wrong", "Both wrong"),
    ("both_right", "Both right"),
    ("error", "Errors"),
    ("all", "All"),
)


class Figure(msgspec.Struct, frozen=True):
    """A metric of a run with the kind that says how it is written."""

    kind: Kind
    estimate: Estimate


class RunLine(msgspec.Struct, frozen=True):
    """A run in the list."""

    run: Run
    job: Job
    figures: list[Figure]


class RunsContext(msgspec.Struct, kw_only=True):
    """What `evals/runs.html` shows."""

    lines: list[RunLine]
    next: str | None
    first: bool
    task: str
    dataset: str
    comparable: list[tuple[str, str]]
    may_edit: bool


class CaseLine(msgspec.Struct, frozen=True):
    """A result with the case that it is about; None when the dataset does not have it any more."""

    result: Result
    case: Case | None


class RunContext(msgspec.Struct, kw_only=True):
    """What `evals/run.html` shows."""

    run: Run
    job: Job
    summary: RunSummary | None
    figures: list[Figure]
    lines: list[CaseLine]
    which: Which
    next: str | None
    first: bool
    comparisons: list[Comparison]
    may_cancel: bool


class DifferenceLine(msgspec.Struct, frozen=True):
    """One case with what both sides made of it."""

    difference: Difference
    case: Case | None


class ComparisonContext(msgspec.Struct, kw_only=True):
    """What `evals/comparison.html` shows. `objection` is why the verdicts do not speak for the candidate."""

    comparison: Comparison
    baseline: Run
    candidate: Run
    picture: str
    metric: str
    kind: Kind
    show: Show
    shows: list[tuple[str, str, int]]
    lines: list[DifferenceLine]
    next: str | None
    first: bool
    objection: str | None
    environment: str
    may_release: bool


@get("/runs", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_runs(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    task: FromQuery[str | None] = None,
    dataset: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Runs, newest first, and a form to compare two of them."""
    with records.read() as tx:
        page = planning.list_runs(
            tx, principal.project, task=task or None, dataset=dataset or None, cursor=cursor, limit=_SHOWN
        )
        lines = [
            RunLine(run, get_job(tx, run.project, run.job_id), _figures(run, run.summary))
            for run in page.items
        ]
    context = RunsContext(
        lines=lines,
        next=page.next,
        first=cursor is None,
        task=task or "",
        dataset=dataset or "",
        comparable=[(line.run.id, _named(line.run)) for line in lines if line.run.ended_at_ns is not None],
        may_edit=principal.may(Right.EDIT),
    )
    return shell.page(request, "evals/runs.html", context, title="Runs")


@get("/runs/{run_id:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_run(
    request: Request[Any, Any, Any],
    run_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    which: FromQuery[Which] = "all",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """One run: how far it is, what it comes to, case by case."""
    with records.read() as tx:
        run = planning.get_run(tx, principal.project, run_id)
        job = get_job(tx, run.project, run.job_id)
        summary = run.summary or (summarize(tx, run) if job.status.has_ended and job.done else None)
        page = planning.list_results(tx, run, which=which, cursor=cursor, limit=_SHOWN)
        cases = _cases(tx, run, [result.case_id for result in page.items])
        comparisons = comparing.comparisons_of(tx, run)
    context = RunContext(
        run=run,
        job=job,
        summary=summary,
        figures=_figures(run, summary),
        lines=[CaseLine(result, cases.get(result.case_id)) for result in page.items],
        which=which,
        next=page.next,
        first=cursor is None,
        comparisons=comparisons,
        may_cancel=principal.may(Right.EDIT) and not job.status.has_ended and not job.cancel_asked,
    )
    return shell.page(request, "evals/run.html", context, title=run.title)


@post(
    "/runs/{run_id:str}/cancel", guards=[requires(Right.EDIT)], include_in_schema=False, sync_to_thread=True
)
def cancel_run(
    run_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    jobs: NamedDependency[Jobs],
) -> Redirect:
    """Ask a run to stop and go back to its page."""
    with records.read() as tx:
        run = planning.get_run(tx, principal.project, run_id)
    jobs.cancel(run.project, run.job_id)
    return Redirect(f"/runs/{run.id}", status_code=303)


@post("/runs/compare", guards=[requires(Right.EDIT)], include_in_schema=False)
async def compare_runs(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Redirect:
    """The form of the list: compare two runs, then show what came of it."""
    form = await request.form()
    options = ComparisonOptions(
        margin=_margin(str(form.get("margin") or "")), overlap=form.get("overlap") == "on"
    )

    def keep() -> Comparison:
        with records.write() as tx:
            return comparing.compare(
                tx,
                principal.project,
                baseline=str(form.get("baseline") or ""),
                candidate=str(form.get("candidate") or ""),
                options=options,
                actor=principal.name,
            )

    made = await asyncio.to_thread(keep)
    return Redirect(f"/comparisons/{made.id}", status_code=303)


@get(
    "/comparisons/{comparison_id:str}",
    guards=[requires(Right.READ)],
    include_in_schema=False,
    sync_to_thread=True,
)
def show_comparison(
    request: Request[Any, Any, Any],
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    metric: FromQuery[str | None] = None,
    show: FromQuery[Show] = "different",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """A comparison: its verdicts, the forest plot, and the cases that make the difference."""
    with records.read() as tx:
        found = comparing.get_comparison(tx, principal.project, comparison_id)
        baseline, candidate = comparing.sides_of(tx, found)
        chosen = metric or found.verdicts[0].metric
        page, counts = comparing.list_differences(tx, found, chosen, show=show, cursor=cursor, limit=_SHOWN)
        cases = _cases(tx, candidate, [item.case_id for item in page.items])
    kinds = {scorer.metric: scorer.kind for scorer in candidate.scorers}
    context = ComparisonContext(
        comparison=found,
        baseline=baseline,
        candidate=candidate,
        picture=forest(found.verdicts, baseline=baseline.title, candidate=candidate.title),
        metric=chosen,
        kind=kinds[chosen],
        show=show,
        shows=[
            (each, label, counts.get(each, 0))
            for each, label in _SHOWS
            if counts.get(each) or each in (show, "all", "different")
        ],
        lines=[DifferenceLine(item, cases.get(item.case_id)) for item in page.items],
        next=page.next,
        first=cursor is None,
        objection=objection_to(found.verdicts),
        environment=ENVIRONMENT,
        may_release=principal.may(Right.EDIT)
        and candidate.task is not None
        and candidate.variant_hash is not None,
    )
    title = f"{candidate.title} against {baseline.title}"
    return shell.page(request, "evals/comparison.html", context, title=title)


def _figures(run: Run, summary: RunSummary | None) -> list[Figure]:
    kinds = {scorer.metric: scorer.kind for scorer in run.scorers}
    return [] if summary is None else [Figure(kinds[each.metric], each) for each in summary.metrics]


def _named(run: Run) -> str:
    return f"{run.title} on {run.dataset} v{run.dataset_version} · {run.id[-6:]}"


def _cases(tx: Connection, run: Run, case_ids: list[str]) -> dict[str, Case]:
    version = datasets.get_version(tx, run.project, run.dataset, run.dataset_version)
    return datasets.find_cases(tx, version, case_ids)


def _margin(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError as error:
        raise BadRequest(
            f"The margin is {text!r}: it must be a number", param="margin", hint="E.g. 0.02 for two points."
        ) from error


handlers = [show_runs, show_run, cancel_run, compare_runs, show_comparison]
