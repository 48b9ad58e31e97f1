"""`/v1/responses`: OpenAI's Responses API, from whatever provider the model leads to.

What is kept of a conversation is kept here (`assay.responses`), never at an upstream: so it survives a fallback, a new key and
another vendor. A question that continues one is sent on with all that went before.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw

from assay.access import Principal
from assay.calls import Call, CallContext, Caller, StreamingAnswer
from assay.errors import AssayError, BadRequest, NotFound
from assay.files import Files
from assay.gateway.attachments import NAMES_FILE, put_files
from assay.gateway.calling import check_may_call, context_of, label, label_cost, trailer
from assay.gateway.exchange import Departure, Exchange
from assay.gateway.origin import Origin, read_origin
from assay.gateway.refusals import shape
from assay.kit import ids
from assay.responses import ResponseShelf, StoredResponse
from assay.snapshot import SnapshotSource
from assay.tasks.calling import TaskCalls, is_task
from assay.wire.requests import Fields
from assay.wire.responses_api import ResponsesRequest, decode_responses, with_items
from assay.wire.responses_api_answers import ENDS
from assay.wire.responses_api_to_chat import as_chat

LARGE_BODY_BYTES = 1 << 20
"""Read in a thread, so that other calls go on meanwhile."""
MOST_LISTED = 100
"""Items of one page."""

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(Fields)
_raws = msgspec.json.Decoder(list[Raw])
_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt", 404: "invalid_prompt"}


class Responses:
    """The endpoints."""

    def __init__(
        self,
        caller: Caller,
        tasks: TaskCalls,
        snapshot: SnapshotSource,
        shelf: ResponseShelf,
        files: Files,
        *,
        max_body_bytes: int,
    ) -> None:
        self._caller = caller
        self._tasks = tasks
        self._snapshot = snapshot
        self._shelf = shelf
        self._files = files
        self._max_body_bytes = max_body_bytes

    async def create(self, exchange: Exchange, principal: Principal) -> None:
        """A response, whole or streamed."""
        request, call, origin = await self._asked(exchange, principal)
        dress = Dress.of(request, call.context)
        if request.stream:
            await _watched(exchange, self._stream(exchange, call, dress, origin))
        else:
            await _watched(exchange, self._whole(exchange, call, dress))

    async def count(self, exchange: Exchange, principal: Principal) -> None:
        """The tokens of a response that is not made."""
        _, call, _ = await self._asked(exchange, principal)
        counted = await self._caller.count(call)
        exchange.out += (
            (b"x-assay-model", call.request.model.encode()),
            (b"x-assay-usage-source", counted.source.value.encode()),
        )
        said = {"object": "response.input_tokens", "input_tokens": counted.input_tokens}
        await exchange.respond(200, _encode(said))

    async def show(self, exchange: Exchange, principal: Principal) -> None:
        """One that was kept."""
        check_may_call(principal)
        found = await self._shelf.get(principal.project, _id_in(exchange.path))
        await exchange.respond(200, found.body.encode())

    async def remove(self, exchange: Exchange, principal: Principal) -> None:
        """Let go of one. A conversation that builds on it cannot go on."""
        check_may_call(principal)
        id = _id_in(exchange.path)
        await self._shelf.remove(principal.project, id)
        await exchange.respond(200, _encode({"id": id, "object": "response", "deleted": True}))

    async def items(self, exchange: Exchange, principal: Principal) -> None:
        """What the model was given: the items of the question, after those of the conversation before."""
        check_may_call(principal)
        found = await self._shelf.conversation(principal.project, _id_in(exchange.path))
        items = [*_before(found[:-1]), *_raws.decode(found[-1].items)]
        listed = [_listed(raw, f"{found[-1].id}-{at}") for at, raw in enumerate(items)]
        await exchange.respond(200, _encode(_page(listed, exchange.query)))

    async def cancel(self, exchange: Exchange, principal: Principal) -> None:
        """Only what runs in the background could be cancelled, and nothing does."""
        check_may_call(principal)
        await self._shelf.get(principal.project, _id_in(exchange.path))
        raise BadRequest(
            "Only responses that run in the background can be cancelled, and none do here",
            hint="Close the connection to stop a response.",
        )

    async def _asked(self, exchange: Exchange, principal: Principal) -> tuple[ResponsesRequest, Call, Origin]:
        """The request as it came, and the call that it amounts to: with the conversation before it and the files it names."""
        check_may_call(principal)
        body = await exchange.body(self._max_body_bytes)
        request = (
            decode_responses(body)
            if len(body) < LARGE_BODY_BYTES
            else await asyncio.to_thread(decode_responses, body)
        )
        origin = read_origin(exchange.headers, request.assay, principal)
        exchange.trace_id = origin.trace_id
        asked = await continued(request, self._shelf, principal.project)
        if any(NAMES_FILE in bytes(item) for item in asked.items):
            earlier = len(asked.items) - len(request.items)
            put = partial(put_files, asked.items, self._files, principal.project, self._max_body_bytes)
            asked = with_items(asked, await asyncio.to_thread(put), earlier=earlier)
        context = context_of(origin, principal)
        return request, prepare(self._tasks, self._snapshot, asked, origin.inputs, context), origin

    async def _whole(self, exchange: Exchange, call: Call, dress: "Dress") -> None:
        answer = await self._caller.complete(call)
        span = answer.span
        body = await self._kept(dress, answer.response.raw)
        label(
            exchange,
            call.context,
            span.trace_id,
            answer.upstream_ns,
            model=answer.model,
            kept=answer.kept,
        )
        label_cost(exchange, span)
        await exchange.respond(200, body)

    async def _stream(self, exchange: Exchange, call: Call, dress: "Dress", origin: Origin) -> None:
        """The last event acknowledges the answer, so it goes out when the span, and the answer if wished, are kept."""
        answer = await self._caller.stream(call)
        told = _Told(dress)
        try:
            label(exchange, call.context, answer.trace_id, answer.upstream_ns, model=answer.model)
            await exchange.start_events()
            async for event in answer.events():
                if event.raw is not None and (framed := told.framed(event.raw)):
                    await exchange.write(framed)
        except AssayError as error:
            await exchange.write(told.failed(error), more=False)
            return
        finally:
            await answer.aclose()
        await self._end(exchange, told, answer, wants_trailer=origin.trailer)

    async def _end(
        self, exchange: Exchange, told: "_Told", answer: StreamingAnswer, *, wants_trailer: bool
    ) -> None:
        last = b""
        if told.ending is not None:
            kind, fields = told.ending
            fields["response"] = Raw(await self._kept(told.dress, bytes(fields["response"])))
            last = _frame(kind, _encode(fields))
        await exchange.write(last + (trailer(answer) if wants_trailer else b""), more=False)

    async def _kept(self, dress: "Dress", body: bytes) -> bytes:
        """The answer as the client gets it, kept if that was wished."""
        if not dress.changes:
            return body
        dressed = dress.on(body)
        if not dress.store or await self._shelf.keep(dress.stored(dressed)):
            return dressed
        return msgspec.structs.replace(dress, store=False).on(body)


async def continued(request: ResponsesRequest, shelf: ResponseShelf, project: str) -> ResponsesRequest:
    """The request with all that went before it. Raises `NotFound`."""
    if request.previous_response_id is None:
        return request
    earlier = _before(await shelf.conversation(project, request.previous_response_id))
    return with_items(request, (*earlier, *request.items), earlier=len(earlier))


def prepare(
    tasks: TaskCalls,
    snapshot: SnapshotSource,
    request: ResponsesRequest,
    inputs: Any,
    context: CallContext,
) -> Call:
    """A task's variant is written in the chat format: what the client sends beside its items joins it there."""
    if not is_task(request.model):
        return Call("responses", request, context)
    return tasks.prepare(snapshot.current, "responses", as_chat(request), inputs, context)


