"""`/jobs` and `/jobs/{id}`: how far, what was said on the way, how it ended; to stop one and to have one go on."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest
from assay.jobs.ledger import get_job, list_jobs, list_kinds, log_of
from assay.jobs.runner import Jobs
from assay.jobs.types import Job, JobLine, Status
from assay.kit.clock import SYSTEM
from assay.records import Records
from assay.ui import shell
from assay.ui.language import _, later

HttpRequest = Request[Any, Any, Any]

WORDS = {
    Status.QUEUED: later("queued"),
    Status.RUNNING: later("running"),
    Status.SUCCEEDED: later("succeeded"),
    Status.FAILED: later("failed"),
    Status.CANCELLED: later("cancelled"),
}
"""Where a job stands, as the pages say it."""


class JobsContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `jobs/jobs.html` shows."""

    jobs: list[Job]
    next: str | None
    first: bool
    kind: str
    kinds: list[tuple[str, str]]
    status: str
    statuses: list[tuple[str, str]]
    now_ns: int


class JobContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `jobs/job.html` shows. `left_ns` is about how long it will take still, None when that cannot be said; `subject` is
    the page of what it is about."""

    job: Job
    log: list[JobLine]
    last_line: int
    took_ns: int | None
    left_ns: int | None
    subject: str | None
    may_cancel: bool
    may_resume: bool


class LogContext(msgspec.Struct, frozen=True):
    """What `jobs/log.html` shows: further lines of a log, and whether more may come."""

    job: Job
    log: list[JobLine]
    last_line: int


@get("/jobs", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_jobs(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    kind: FromQuery[str] = "",
    status: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Jobs, newest first."""
    if status and status not in set(Status):
        raise BadRequest(f"{status!r} is no status.", param="status", hint=f"One of {', '.join(Status)}.")
    with records.read() as tx:
        page = list_jobs(
            tx,
            principal.project,
            kind=kind or None,
            status=Status(status) if status else None,
            cursor=cursor,
        )
        kinds = list_kinds(tx, principal.project)
    context = JobsContext(
        jobs=page.items,
        next=page.next,
        first=cursor is None,
        kind=kind,
        kinds=[("", _("any")), *((each, each.replace("_", " ")) for each in kinds)],
        status=status,
        statuses=[("", _("any")), *((each.value, _(WORDS[each])) for each in Status)],
        now_ns=SYSTEM.now_ns(),
    )
    return shell.page(request, "jobs/jobs.html", context, title=later("Jobs"))


@get("/jobs/{job_id:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_job(
    request: HttpRequest,
    job_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    jobs: NamedDependency[Jobs],
) -> Response[str]:
    """One job: its progress, its end, its log."""
    with records.read() as tx:
        job = get_job(tx, principal.project, job_id)
        lines = log_of(tx, principal.project, job_id)
    may_edit = principal.may(Right.EDIT)
    now_ns = SYSTEM.now_ns()
    context = JobContext(
        job=job,
        log=lines,
        last_line=lines[-1].number if lines else 0,
        took_ns=None if job.started_at_ns is None else (job.ended_at_ns or now_ns) - job.started_at_ns,
        left_ns=_left_ns(job, now_ns),
        subject=jobs.page_of(job),
        may_cancel=may_edit and not job.status.has_ended and not job.cancel_asked,
        may_resume=may_edit and job.may_resume,
    )
    return shell.page(request, "jobs/job.html", context, title=job.kind.replace("_", " "))


@get("/jobs/{job_id:str}/log", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_more_log(
    request: HttpRequest,
    job_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    after: FromQuery[int] = 0,
) -> Response[str]:
    """The lines after one, as the page of the job asks for them while it runs."""
    with records.read() as tx:
        job = get_job(tx, principal.project, job_id)
        lines = log_of(tx, principal.project, job_id, after=after)
    context = LogContext(job, lines, lines[-1].number if lines else after)
    return shell.page(request, "jobs/log.html", context, title="")


@post(
    "/jobs/{job_id:str}/cancel", guards=[requires(Right.EDIT)], include_in_schema=False, sync_to_thread=True
)
def cancel(
    job_id: FromPath[str], principal: NamedDependency[Principal], jobs: NamedDependency[Jobs]
) -> Redirect:
    """Ask a job to stop and go back to its page."""
    jobs.cancel(principal.project, job_id)
    return Redirect(f"/jobs/{job_id}", status_code=303)


@post(
    "/jobs/{job_id:str}/resume", guards=[requires(Right.EDIT)], include_in_schema=False, sync_to_thread=True
)
def resume(
    job_id: FromPath[str], principal: NamedDependency[Principal], jobs: NamedDependency[Jobs]
) -> Redirect:
    """Have a job go on and go back to its page."""
    jobs.resume(principal.project, job_id, actor=principal.name)
    return Redirect(f"/jobs/{job_id}", status_code=303)


def _left_ns(job: Job, now_ns: int) -> int | None:
    """As long for the rest as it took for the part that is done. What an earlier start has done would make this too short, so
    nothing is said of a job that was resumed."""
    if job.status is not Status.RUNNING or not job.total or not job.done or job.resumed:
        return None
    return (now_ns - (job.started_at_ns or now_ns)) * max(0, job.total - job.done) // job.done


handlers = [show_jobs, show_job, show_more_log, cancel, resume]
