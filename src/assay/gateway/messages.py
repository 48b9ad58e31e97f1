"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's format, from whatever provider the model leads to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.access import Principal
from assay.calls import Call, Caller
from assay.gateway.calling import check_may_call, context_of, label, label_cost, trailer
from assay.gateway.exchange import Departure, Exchange
from assay.gateway.origin import Origin, read_origin
from assay.snapshot import SnapshotSource
from assay.tasks.calling import TaskCalls, is_task
from assay.wire.anthropic import decode_counted, decode_messages
from assay.wire.as_chat_request import as_chat_request
from assay.wire.requests import MessagesRequest

LARGE_BODY_BYTES = 1 << 20
"""Read in a thread, so that other calls go on meanwhile."""

LAST = b"message_stop"
_encode = msgspec.json.Encoder().encode


class _Kind(msgspec.Struct, frozen=True):
    type: str


_kind = msgspec.json.Decoder(_Kind)


class Messages:
    """The endpoints."""

    def __init__(
        self, caller: Caller, tasks: TaskCalls, snapshot: SnapshotSource, *, max_body_bytes: int
    ) -> None:
        self._caller = caller
        self._tasks = tasks
        self._snapshot = snapshot
        self._max_body_bytes = max_body_bytes

    async def create(self, exchange: Exchange, principal: Principal) -> None:
        """A message, whole or streamed."""
        request, origin = await self._asked(exchange, principal, decode_messages)
        call = self._prepare(request, origin, principal)
        if request.stream:
            await _watched(exchange, self._stream(exchange, call, wants_trailer=origin.trailer))
        else:
            await _watched(exchange, self._whole(exchange, call))

    async def count(self, exchange: Exchange, principal: Principal) -> None:
        """The tokens of a message that is not made."""
        request, origin = await self._asked(exchange, principal, decode_counted)
        await _watched(exchange, self._count(exchange, self._prepare(request, origin, principal)))

    async def _asked(
        self, exchange: Exchange, principal: Principal, decode: Callable[[bytes], MessagesRequest]
    ) -> tuple[MessagesRequest, Origin]:
        check_may_call(principal)
        body = await exchange.body(self._max_body_bytes)
        request = decode(body) if len(body) < LARGE_BODY_BYTES else await asyncio.to_thread(decode, body)
        origin = read_origin(exchange.headers, request.assay, principal)
        exchange.trace_id = origin.trace_id
        headers = exchange.headers
        version, beta = _said(headers, b"anthropic-version"), _said(headers, b"anthropic-beta")
        return replace(request, version=version, beta=beta), origin

    def _prepare(self, request: MessagesRequest, origin: Origin, principal: Principal) -> Call:
        """A task's variant is written in the chat format: what the client sends beside its messages joins it there."""
        context = context_of(origin, principal)
        if not is_task(request.model):
            return Call("messages", request, context, cache=origin.cache)
        asked = as_chat_request(request)
        return self._tasks.prepare(
            self._snapshot.current, "messages", asked, origin.inputs, context, cache=origin.cache
        )

    async def _whole(self, exchange: Exchange, call: Call) -> None:
        answer = await self._caller.complete(call)
        span = answer.span
        label(
            exchange,
            call.context,
            span.trace_id,
            answer.upstream_ns,
            model=answer.model,
            kept=answer.kept,
            cache=answer.cache,
        )
        label_cost(exchange, span)
        exchange.out.append((b"request-id", span.trace_id.encode()))
        await exchange.respond(200, answer.response.raw)

    async def _stream(self, exchange: Exchange, call: Call, *, wants_trailer: bool) -> None:
        """The last event acknowledges the answer, so it goes out when the span is kept."""
        answer = await self._caller.stream(call)
        last = b""
        try:
            label(
                exchange,
                call.context,
                answer.trace_id,
                answer.upstream_ns,
                model=answer.model,
                cache=answer.cache,
            )
            exchange.out.append((b"request-id", answer.trace_id.encode()))
            await exchange.start_events()
            async for event in answer.events():
                if event.raw is None:
                    continue
                kind = _kind.decode(event.raw).type.encode()
                framed = b"event: %b\ndata: %b\n\n" % (kind, event.raw)
                if kind == LAST:
                    last = framed
                else:
                    await exchange.write(framed)
        finally:
            await answer.aclose()
        await exchange.write(last + (trailer(answer) if wants_trailer else b""), more=False)

    async def _count(self, exchange: Exchange, call: Call) -> None:
        counted = await self._caller.count(call)
        exchange.out += (
            (b"x-assay-model", call.request.model.encode()),
            (b"x-assay-usage-source", counted.source.value.encode()),
        )
        await exchange.respond(200, _encode({"input_tokens": counted.input_tokens}))


async def _watched(exchange: Exchange, answering: Awaitable[None]) -> None:
    """Stop when the client leaves."""
    departure = Departure(exchange)
    try:
        await answering
    except asyncio.CancelledError:
        if not departure.gone:
            raise
    finally:
        departure.over()


def model_card(name: str) -> dict[str, Any]:
    """A model as Anthropic lists it."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def model_page(names: Sequence[str]) -> dict[str, Any]:
    """All of them, on one page."""
    return {
        "data": [model_card(name) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }


def _said(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1") if value else None