def _before(turns: Sequence[StoredResponse]) -> list[Raw]:
    return [item for turn in turns for raw in (turn.items, turn.output) for item in _raws.decode(raw)]


class Dress(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of itself that only the gateway knows."""

    id: str
    previous_id: str | None
    store: bool
    items: tuple[Raw, ...]
    metadata: Raw
    project: str
    user: str | None

    @classmethod
    def of(cls, request: ResponsesRequest, context: CallContext) -> "Dress":
        """For the answer to a request, before it was continued."""
        metadata = request.fields.get("metadata")
        return cls(
            id=f"resp_{ids.uuid7_hex()}",
            previous_id=request.previous_response_id,
            store=request.store,
            items=request.items,
            metadata=Raw(b"{}") if metadata is None or metadata == Raw(b"null") else metadata,
            project=context.project,
            user=context.user,
        )

    @property
    def changes(self) -> bool:
        """An answer that is neither kept nor continues another goes out as it is."""
        return self.store or self.previous_id is not None

    def on(self, body: bytes | Raw) -> bytes:
        """The answer, saying it."""
        fields = _fields.decode(body)
        fields["id"] = Raw(_encode(self.id))
        fields["previous_response_id"] = Raw(_encode(self.previous_id))
        fields["store"] = Raw(_encode(self.store))
        fields["metadata"] = self.metadata
        return _encode(fields)

    def stored(self, body: bytes) -> StoredResponse:
        """The answer as it is kept."""
        return StoredResponse(
            project=self.project,
            id=self.id,
            previous_id=self.previous_id,
            created_at_ns=time.time_ns(),
            user_id=self.user,
            items=_encode(self.items).decode(),
            output=bytes(_fields.decode(body).get("output", b"[]")).decode(),
            body=body.decode(),
        )


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str
    sequence_number: int = 0
    response: Raw | msgspec.UnsetType = msgspec.UNSET


_event = msgspec.json.Decoder(_Event)


class _Told:
    """What a stream has said so far: where its sequence is, and its last event, which is held back."""

    def __init__(self, dress: Dress) -> None:
        self.dress = dress
        self.ending: tuple[str, dict[str, Raw]] | None = None
        self._sequence = -1
        self._response: bytes = b'{"object":"response","output":[]}'

    def framed(self, raw: bytes) -> bytes | None:
        """An event as it goes out; None for the last one."""
        sent = _event.decode(raw)
        self._sequence = sent.sequence_number
        if sent.response is not msgspec.UNSET:
            self._response = bytes(sent.response)
            if sent.type in ENDS:
                self.ending = sent.type, _fields.decode(raw)
                return None
            if self.dress.changes:
                raw = _encode({**_fields.decode(raw), "response": Raw(self.dress.on(sent.response))})
        return _frame(sent.type, raw)

    def failed(self, error: AssayError) -> bytes:
        """The end of an answer that was cut: `response.failed`, and the `error` that makes OpenAI's clients raise."""
        said = msgspec.json.decode(shape(error))["error"]
        reason = {"code": _CODES.get(error.status, "server_error"), "message": said["message"]}
        body = self.dress.on(self._response) if self.dress.changes else self._response
        fields: dict[str, Any] = {**_fields.decode(body), "status": "failed", "error": reason, "store": False}
        failed = {
            "type": "response.failed",
            "sequence_number": self._sequence + 1,
            "response": fields,
        }
        last = {"type": "error", "sequence_number": self._sequence + 2, **said, "error": said}
        last["type"] = "error"
        return _frame("response.failed", _encode(failed)) + _frame("error", _encode(last))


def _frame(kind: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _id_in(path: str) -> str:
    return path.removeprefix("/v1/responses/").partition("/")[0]


class _Id(msgspec.Struct, frozen=True):
    id: str | None = None


_id = msgspec.json.Decoder(_Id)


def _listed(raw: Raw, id: str) -> tuple[str, Raw]:
    """An item with its id; a client's own items often have none."""
    given = _id.decode(raw).id
    if given is not None:
        return given, raw
    fields = {"type": Raw(b'"message"'), **_fields.decode(raw)}
    if fields["type"] == Raw(b'"message"') and bytes(fields.get("content", b"")).lstrip()[:1] == b'"':
        kind = "output_text" if fields.get("role") == Raw(b'"assistant"') else "input_text"
        fields["content"] = Raw(_encode([{"type": kind, "text": fields["content"]}]))
    return f"item_{id}", Raw(_encode({**fields, "id": f"item_{id}"}))


def _page(items: Sequence[tuple[str, Raw]], query: str) -> dict[str, Any]:
    asked = parse_qs(query)
    limit = _number(asked.get("limit", ["20"])[0])
    ordered = list(items) if asked.get("order") == ["asc"] else list(items)[::-1]
    if (after := asked.get("after", [None])[0]) is not None:
        places = [at for at, (id, _) in enumerate(ordered) if id == after]
        if not places:
            raise NotFound(f"There is no item {after!r} in this response", param="after")
        ordered = ordered[places[0] + 1 :]
    shown = ordered[:limit]
    return {
        "object": "list",
        "data": [raw for _, raw in shown],
        "first_id": shown[0][0] if shown else None,
        "last_id": shown[-1][0] if shown else None,
        "has_more": len(ordered) > limit,
    }


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LISTED:
        raise BadRequest(f"limit is {text!r}: it must be 1 to {MOST_LISTED}", param="limit")
    return int(text)


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
