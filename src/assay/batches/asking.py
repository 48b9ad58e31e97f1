"""One line of a batch: from the body of a request to a status and the body of an answer, as its endpoint would have given."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from assay.calls import Call, CallContext, Caller
from assay.errors import AssayError, BadRequest, UpstreamRefused
from assay.snapshot import SnapshotSource
from assay.tasks.calling import TaskCalls, is_task
from assay.wire.embeddings import decode_embedding
from assay.wire.moderations import decode_moderation
from assay.wire.openai_chat import UNREADABLE, decode_chat, decode_completion
from assay.wire.requests import AssayFields
from assay.wire.responses_api import ResponsesRequest, decode_responses
from assay.wire.responses_api_to_chat import as_chat
from assay.wire.spans import Span
from assay.wire.usage import Usage

_encode = msgspec.json.Encoder().encode
_FALSE = Raw(b"false")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, whole, with what it took."""

    status_code: int
    body: bytes
    usage: dict[str, int] | None = None
    cost_usd: Decimal | None = None


class Asking:
    """Makes the calls of lines."""

    def __init__(self, caller: Caller, tasks: TaskCalls, snapshot: SnapshotSource) -> None:
        self._caller = caller
        self._tasks = tasks
        self._snapshot = snapshot

    def known(self, project: str, model: str) -> str | None:
        """What is wrong with a model's name; None when there is such a model or task."""
        if is_task(model):
            is_there = model in self._tasks.names(self._snapshot.current, project)
            return None if is_there else f"There is no task {model.partition(':')[2]!r}"
        return None if model in self._caller.models else f"The model {model!r} does not exist"

    async def ask(self, endpoint: str, body: bytes, context: CallContext) -> Said:
        """Make the call. Raises what the pipeline raises."""
        match endpoint:
            case "/v1/embeddings":
                vectors = await self._caller.embed(Call("embeddings", decode_embedding(body), context))
                return _said(vectors.response.raw, vectors.span)
            case "/v1/moderations":
                seen = await self._caller.moderate(Call("moderations", decode_moderation(body), context))
                return _said(seen.response.raw, seen.span)
            case _:
                answer = await self._caller.complete(self._call(endpoint, body, context))
                return _said(answer.response.raw, answer.span)

    def _call(self, endpoint: str, body: bytes, context: CallContext) -> Call:
        if endpoint == "/v1/completions":
            completion = decode_completion(body)
            if not is_task(completion.model):
                return Call("completions", completion, context)
            return self._of_task("completions", completion, completion.assay, context)
        if endpoint == "/v1/responses":
            response = _stateless(decode_responses(body))
            if not is_task(response.model):
                return Call("responses", response, context)
            return self._of_task("responses", as_chat(response), response.assay, context)
        chat = decode_chat(body)
        if not is_task(chat.model):
            return Call("chat", chat, context)
        return self._of_task("chat", chat, chat.assay, context)

    def _of_task(self, endpoint: Any, request: Any, fields: AssayFields | None, context: CallContext) -> Call:
        inputs: Mapping[str, Any] | None = None if fields is None else fields.inputs
        return self._tasks.prepare(self._snapshot.current, endpoint, request, inputs, context)


def refused(error: AssayError) -> Said:
    """An answer that is an error, in OpenAI's shape."""
    if isinstance(error, UpstreamRefused):
        try:
            theirs = msgspec.json.decode(error.body).get("error")
        except (*UNREADABLE, AttributeError):
            theirs = None
        if isinstance(theirs, dict) and isinstance(theirs.get("message"), str):
            return Said(status_code=error.status, body=_encode({"error": theirs}))
    message = f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message
    body = {"message": message, "type": error.type, "param": error.param, "code": None}
    return Said(status_code=error.status, body=_encode({"error": body}))


def _stateless(request: ResponsesRequest) -> ResponsesRequest:
    """Lines are asked in no order, so none can go on where another was; and what they answer lies in the output."""
    if request.previous_response_id is not None:
        raise BadRequest(
            "A line of a batch cannot continue a conversation",
            param="previous_response_id",
            hint="Send the earlier items in input.",
        )
    return msgspec.structs.replace(request, store=False, fields={**request.fields, "store": _FALSE})


def _said(raw: bytes, span: Span) -> Said:
    return Said(status_code=200, body=raw, usage=_counts(span.usage), cost_usd=span.cost_usd)


def _counts(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.total_input,
        "cached_tokens": usage.cache_read,
        "output_tokens": usage.total_output,
        "reasoning_tokens": usage.reasoning,
    }
