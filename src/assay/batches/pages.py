"""`/batches` and `/batches/{id}`: how far, what it came to, the files; to stop one."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.batches.planning import Batches
from assay.batches.types import Batch, BatchStatus
from assay.kit.clock import SYSTEM
from assay.ui import shell
from assay.ui.language import _, later

HttpRequest = Request[Any, Any, Any]

WORDS = {
    BatchStatus.VALIDATING: later("validating"),
    BatchStatus.FAILED: later("failed"),
    BatchStatus.IN_PROGRESS: later("in progress"),
    BatchStatus.FINALIZING: later("finalizing"),
    BatchStatus.COMPLETED: later("completed"),
    BatchStatus.EXPIRED: later("expired"),
    BatchStatus.CANCELLING: later("cancelling"),
    BatchStatus.CANCELLED: later("cancelled"),
}
TONES = {
    BatchStatus.FAILED: "worse",
    BatchStatus.COMPLETED: "better",
    BatchStatus.EXPIRED: "warning",
    BatchStatus.CANCELLED: "neutral",
}
"""What is not here runs."""
_PAGE = 50


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A batch with its status in words and in a colour."""

    batch: Batch
    word: str
    tone: str
    took_ns: int | None


class BatchesContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `batches/batches.html` shows."""

    batches: list[Shown]
    next: str | None
    first: bool


class BatchContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `batches/batch.html` shows."""

    shown: Shown
    may_cancel: bool


@get("/batches", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_batches(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    batches: NamedDependency[Batches],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Batches, newest first."""
    found = batches.page(principal.project, after=cursor, limit=_PAGE + 1)
    context = BatchesContext(
        batches=[_shown(each) for each in found[:_PAGE]],
        next=found[_PAGE - 1].id if len(found) > _PAGE else None,
        first=cursor is None,
    )
    return shell.page(request, "batches/batches.html", context, title=later("Batches"))


@get("/batches/{batch_id:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_batch(
    request: HttpRequest,
    batch_id: FromPath[str],
    principal: NamedDependency[Principal],
    batches: NamedDependency[Batches],
) -> Response[str]:
    """One batch."""
    batch = batches.get(principal.project, batch_id)
    is_going = not batch.status.has_ended and batch.status is not BatchStatus.CANCELLING
    context = BatchContext(shown=_shown(batch), may_cancel=principal.may(Right.CALL) and is_going)
    return shell.page(request, "batches/batch.html", context, title=later("Batch"))


@post(
    "/batches/{batch_id:str}/cancel",
    guards=[requires(Right.CALL)],
    include_in_schema=False,
    sync_to_thread=True,
)
def cancel(
    batch_id: FromPath[str], principal: NamedDependency[Principal], batches: NamedDependency[Batches]
) -> Redirect:
    """Stop a batch and go back to its page."""
    batches.cancel(principal.project, batch_id)
    return Redirect(f"/batches/{batch_id}", status_code=303)


def _shown(batch: Batch) -> Shown:
    ended_ns = max(batch.times.values(), default=batch.created_at_ns)
    began_ns = batch.times.get(BatchStatus.IN_PROGRESS.value)
    until_ns = ended_ns if batch.status.has_ended else SYSTEM.now_ns()
    return Shown(
        batch=batch,
        word=_(WORDS[batch.status]),
        tone=TONES.get(batch.status, "running"),
        took_ns=None if began_ns is None else until_ns - began_ns,
    )


handlers = [show_batches, show_batch, cancel]
