"""Every SQL statement about jobs."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    RowMapping,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from assay.errors import NotFound
from assay.jobs.types import Job, JobLine, Status
from assay.records import Json, audited, metadata, unaudited

KEPT_LINES = 1000
"""Lines of a log that are kept, the newest."""

jobs = Table(
    "jobs",
    metadata,
    Column("project", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("arguments", Json(dict[str, Any]), nullable=False),
    Column("result", Json()),
    Column("error", Text),
    Column("hint", Text),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("note", Text),
    Column("cancel_asked", Boolean, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("started_at_ns", BigInteger),
    Column("ended_at_ns", BigInteger),
    Column("resumed", BigInteger, nullable=False, server_default="0"),
    Index("ix_jobs_project_status", "project", "status"),
    info=audited(
        "job",
        subject=("kind", "id"),
        shows=("resumed", "cancel_asked"),
        verbs={"resumed": ("resumed", "resumed"), "cancel_asked": ("cancelled", "resumed")},
    ),
)

lines = Table(
    "job_lines",
    metadata,
    Column("project", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("at_ns", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    ForeignKeyConstraint(["project", "job_id"], ["jobs.project", "jobs.id"]),
    info=unaudited("the log of a job"),
)

_UNFINISHED = (Status.QUEUED, Status.RUNNING)


def add(tx: Connection, job: Job) -> None:
    """Keep a new job."""
    tx.execute(insert(jobs).values(**{name: getattr(job, name) for name in job.__struct_fields__}))


def get(tx: Connection, project: str, job_id: str) -> Job:
    """One job. Raises `NotFound`."""
    row = (
        tx.execute(select(jobs).where(jobs.c.project == project, jobs.c.id == job_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotFound(f"There is no job {job_id!r}", hint="GET /api/jobs lists them.")
    return _job(row)


def unfinished(tx: Connection) -> list[Job]:
    """Jobs of every project that have not ended, oldest first."""
    return [
        _job(row)
        for row in tx.execute(
            select(jobs).where(jobs.c.status.in_(_UNFINISHED)).order_by(jobs.c.id)
        ).mappings()
    ]


def jobs_of(
    tx: Connection, project: str, *, kind: str | None, status: Status | None, before: str | None, limit: int
) -> list[Job]:
    """Jobs of a project, newest first, those with an id below `before`."""
    query = select(jobs).where(jobs.c.project == project)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    if status is not None:
        query = query.where(jobs.c.status == status)
    if before is not None:
        query = query.where(jobs.c.id < before)
    return [_job(row) for row in tx.execute(query.order_by(jobs.c.id.desc()).limit(limit)).mappings()]


def change(tx: Connection, project: str, job_id: str, **values: Any) -> bool:
    """Set columns of a job that has not ended; says whether it had not."""
    chosen = (jobs.c.project == project, jobs.c.id == job_id, jobs.c.status.in_(_UNFINISHED))
    return tx.execute(update(jobs).where(*chosen).values(**values)).rowcount == 1


def reopen(tx: Connection, project: str, job_id: str, **values: Any) -> bool:
    """Set columns of a job that has failed or was cancelled; says whether it had."""
    ended = jobs.c.status.in_((Status.FAILED, Status.CANCELLED))
    chosen = (jobs.c.project == project, jobs.c.id == job_id, ended)
    return tx.execute(update(jobs).where(*chosen).values(**values)).rowcount == 1


def kinds_of(tx: Connection, project: str) -> list[str]:
    """The kinds that a project has jobs of, by name."""
    query = select(jobs.c.kind).where(jobs.c.project == project).distinct().order_by(jobs.c.kind)
    return list(tx.execute(query).scalars())


def add_lines(tx: Connection, project: str, job_id: str, texts: Sequence[tuple[int, str]]) -> None:
    """Append (time, text) to a job's log and let go of what is over `KEPT_LINES`."""
    mine = (lines.c.project == project, lines.c.job_id == job_id)
    last = tx.execute(select(func.max(lines.c.number)).where(*mine)).scalar_one() or 0
    rows = [
        {"project": project, "job_id": job_id, "number": number, "at_ns": at_ns, "text": text}
        for number, (at_ns, text) in enumerate(texts, last + 1)
    ]
    tx.execute(insert(lines), rows)
    tx.execute(delete(lines).where(*mine, lines.c.number <= last + len(rows) - KEPT_LINES))


def lines_of(tx: Connection, project: str, job_id: str, *, after: int = 0) -> list[JobLine]:
    """A job's log from the line after `after`."""
    chosen = (lines.c.project == project, lines.c.job_id == job_id, lines.c.number > after)
    query = select(lines.c.number, lines.c.at_ns, lines.c.text).where(*chosen).order_by(lines.c.number)
    return [JobLine(row.number, row.at_ns, row.text) for row in tx.execute(query)]


def _job(row: RowMapping) -> Job:
    return Job(**{**row, "status": Status(row["status"])})
