"""`/api/retention`, `/api/storage` and `/api/traces/purge`."""

from typing import Any

import msgspec
from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest
from assay.jobs import Jobs
from assay.kit.clock import DAY_NS, SYSTEM, day_of, day_text
from assay.records import Records
from assay.settings import Settings
from assay.spans import SpanStore
from assay.spans.types import Purge, StoredDay
from assay.traces import store
from assay.traces.retention import LONGEST_DAYS, Policy, default_policy
from assay.traces.upkeep import PURGE, Upkeep, purge_arguments


class RetentionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/retention`: days, or null to keep for ever."""

    content_days: int | None
    row_days: int | None
    imports: bool = False


class RetentionAnswer(msgspec.Struct):
    """How long the project keeps content and rows; null is for ever. `is_default` says that it has not chosen."""

    content_days: int | None
    row_days: int | None
    imports: bool
    is_default: bool


class DayAnswer(msgspec.Struct):
    """One day of arrival; bytes are known once it is sealed."""

    day: str
    imported: bool
    spans: int
    scores: int
    bytes: int
    content_bytes: int
    is_sealed: bool
    has_content: bool


class ServerStorage(msgspec.Struct):
    """Bytes that the spans of all projects take, and the limit."""

    hot_bytes: int
    sealed_bytes: int
    content_bytes: int
    limit_bytes: int | None
    free_disk_bytes: int | None


class StorageAnswer(msgspec.Struct):
    """What is kept of the project, newest first; `server` is there for whoever runs it."""

    days: list[DayAnswer]
    server: ServerStorage | None


class PurgeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/traces/purge`. Without `confirm` nothing is taken."""

    before: str | None = None
    older_than_days: int | None = None
    user: str | None = None
    everything: bool = False
    confirm: bool = False


class PurgeAnswer(msgspec.Struct):
    """What a purge takes or would take; with `job_id` it is on its way."""

    spans: int
    traces: int
    scores: int
    messages: int
    message_bytes: int
    job_id: str | None


@get("/api/retention", guards=[requires(Right.READ)], sync_to_thread=True)
def show_retention(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
) -> RetentionAnswer:
    """How many days from arrival the project keeps messages and rows."""
    with records.read() as tx:
        chosen = store.find_policy(tx, principal.project)
    return _retention(chosen, settings)


@put("/api/retention", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def set_retention(
    data: JSONBody[RetentionRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
) -> RetentionAnswer:
    """Choose it for the project. What is past its time by then goes within minutes."""
    policy = Policy(content_days=data.content_days, row_days=data.row_days, imports=data.imports)
    with records.write() as tx:
        store.set_policy(tx, principal.project, policy)
    return _retention(policy, settings)


@delete("/api/retention", guards=[requires(Right.ADMINISTER)], status_code=200, sync_to_thread=True)
def reset_retention(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
) -> RetentionAnswer:
    """Leave it to the server's settings again."""
    with records.write() as tx:
        store.remove_policy(tx, principal.project)
    return _retention(None, settings)


@get("/api/storage", guards=[requires(Right.READ)], sync_to_thread=True)
def show_storage(
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    upkeep: NamedDependency[Upkeep],
) -> StorageAnswer:
    """What is kept, day by day, and the disk that it takes."""
    days = [_day(day) for day in reversed(span_store.stored_days(principal.project))]
    return StorageAnswer(days, server_storage(upkeep) if principal.may(Right.OPERATE) else None)


@post("/api/traces/purge", guards=[requires(Right.ADMINISTER)], status_code=200, sync_to_thread=True)
def purge(
    data: JSONBody[PurgeRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    upkeep: NamedDependency[Upkeep],
    jobs: NamedDependency[Jobs],
) -> Response[PurgeAnswer]:
    """Say what a purge would take; with `confirm` start the job that takes it.

    `before` (a day) or `older_than_days` names what arrived earlier, `user` a person, `everything` all of the project.
    """
    wanted = read_purge(data, project=principal.project, today=SYSTEM.now_ns() // DAY_NS)
    counted = upkeep.count_purge(wanted)
    job_id = None
    if data.confirm:
        with records.write() as tx:
            job_id = jobs.add(tx, PURGE, project=principal.project, arguments=purge_arguments(wanted))
    answer = PurgeAnswer(**counted, job_id=job_id)
    return Response(answer, status_code=202 if job_id else 200)


def read_purge(data: PurgeRequest, *, project: str, today: int) -> Purge:
    """What a request names. Raises `BadRequest` when that is nothing, or two things that do not go together."""
    before = None
    if data.before is not None and data.older_than_days is not None:
        raise BadRequest("before and older_than_days say the same thing twice", param="older_than_days")
    if data.older_than_days is not None:
        if not 0 <= data.older_than_days <= LONGEST_DAYS:
            raise BadRequest(f"older_than_days is {data.older_than_days}", param="older_than_days")
        before = today - data.older_than_days
    if data.before is not None:
        try:
            before = day_of(data.before)
        except ValueError as error:
            raise BadRequest(
                f"{data.before!r} is no day", param="before", hint="Write e.g. 2026-11-24."
            ) from error
    if data.user is not None and not data.user:
        raise BadRequest("user is empty", param="user", hint="Say whose traces to take.")
    if data.everything == (before is not None or data.user is not None):
        raise BadRequest(
            "Say what to purge: before, older_than_days or user; or everything, alone", param="everything"
        )
    return Purge(project=project, before_day=before, user_id=data.user)


def server_storage(upkeep: Upkeep) -> ServerStorage:
    """The server's figures."""
    size = upkeep.size
    return ServerStorage(
        size.hot_bytes, size.sealed_bytes, size.content_bytes, upkeep.limit_bytes, upkeep.free_disk_bytes
    )


def _retention(chosen: Policy | None, settings: Settings) -> RetentionAnswer:
    policy = chosen or default_policy(settings)
    return RetentionAnswer(policy.content_days, policy.row_days, policy.imports, chosen is None)


def _day(day: StoredDay) -> DayAnswer:
    fields: dict[str, Any] = {name: getattr(day, name) for name in DayAnswer.__struct_fields__}
    return DayAnswer(**fields | {"day": day_text(day.day)})


handlers = [show_retention, set_retention, reset_retention, show_storage, purge]
