"""`POST /v1/embeddings`: vectors in OpenAI's format, from whatever provider the model leads to."""

import asyncio

from assay.access import Principal
from assay.calls import Call, Caller
from assay.errors import BadRequest
from assay.gateway.calling import check_may_call, context_of, label, label_cost
from assay.gateway.exchange import Departure, Exchange
from assay.gateway.origin import read_origin
from assay.tasks.calling import is_task
from assay.wire.embeddings import EmbeddingRequest, decode_embedding

LARGE_BODY_BYTES = 1 << 20
"""Read in a thread, so that other calls go on meanwhile."""


class Embeddings:
    """The endpoint."""

    def __init__(self, caller: Caller, *, max_body_bytes: int) -> None:
        self._caller = caller
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: Exchange, principal: Principal) -> None:
        check_may_call(principal)
        request = await _decoded(await exchange.body(self._max_body_bytes))
        if is_task(request.model):
            raise BadRequest(
                f"{request.model!r} is a task, and a task answers with text",
                param="model",
                hint="Name a model that makes embeddings.",
            )
        origin = read_origin(exchange.headers, request.assay, principal)
        exchange.trace_id = origin.trace_id
        departure = Departure(exchange)
        try:
            context = context_of(origin, principal)
            await self._answer(exchange, Call("embeddings", request, context, cache=origin.cache))
        except asyncio.CancelledError:
            if not departure.gone:
                raise
        finally:
            departure.over()

    async def _answer(self, exchange: Exchange, call: Call) -> None:
        answer = await self._caller.embed(call)
        span = answer.span
        label(
            exchange,
            call.context,
            span.trace_id,
            answer.upstream_ns,
            model=span.model or "",
            kept=answer.kept,
            cache=answer.cache,
        )
        label_cost(exchange, span)
        await exchange.respond(200, answer.response.raw)


async def _decoded(body: bytes) -> EmbeddingRequest:
    if len(body) < LARGE_BODY_BYTES:
        return decode_embedding(body)
    return await asyncio.to_thread(decode_embedding, body)
