"""Endpoints whose answers always come whole and that no task serves: embeddings, rankings, moderations."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from assay.access import Principal
from assay.calls import Call, Caller
from assay.calls.cache_rules import CacheOutcome
from assay.errors import BadRequest
from assay.gateway.calling import check_may_call, context_of, label, label_cost
from assay.gateway.exchange import Departure, Exchange
from assay.gateway.origin import read_origin
from assay.providers.types import Endpoint
from assay.tasks.calling import is_task
from assay.wire.embeddings import EmbeddingRequest, decode_embedding
from assay.wire.moderations import ModerationRequest, decode_moderation
from assay.wire.rerank import RerankRequest, decode_rerank
from assay.wire.spans import Span

LARGE_BODY_BYTES = 1 << 20
"""Read in a thread, so that other calls go on meanwhile."""

Request = EmbeddingRequest | ModerationRequest | RerankRequest


class _Raw(Protocol):
    @property
    def raw(self) -> bytes: ...


class _Answer(Protocol):
    """What each of these calls brings."""

    @property
    def response(self) -> _Raw: ...

    @property
    def span(self) -> Span: ...

    @property
    def upstream_ns(self) -> int: ...

    @property
    def kept(self) -> bool: ...

    @property
    def cache(self) -> CacheOutcome | None: ...


class WholeAnswers:
    """One such endpoint: `decode` reads its body, `ask` makes the call; `instead` is told to whoever names a task."""

    def __init__(
        self,
        endpoint: Endpoint,
        decode: Callable[[bytes], Request],
        ask: Callable[[Call], Awaitable[_Answer]],
        *,
        instead: str,
        max_body_bytes: int,
    ) -> None:
        self._endpoint = endpoint
        self._decode = decode
        self._ask = ask
        self._instead = instead
        self._max_body_bytes = max_body_bytes

    async def __call__(self, exchange: Exchange, principal: Principal) -> None:
        check_may_call(principal)
        request = await self._decoded(await exchange.body(self._max_body_bytes))
        if is_task(request.model):
            raise BadRequest(
                f"{request.model!r} is a task, and a task answers with text",
                param="model",
                hint=self._instead,
            )
        origin = read_origin(exchange.headers, request.assay, principal)
        exchange.trace_id = origin.trace_id
        departure = Departure(exchange)
        try:
            context = context_of(origin, principal)
            await self._answer(exchange, Call(self._endpoint, request, context, cache=origin.cache))
        except asyncio.CancelledError:
            if not departure.gone:
                raise
        finally:
            departure.over()

    async def _answer(self, exchange: Exchange, call: Call) -> None:
        answer = await self._ask(call)
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

    async def _decoded(self, body: bytes) -> Request:
        if len(body) < LARGE_BODY_BYTES:
            return self._decode(body)
        return await asyncio.to_thread(self._decode, body)


def whole_answers(caller: Caller, max_body_bytes: int) -> dict[str, WholeAnswers]:
    """Those there are, by path."""
    return {
        "/v1/embeddings": WholeAnswers(
            "embeddings",
            decode_embedding,
            caller.embed,
            instead="Name a model that makes embeddings.",
            max_body_bytes=max_body_bytes,
        ),
        "/v1/rerank": WholeAnswers(
            "rerank",
            decode_rerank,
            caller.rerank,
            instead="Name a model that ranks documents.",
            max_body_bytes=max_body_bytes,
        ),
        "/v1/moderations": WholeAnswers(
            "moderations",
            decode_moderation,
            caller.moderate,
            instead="Name a model that moderates.",
            max_body_bytes=max_body_bytes,
        ),
    }
