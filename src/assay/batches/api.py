"""`/api/batches`: what the command line and the pages use; programs have `/v1/batches` and `/v1/files`."""

import asyncio
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from assay.access import ENVIRONMENT, Principal, Right
from assay.access.guards import requires
from assay.batches.planning import Batches, Wanted
from assay.batches.types import Batch, BatchStatus, Problem
from assay.errors import NotFound
from assay.files import Files
from assay.kit.clock import rfc3339
from assay.kit.paging import Page, from_cursor, to_cursor


class BatchAnswer(msgspec.Struct, kw_only=True):
    """A batch as the API shows it. `total` is 0 while its input is being checked; `cost_usd` is there at its end."""

    id: str
    status: BatchStatus
    endpoint: str
    model: str | None
    total: int
    completed: int
    failed: int
    concurrency: int
    environment: str
    actor: str
    metadata: dict[str, str] | None
    problems: list[Problem]
    usage: dict[str, int] | None
    cost_usd: Decimal | None
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    job_id: str
    created: str
    expires: str
    times: dict[str, str]


@get("/api/batches", guards=[requires(Right.READ)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    batches: NamedDependency[Batches],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
) -> Page[BatchAnswer]:
    """The project's batches, newest first."""
    after = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = batches.page(principal.project, after=after, limit=limit + 1)
    following = to_cursor(found[limit - 1].id) if len(found) > limit else None
    return Page([answer_of(each) for each in found[:limit]], following)


@post("/api/batches", guards=[requires(Right.CALL)], status_code=201)
async def create(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    batches: NamedDependency[Batches],
    files: NamedDependency[Files],
    endpoint: FromQuery[str],
    name: FromQuery[str] = "batch.jsonl",
    concurrency: FromQuery[int | None] = None,
) -> BatchAnswer:
    """Start a batch of the lines in the body, as they would lie in a file: JSONL."""
    body = await request.body()

    def start() -> Batch:
        incoming = files.begin()
        try:
            incoming.write(body)
            file = files.keep(
                incoming, principal.project, filename=name, purpose="batch", actor=principal.name
            )
        finally:
            incoming.close()
        wanted = Wanted(
            project=principal.project,
            endpoint=endpoint,
            input_file_id=file.id,
            concurrency=concurrency,
            environment=principal.environment or ENVIRONMENT,
            key_id=principal.key_id,
            actor=principal.name,
        )
        try:
            return batches.create(wanted)
        except BaseException:
            files.remove(principal.project, file.id)
            raise

    return answer_of(await asyncio.to_thread(start))


@get("/api/batches/{batch_id:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show(
    batch_id: FromPath[str], principal: NamedDependency[Principal], batches: NamedDependency[Batches]
) -> BatchAnswer:
    """One batch, with how far it is."""
    return answer_of(batches.get(principal.project, batch_id))


@post(
    "/api/batches/{batch_id:str}/cancel", guards=[requires(Right.CALL)], status_code=200, sync_to_thread=True
)
def cancel(
    batch_id: FromPath[str], principal: NamedDependency[Principal], batches: NamedDependency[Batches]
) -> BatchAnswer:
    """Stop a batch; what is done is kept."""
    return answer_of(batches.cancel(principal.project, batch_id))


@get("/api/batches/{batch_id:str}/output", guards=[requires(Right.READ)], sync_to_thread=True)
def output(
    batch_id: FromPath[str],
    principal: NamedDependency[Principal],
    batches: NamedDependency[Batches],
    files: NamedDependency[Files],
) -> Stream:
    """The answers of a batch that has ended: JSONL, in the order of its input."""
    batch = batches.get(principal.project, batch_id)
    return _stream(files, batch, batch.output_file_id, "answers")


@get("/api/batches/{batch_id:str}/errors", guards=[requires(Right.READ)], sync_to_thread=True)
def errors(
    batch_id: FromPath[str],
    principal: NamedDependency[Principal],
    batches: NamedDependency[Batches],
    files: NamedDependency[Files],
) -> Stream:
    """The lines of a batch that have no answer, with the reason: JSONL."""
    batch = batches.get(principal.project, batch_id)
    return _stream(files, batch, batch.error_file_id, "errors")


def answer_of(batch: Batch) -> BatchAnswer:
    """A batch in the shape of the API."""
    return BatchAnswer(
        id=batch.id,
        status=batch.status,
        endpoint=batch.endpoint,
        model=batch.model,
        total=batch.total,
        completed=batch.completed,
        failed=batch.failed,
        concurrency=batch.concurrency,
        environment=batch.environment,
        actor=batch.actor,
        metadata=batch.metadata,
        problems=batch.problems,
        usage=batch.usage,
        cost_usd=batch.cost_usd,
        input_file_id=batch.input_file_id,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        job_id=batch.job_id,
        created=rfc3339(batch.created_at_ns),
        expires=rfc3339(batch.expires_at_ns),
        times={name: rfc3339(at_ns) for name, at_ns in batch.times.items()},
    )


def _stream(files: Files, batch: Batch, file_id: str | None, what: str) -> Stream:
    if file_id is None:
        why = "It has none." if batch.status.has_ended else "They are there when it has ended."
        raise NotFound(f"The batch {batch.id!r} has no {what}", hint=why)
    file = files.get(batch.project, file_id)
    headers = {"content-disposition": f'attachment; filename="{file.filename}"'}
    return Stream(partial(files.pieces, file), media_type="application/x-ndjson", headers=headers)


handlers = [list_all, create, show, cancel, output, errors]
