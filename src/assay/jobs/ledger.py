"""What is known about jobs, and asking one to stop."""

from typing import Any

from sqlalchemy import Connection

from assay.errors import Conflict
from assay.jobs import store
from assay.jobs.types import Job, JobLine, Status
from assay.kit.clock import Clock
from assay.kit.ids import uuid7
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.records import touch

TOUCHED = "jobs"
"""What a transaction touches that adds a job or asks one to stop."""


def add_job(tx: Connection, kind: str, *, project: str, arguments: dict[str, Any], clock: Clock) -> Job:
    """Keep a queued job."""
    job = Job(
        project=project,
        id=uuid7(),
        kind=kind,
        status=Status.QUEUED,
        arguments=arguments,
        created_at_ns=clock.now_ns(),
    )
    store.add(tx, job)
    touch(tx, TOUCHED)
    return job


def get_job(tx: Connection, project: str, job_id: str) -> Job:
    """One job. Raises `NotFound`."""
    return store.get(tx, project, job_id)


def log_of(tx: Connection, project: str, job_id: str, *, after: int = 0) -> list[JobLine]:
    """The newest lines of a job's log, oldest first. Raises `NotFound`."""
    store.get(tx, project, job_id)
    return store.lines_of(tx, project, job_id, after=after)


def list_jobs(
    tx: Connection,
    project: str,
    *,
    kind: str | None = None,
    status: Status | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Job]:
    """Jobs, newest first. Raises `BadRequest` for a foreign cursor."""
    before = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.jobs_of(tx, project, kind=kind, status=status, before=before, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].id) if len(found) > limit else None)


def list_kinds(tx: Connection, project: str) -> list[str]:
    """The kinds that a project has jobs of."""
    return store.kinds_of(tx, project)


def resume_job(tx: Connection, project: str, job_id: str, *, actor: str, clock: Clock) -> Job:
    """Have a job go on that failed or was stopped: what it has finished stays. Raises `Conflict` for any other."""
    job = store.get(tx, project, job_id)
    is_open = store.reopen(
        tx,
        project,
        job_id,
        status=Status.QUEUED,
        resumed=job.resumed + 1,
        cancel_asked=False,
        started_at_ns=None,
        ended_at_ns=None,
        error=None,
        hint=None,
        result=None,
    )
    if not is_open:
        raise Conflict(
            f"The job {job_id!r} is {job.status.value}: only one that failed or was cancelled can go on",
            hint="Start another one.",
        )
    store.add_lines(tx, project, job_id, [(clock.now_ns(), f"Resumed by {actor}")])
    touch(tx, TOUCHED)
    return store.get(tx, project, job_id)


def cancel_job(tx: Connection, project: str, job_id: str, *, clock: Clock) -> Job:
    """Ask a job to stop: a queued one has ended at once, a running one ends soon, an ended one stays as it is."""
    job = store.get(tx, project, job_id)
    if job.status is Status.QUEUED:
        store.change(
            tx, project, job_id, status=Status.CANCELLED, cancel_asked=True, ended_at_ns=clock.now_ns()
        )
    elif job.status is Status.RUNNING:
        store.change(tx, project, job_id, cancel_asked=True)
    touch(tx, TOUCHED)
    return store.get(tx, project, job_id)
