"""`/api/runs` and `/api/comparisons`."""

import asyncio
from decimal import Decimal
from typing import Any, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy import Connection

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.calls import Caller
from assay.errors import BadRequest
from assay.evals import comparing, gating, planning, reports
from assay.evals.comparing import Show
from assay.evals.planning import Examples
from assay.evals.store import Which
from assay.evals.types import CaseScore, Comparison, ComparisonOptions, Difference, Result, Run, RunOptions
from assay.jobs import Jobs, Status, get_job
from assay.kit.clock import rfc3339
from assay.kit.json import encode
from assay.kit.paging import Page
from assay.records import Records
from assay.stats.types import Estimate
from assay.wire.verdicts import Verdict

_MOST = 1000
_EXAMPLES = 5


class OutputLine(msgspec.Struct):
    """An output made elsewhere: a text, or any JSON. Further fields are allowed."""

    id: str
    output: Any


class RunRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/runs`: a variant of a task, or outputs made elsewhere (then `variant` only labels them)."""

    dataset: str
    scorers: list[str | dict[str, Any]]
    task: str | None = None
    variant: str | None = None
    outputs: list[OutputLine] | None = None
    split: str | None = None
    concurrency: int = 4
    no_cache: bool = False
    salt: str = ""


class Started(msgspec.Struct):
    """A run that has been started, and its job."""

    id: str
    job_id: str


class SummaryAnswer(msgspec.Struct, kw_only=True):
    """What a run comes to."""

    results: int
    n_errors: int
    n_cached: int
    cost_usd: Decimal | None
    n_unpriced: int
    input_tokens: int
    output_tokens: int
    latency_ms: float | None
    metrics: list[Estimate]


class RunAnswer(msgspec.Struct, kw_only=True):
    """A run as the API shows it. `status` is that of its job; `summary` is there once every case has its result."""

    id: str
    job_id: str
    status: Status
    task: str | None
    variant: str
    model: str | None
    dataset: str
    dataset_version: int
    split: str | None
    scorers: list[dict[str, Any]]
    cases: int
    done: int
    actor: str
    created: str
    ended: str | None
    error: str | None
    summary: SummaryAnswer | None


class CaseAnswer(msgspec.Struct, kw_only=True):
    """One case of a run: an output with its scores, or an error."""

    case_id: str
    output: str | None
    error: dict[str, str] | None
    scores: dict[str, CaseScore]
    is_wrong: bool
    trace_id: str | None
    span_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    latency_ms: float | None
    is_cached: bool


class ComparisonRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/comparisons`."""

    baseline: str
    candidate: str
    level: float = 0.95
    margin: float | None = None
    overlap: bool = False
    metrics: list[str] = []


class ComparisonAnswer(msgspec.Struct, kw_only=True):
    """A comparison as the API shows it."""

    id: str
    baseline: str
    candidate: str
    verdicts: list[Verdict]
    options: ComparisonOptions
    actor: str
    created: str


class PairAnswer(msgspec.Struct, kw_only=True):
    """One case in both runs."""

    case_id: str
    baseline: CaseAnswer | None
    candidate: CaseAnswer | None


class ReportAnswer(msgspec.Struct):
    """A report as Markdown."""

    markdown: str


@post("/api/runs", guards=[requires(Right.EDIT)], status_code=201)
async def start(
    data: JSONBody[RunRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    jobs: NamedDependency[Jobs],
    caller: NamedDependency[Caller],
) -> Started:
    """Start a run. What can be wrong with it is said now; the cases are done by the job."""

    def add() -> Run:
        with records.write() as tx:
            return _start(tx, data, principal, jobs, caller)

    run = await asyncio.to_thread(add)
    return Started(run.id, run.job_id)


@get("/api/runs", guards=[requires(Right.READ)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    task: FromQuery[str | None] = None,
    variant: FromQuery[str | None] = None,
    dataset: FromQuery[str | None] = None,
    cursor: FromQuery[str | None] = None,
) -> Page[RunAnswer]:
    """The runs, newest first."""
    with records.read() as tx:
        page = planning.list_runs(
            tx, principal.project, task=task, variant=variant, dataset=dataset, cursor=cursor
        )
        return Page([answer_of(tx, run) for run in page.items], page.next)


@get("/api/runs/{run_id:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show(
    run_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> RunAnswer:
    """One run: how far it is, and what it comes to."""
    with records.read() as tx:
        return answer_of(tx, planning.get_run(tx, principal.project, run_id))


@get("/api/runs/{run_id:str}/cases", guards=[requires(Right.READ)], sync_to_thread=True)
def list_cases(
    run_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    which: FromQuery[Which] = "all",
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = 100,
) -> Page[CaseAnswer]:
    """The cases that have their result, in the dataset's order."""
    with records.read() as tx:
        run = planning.get_run(tx, principal.project, run_id)
        page = planning.list_results(tx, run, which=which, cursor=cursor, limit=min(max(limit, 1), _MOST))
    return Page([case_of(result) for result in page.items], page.next)


