"""`/jobs` and `/jobs/{id}`."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.jobs.ledger import get_job, list_jobs, log_of
from assay.jobs.runner import Jobs
from assay.jobs.types import Job, JobLine
from assay.records import Records
from assay.ui import shell


class JobsContext(msgspec.Struct):
    """What `jobs/jobs.html` shows."""

    jobs: list[Job]
    next: str | None
    first: bool


class JobContext(msgspec.Struct):
    """What `jobs/job.html` shows."""

    job: Job
    log: list[JobLine]
    duration_ns: int | None
    may_cancel: bool


@get("/jobs", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_jobs(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Jobs, newest first."""
    with records.read() as tx:
        page = list_jobs(tx, principal.project, cursor=cursor)
    context = JobsContext(jobs=page.items, next=page.next, first=cursor is None)
    return shell.page(request, "jobs/jobs.html", context, title="Jobs")


@get("/jobs/{job_id:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_job(
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Response[str]:
    """One job: its progress, its end, its log."""
    with records.read() as tx:
        job = get_job(tx, principal.project, job_id)
        lines = log_of(tx, principal.project, job_id)
    took = (
        None if job.ended_at_ns is None or job.started_at_ns is None else job.ended_at_ns - job.started_at_ns
    )
    may_cancel = principal.may(Right.EDIT) and not job.status.has_ended and not job.cancel_asked
    context = JobContext(job=job, log=lines, duration_ns=took, may_cancel=may_cancel)
    return shell.page(request, "jobs/job.html", context, title=job.kind.replace("_", " "))


@post(
    "/jobs/{job_id:str}/cancel", guards=[requires(Right.EDIT)], include_in_schema=False, sync_to_thread=True
)
def cancel(
    job_id: FromPath[str], principal: NamedDependency[Principal], jobs: NamedDependency[Jobs]
) -> Redirect:
    """Ask a job to stop and go back to its page."""
    jobs.cancel(principal.project, job_id)
    return Redirect(f"/jobs/{job_id}", status_code=303)


handlers = [show_jobs, show_job, cancel]
