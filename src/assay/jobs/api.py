"""`/api/jobs`."""

from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.jobs.ledger import get_job, list_jobs, log_of
from assay.jobs.runner import Jobs
from assay.jobs.types import Job, Status
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records


class Progress(msgspec.Struct):
    """How far a job is; `total` is null while it is not known."""

    done: int
    total: int | None
    note: str | None


class JobError(msgspec.Struct):
    """Why a job failed, in the words of the one error shape."""

    message: str
    hint: str | None


class LineAnswer(msgspec.Struct):
    """One line of a job's log."""

    number: int
    at: str
    text: str


class JobAnswer(msgspec.Struct, kw_only=True):
    """A job as the API shows it. `log` is there when one job is asked for."""

    id: str
    kind: str
    status: Status
    arguments: dict[str, Any]
    progress: Progress
    result: Any
    error: JobError | None
    cancel_asked: bool
    created: str
    started: str | None
    ended: str | None
    resumed: int
    log: list[LineAnswer] | msgspec.UnsetType = msgspec.UNSET


@get("/api/jobs", guards=[requires(Right.READ)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    kind: FromQuery[str | None] = None,
    status: FromQuery[Status | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[JobAnswer]:
    """Jobs of the project, newest first."""
    with records.read() as tx:
        page = list_jobs(tx, principal.project, kind=kind, status=status, cursor=cursor, limit=limit)
    return Page([answer_of(job) for job in page.items], page.next)


@get("/api/jobs/{job_id:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show(
    job_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    log_after: FromQuery[int] = 0,
) -> JobAnswer:
    """One job with its log, or with the lines of it after `log_after`."""
    with records.read() as tx:
        job = get_job(tx, principal.project, job_id)
        lines = log_of(tx, principal.project, job_id, after=log_after)
    shown = [LineAnswer(line.number, rfc3339(line.at_ns), line.text) for line in lines]
    return msgspec.structs.replace(answer_of(job), log=shown)


@post("/api/jobs/{job_id:str}/cancel", guards=[requires(Right.EDIT)], status_code=200, sync_to_thread=True)
def cancel(
    job_id: FromPath[str], principal: NamedDependency[Principal], jobs: NamedDependency[Jobs]
) -> JobAnswer:
    """Ask a job to stop. A job that has ended stays as it is."""
    return answer_of(jobs.cancel(principal.project, job_id))


@post("/api/jobs/{job_id:str}/resume", guards=[requires(Right.EDIT)], status_code=200, sync_to_thread=True)
def resume(
    job_id: FromPath[str], principal: NamedDependency[Principal], jobs: NamedDependency[Jobs]
) -> JobAnswer:
    """Have a job go on that failed or was cancelled; what it has finished is not done again."""
    return answer_of(jobs.resume(principal.project, job_id, actor=principal.name))


def answer_of(job: Job) -> JobAnswer:
    """A job in the shape of the API."""
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        status=job.status,
        arguments=job.arguments,
        progress=Progress(job.done, job.total, job.note),
        result=job.result,
        error=None if job.error is None else JobError(job.error, job.hint),
        cancel_asked=job.cancel_asked,
        created=rfc3339(job.created_at_ns),
        started=None if job.started_at_ns is None else rfc3339(job.started_at_ns),
        ended=None if job.ended_at_ns is None else rfc3339(job.ended_at_ns),
        resumed=job.resumed,
    )


handlers = [list_all, show, cancel, resume]