@get("/api/runs/{run_id:str}/report", guards=[requires(Right.READ)], sync_to_thread=True)
def report_run(
    run_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> ReportAnswer:
    """One run as Markdown."""
    with records.read() as tx:
        return ReportAnswer(reports.run_report(planning.get_run(tx, principal.project, run_id)))


@post("/api/comparisons", guards=[requires(Right.EDIT)], status_code=201, sync_to_thread=True)
def compare(
    data: JSONBody[ComparisonRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> ComparisonAnswer:
    """Compare two runs that have ended, case by case."""
    options = ComparisonOptions(
        level=data.level, margin=data.margin, overlap=data.overlap, metrics=data.metrics
    )
    with records.write() as tx:
        made = comparing.compare(
            tx,
            principal.project,
            baseline=data.baseline,
            candidate=data.candidate,
            options=options,
            actor=principal.name,
        )
    return comparison_of(made)


@get("/api/comparisons/{comparison_id:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show_comparison(
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> ComparisonAnswer:
    """A comparison that was made."""
    with records.read() as tx:
        return comparison_of(comparing.get_comparison(tx, principal.project, comparison_id))


@get("/api/comparisons/{comparison_id:str}/cases", guards=[requires(Right.READ)], sync_to_thread=True)
def list_pairs(
    comparison_id: FromPath[str],
    metric: FromQuery[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    show: FromQuery[Show] = "all",
    cursor: FromQuery[str | None] = None,
) -> Page[PairAnswer]:
    """The cases side by side, those of one sort only where asked."""
    with records.read() as tx:
        found = comparing.get_comparison(tx, principal.project, comparison_id)
        page, _ = comparing.list_differences(tx, found, metric, show=show, cursor=cursor)
    return Page([_pair(item) for item in page.items], page.next)


@get("/api/comparisons/{comparison_id:str}/gate", guards=[requires(Right.READ)], sync_to_thread=True)
def ask_gate(
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    rule: FromQuery[Literal["not_worse", "better"]] = "not_worse",
) -> gating.Gate:
    """What a rule says to the verdicts of a comparison."""
    with records.read() as tx:
        found = comparing.get_comparison(tx, principal.project, comparison_id)
        candidate = planning.get_run(tx, principal.project, found.candidate)
    falling = {scorer.metric for scorer in candidate.scorers if not scorer.higher_is_better}
    return gating.gate(found.verdicts, rule, lower_is_better=falling)


@get("/api/comparisons/{comparison_id:str}/report", guards=[requires(Right.READ)], sync_to_thread=True)
def report_comparison(
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> ReportAnswer:
    """A comparison as Markdown, with a few cases that the two answered differently."""
    with records.read() as tx:
        found = comparing.get_comparison(tx, principal.project, comparison_id)
        sides = comparing.sides_of(tx, found)
        metric = found.verdicts[0].metric
        page, _ = comparing.list_differences(tx, found, metric, show="different", limit=_EXAMPLES)
    return ReportAnswer(reports.comparison_report(found, sides, page.items))


def answer_of(tx: Connection, run: Run) -> RunAnswer:
    """A kept run in the shape of the API, with how far its job is."""
    job = get_job(tx, run.project, run.job_id)
    summary = run.summary
    return RunAnswer(
        id=run.id,
        job_id=run.job_id,
        status=job.status,
        task=run.task,
        variant=run.variant,
        model=run.model,
        dataset=run.dataset,
        dataset_version=run.dataset_version,
        split=run.split,
        scorers=[scorer.specification for scorer in run.scorers],
        cases=run.cases,
        done=job.done if summary is None else summary.results,
        actor=run.actor,
        created=rfc3339(run.created_at_ns),
        ended=None if run.ended_at_ns is None else rfc3339(run.ended_at_ns),
        error=job.error,
        summary=None if summary is None else SummaryAnswer(**msgspec.structs.asdict(summary)),
    )


def case_of(result: Result) -> CaseAnswer:
    """A kept result in the shape of the API."""
    error = None
    if result.error_type is not None:
        error = {"type": result.error_type, "message": result.error_message or ""}
    return CaseAnswer(
        case_id=result.case_id,
        output=result.output,
        error=error,
        scores=result.scores,
        is_wrong=result.is_wrong,
        trace_id=result.trace_id,
        span_id=result.span_id,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        cost_usd=result.cost_usd,
        latency_ms=result.latency_ms,
        is_cached=result.is_cached,
    )


def comparison_of(comparison: Comparison) -> ComparisonAnswer:
    """A kept comparison in the shape of the API."""
    return ComparisonAnswer(
        id=comparison.id,
        baseline=comparison.baseline,
        candidate=comparison.candidate,
        verdicts=comparison.verdicts,
        options=comparison.options,
        actor=comparison.actor,
        created=rfc3339(comparison.created_at_ns),
    )


def _start(tx: Connection, data: RunRequest, principal: Principal, jobs: Jobs, caller: Caller) -> Run:
    examples = Examples(data.dataset, data.split)
    if data.outputs is not None:
        return planning.start_outputs_run(
            tx,
            jobs,
            principal.project,
            outputs=[(line.id, _text(line.output)) for line in data.outputs],
            label=data.variant or "recorded",
            task=data.task,
            examples=examples,
            scorers=data.scorers,
            actor=principal.name,
        )
    if data.task is None or data.variant is None:
        raise BadRequest(
            "A run needs a task and a variant, or outputs",
            param="variant" if data.task else "task",
            hint='Send {"task", "variant", …}, or {"outputs": [{"id", "output"}, …], …}.',
        )
    return planning.start_run(
        tx,
        jobs,
        principal.project,
        task=data.task,
        variant=data.variant,
        examples=examples,
        scorers=data.scorers,
        options=RunOptions(concurrency=data.concurrency, use_cache=not data.no_cache, salt=data.salt),
        models=caller.models,
        actor=principal.name,
    )


def _text(output: Any) -> str:
    return output if isinstance(output, str) else encode(output).decode()


def _pair(item: Difference) -> PairAnswer:
    sides = [None if each is None else case_of(each) for each in (item.baseline, item.candidate)]
    return PairAnswer(case_id=item.case_id, baseline=sides[0], candidate=sides[1])


handlers = [
    start,
    list_all,
    show,
    list_cases,
    report_run,
    compare,
    show_comparison,
    list_pairs,
    ask_gate,
    report_comparison,
]
