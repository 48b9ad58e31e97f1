"""The endpoints under `/v1`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from assay.access import Principal, authenticate, check_project
from assay.batches import Batches
from assay.calls import Call, Caller
from assay.calls.cache_shelf import Shelf
from assay.calls.metrics import OVERHEAD_S, Histogram
from assay.errors import AssayError, MethodNotAllowed, NotFound
from assay.files import Files
from assay.gateway import idempotency
from assay.gateway.batches import BatchesApi
from assay.gateway.calling import check_may_call, context_of, label, label_cost, trailer
from assay.gateway.exchange import AsgiExchange, Departure, Exchange, Receive, Scope, Send
from assay.gateway.files import FilesApi
from assay.gateway.messages import Messages, model_card, model_page
from assay.gateway.origin import Origin, read_origin
from assay.gateway.refusals import refuse, speaks_anthropic, unexpected
from assay.gateway.resources import Resources
from assay.gateway.responses_api import Responses
from assay.gateway.whole import whole_answers
from assay.providers.types import Endpoint
from assay.responses import ResponseShelf
from assay.snapshot import SnapshotSource
from assay.tasks.calling import TaskCalls, is_task
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.requests import ModelRequest
from assay.wire.sse import encode_event

log = logging.getLogger(__name__)

LARGE_BODY_BYTES = 1 << 20
_DONE = encode_event(b"[DONE]")
_DECODERS: dict[Endpoint, Callable[[bytes], ModelRequest]] = {
    "chat": decode_chat,
    "completions": decode_completion,
}


class Gateway:
    """An ASGI application for every path below `/v1`."""

    def __init__(
        self,
        *,
        caller: Caller,
        tasks: TaskCalls,
        snapshot: SnapshotSource,
        max_body_bytes: int,
        responses: ResponseShelf,
        files: Files,
        batches: Batches,
        replays: idempotency.Replays | None = None,
        overhead_s: Histogram | None = None,
    ) -> None:
        self._caller = caller
        self._replays = replays or idempotency.Replays(
            Shelf(memory_bytes=16 << 20), max_body_bytes=max_body_bytes
        )
        self._tasks = tasks
        self._snapshot = snapshot
        self._max_body_bytes = max_body_bytes
        self._overhead_s = overhead_s or Histogram(OVERHEAD_S)
        messages = Messages(caller, tasks, snapshot, max_body_bytes=max_body_bytes)
        stored = Responses(caller, tasks, snapshot, responses, files, max_body_bytes=max_body_bytes)
        self.routes: dict[str, tuple[str, Callable[[Exchange, Principal], Awaitable[None]]]] = {
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/completions": ("POST", self._completions),
            **{path: ("POST", one) for path, one in whole_answers(caller, max_body_bytes).items()},
            "/v1/messages": ("POST", messages.create),
            "/v1/messages/count_tokens": ("POST", messages.count),
            "/v1/responses": ("POST", stored.create),
            "/v1/responses/input_tokens": ("POST", stored.count),
            "/v1/models": ("GET", self._models),
        }
        files_api = FilesApi(files)
        batches_api = BatchesApi(batches, max_body_bytes=max_body_bytes)
        self.resources = Resources(
            {
                "/v1/files": {"GET": files_api.index, "POST": files_api.create},
                "/v1/files/{file_id}": {"GET": files_api.show, "DELETE": files_api.remove},
                "/v1/files/{file_id}/content": {"GET": files_api.content},
                "/v1/batches": {"GET": batches_api.index, "POST": batches_api.create},
                "/v1/batches/{batch_id}": {"GET": batches_api.show},
                "/v1/batches/{batch_id}/cancel": {"POST": batches_api.cancel},
                "/v1/responses/{response_id}": {"GET": stored.show, "DELETE": stored.remove},
                "/v1/responses/{response_id}/input_items": {"GET": stored.items},
                "/v1/responses/{response_id}/cancel": {"POST": stored.cancel},
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(AsgiExchange(scope, receive, send))

    async def serve(self, exchange: Exchange) -> None:
        """Answer, come what may."""
        try:
            method, endpoint = self.routes.get(exchange.path) or self._unrouted(exchange)
            if exchange.method != method:
                exchange.out.append((b"allow", method.encode()))
                raise MethodNotAllowed(f"{exchange.path} takes {method}, not {exchange.method}")
            principal = authenticate(self._snapshot.current, exchange.headers.items())
            if (project := exchange.headers.get(b"x-assay-project")) is not None:
                check_project(principal, project.decode("latin-1"))
            if idempotency.HEADER in exchange.headers and exchange.path in idempotency.PATHS:
                await self._replays.answer(exchange, principal, endpoint)
            else:
                await endpoint(exchange, principal)
        except AssayError as error:
            await refuse(exchange, error)
        except Exception as error:
            log.exception("%s %s failed", exchange.method, exchange.path)
            await refuse(exchange, unexpected(error))
        if exchange.overhead_ms is not None:
            self._overhead_s.observe(exchange.overhead_ms / 1e3)

    async def _chat(self, exchange: Exchange, principal: Principal) -> None:
        await self._answer(exchange, principal, "chat")

    async def _completions(self, exchange: Exchange, principal: Principal) -> None:
        await self._answer(exchange, principal, "completions")

    async def _answer(self, exchange: Exchange, principal: Principal, endpoint: Endpoint) -> None:
        check_may_call(principal)
        request = await _decoded(endpoint, await exchange.body(self._max_body_bytes))
        origin = read_origin(exchange.headers, request.assay, principal)
        exchange.trace_id = origin.trace_id
        call = self._prepare(endpoint, request, origin, principal)
        departure = Departure(exchange)
        try:
            if request.stream:
                await self._stream(exchange, call, wants_trailer=origin.trailer)
            else:
                await self._whole(exchange, call)
        except asyncio.CancelledError:
            if not departure.gone:
                raise
        finally:
            departure.over()

    def _prepare(
        self, endpoint: Endpoint, request: ModelRequest, origin: Origin, principal: Principal
    ) -> Call:
        context = context_of(origin, principal)
        if not is_task(request.model):
            return Call(endpoint, request, context, cache=origin.cache)
        return self._tasks.prepare(
            self._snapshot.current, endpoint, request, origin.inputs, context, cache=origin.cache
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
        await exchange.respond(200, answer.response.raw)

    async def _stream(self, exchange: Exchange, call: Call, *, wants_trailer: bool) -> None:
        answer = await self._caller.stream(call)
        try:
            label(
                exchange,
                call.context,
                answer.trace_id,
                answer.upstream_ns,
                model=answer.model,
                cache=answer.cache,
            )
            await exchange.start_events()
            async for event in answer.events():
                if event.raw is not None:
                    await exchange.write(encode_event(event.raw))
        finally:
            await answer.aclose()
        await exchange.write((trailer(answer) if wants_trailer else b"") + _DONE, more=False)

    async def _models(self, exchange: Exchange, principal: Principal) -> None:
        names = self._listed(principal)
        page = {"object": "list", "data": [_card(name) for name in names]}
        await exchange.respond(
            200, msgspec.json.encode(model_page(names) if speaks_anthropic(exchange) else page)
        )

    async def _model(self, exchange: Exchange, principal: Principal) -> None:
        name = exchange.path.removeprefix("/v1/models/")
        if name not in self._listed(principal):
            raise NotFound(
                f"The model {name!r} does not exist", param="model", hint="GET /v1/models lists them."
            )
        card = model_card(name) if speaks_anthropic(exchange) else _card(name)
        await exchange.respond(200, msgspec.json.encode(card))

    def _listed(self, principal: Principal) -> list[str]:
        return [*sorted(self._caller.models), *self._tasks.names(self._snapshot.current, principal.project)]

    def _unrouted(self, exchange: Exchange) -> tuple[str, Callable[[Exchange, Principal], Awaitable[None]]]:
        if exchange.path.startswith("/v1/models/"):
            return "GET", self._model
        if (found := self.resources.find(exchange)) is not None:
            return exchange.method, found
        raise NotFound(f"{exchange.path} does not exist", hint=f"Served here: {', '.join(self.routes)}.")


async def _decoded(endpoint: Endpoint, body: bytes) -> ModelRequest:
    """A large body is read in a thread, so that other calls go on meanwhile."""
    decode = _DECODERS[endpoint]
    return decode(body) if len(body) < LARGE_BODY_BYTES else await asyncio.to_thread(decode, body)


def _card(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "assay"}
