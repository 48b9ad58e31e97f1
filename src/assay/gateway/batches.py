"""`/v1/batches`: OpenAI's batches, run here."""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec

from assay.access import ENVIRONMENT, Principal
from assay.batches import Batch, Batches
from assay.batches.planning import Wanted
from assay.gateway.calling import check_may_call
from assay.gateway.exchange import Exchange
from assay.gateway.files import number_in, page
from assay.wire.openai_chat import decode_body

MOST_LISTED = 100
_encode = msgspec.json.Encoder().encode
_TIMES = (
    "in_progress",
    "finalizing",
    "completed",
    "failed",
    "expired",
    "cancelling",
    "cancelled",
)


class _AssayFields(msgspec.Struct, frozen=True):
    concurrency: int | None = None


class _Create(msgspec.Struct, frozen=True):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    assay: _AssayFields | None = None


_create = msgspec.json.Decoder(_Create)


class BatchesApi:
    """The endpoints."""

    def __init__(self, batches: Batches, *, max_body_bytes: int) -> None:
        self._batches = batches
        self._max_body_bytes = max_body_bytes

    async def create(self, exchange: Exchange, principal: Principal) -> None:
        """Start one."""
        check_may_call(principal)
        _, sent = decode_body(await exchange.body(self._max_body_bytes), _create)
        environment = exchange.headers.get(b"x-assay-environment", b"").decode("latin-1")
        wanted = Wanted(
            project=principal.project,
            endpoint=sent.endpoint,
            input_file_id=sent.input_file_id,
            window=sent.completion_window,
            metadata=sent.metadata,
            concurrency=sent.assay.concurrency if sent.assay else None,
            environment=principal.environment or environment or ENVIRONMENT,
            key_id=principal.key_id,
            actor=principal.name,
        )
        await self._answer(exchange, await asyncio.to_thread(self._batches.create, wanted))

    async def index(self, exchange: Exchange, principal: Principal) -> None:
        """The project's batches, newest first."""
        check_may_call(principal)
        asked = parse_qs(exchange.query)
        limit = number_in(asked, "limit", usual=20, most=MOST_LISTED)
        find = partial(
            self._batches.page, principal.project, after=asked.get("after", [None])[0], limit=limit + 1
        )
        found = await asyncio.to_thread(find)
        await exchange.respond(200, _encode(page([card(each) for each in found], limit)))

    async def show(self, exchange: Exchange, principal: Principal) -> None:
        """How far one is."""
        check_may_call(principal)
        found = await asyncio.to_thread(self._batches.get, principal.project, _id_in(exchange.path))
        await self._answer(exchange, found)

    async def cancel(self, exchange: Exchange, principal: Principal) -> None:
        """Stop one; what is done is kept."""
        check_may_call(principal)
        stopped = await asyncio.to_thread(self._batches.cancel, principal.project, _id_in(exchange.path))
        await self._answer(exchange, stopped)

    async def _answer(self, exchange: Exchange, batch: Batch) -> None:
        await exchange.respond(200, _encode(card(batch)))


def card(batch: Batch) -> dict[str, Any]:
    """A batch as OpenAI shows it."""
    made: dict[str, Any] = {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model,
        "errors": None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": batch.status.value,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": batch.created_at_ns // 1_000_000_000,
        "expires_at": batch.expires_at_ns // 1_000_000_000,
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "metadata": batch.metadata,
    }
    for name in _TIMES:
        at_ns = batch.times.get(name)
        made[f"{name}_at"] = None if at_ns is None else at_ns // 1_000_000_000
    if batch.problems:
        data = [msgspec.to_builtins(each) for each in batch.problems]
        made["errors"] = {"object": "list", "data": data}
    if batch.usage is not None:
        made["usage"] = _usage(batch.usage)
    return made


def _usage(counts: dict[str, int]) -> dict[str, Any]:
    into, out = counts.get("input_tokens", 0), counts.get("output_tokens", 0)
    return {
        "input_tokens": into,
        "input_tokens_details": {"cached_tokens": counts.get("cached_tokens", 0)},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": counts.get("reasoning_tokens", 0)},
        "total_tokens": into + out,
    }


def _id_in(path: str) -> str:
    return path.removeprefix("/v1/batches/").partition("/")[0]
