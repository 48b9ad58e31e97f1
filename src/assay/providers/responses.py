"""`/v1/responses`: for an upstream of OpenAI's that has it, and over the chat of any other."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, runtime_checkable

import msgspec
from msgspec import Raw

from assay.errors import Upstream
from assay.providers.types import MessagesProvider, Provider, ProviderRequest
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.responses_api import OWN_THINKING, ResponsesRequest
from assay.wire.responses_api_from_chat import ResponsesEvents, as_responses_answer
from assay.wire.responses_api_to_chat import as_chat

_encode = msgspec.json.Encoder().encode
_FALSE = Raw(b"false")


@runtime_checkable
class ResponsesProvider(Provider, Protocol):
    """A provider that may speak this format itself: `has_responses` says whether it does where the model says nothing."""

    has_responses: bool


class ResponsesOverChat:
    """A provider whose responses are made of its chat."""

    def __init__(self, chat: Provider) -> None:
        self._chat = chat
        self.name = chat.name
        self.type = chat.type

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`. Raises `BadRequest` for what a chat cannot be asked."""
        answer = await self._chat.complete(self._as_chat(request))
        if not answer.choices:
            raise Upstream(f"{self.name} answered without a message")
        return as_responses_answer(answer, _asked(request), created=int(time.time()))

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`."""
        events = ResponsesEvents(_asked(request), created=int(time.time()))
        chunks = self._chat.stream(self._as_chat(request))
        async with aclosing(chunks):  # type: ignore[type-var]
            async for chunk in chunks:
                if chunk.malformed:
                    yield chunk
                    continue
                try:
                    for event in events.of(chunk):
                        yield event
                except UNREADABLE:
                    yield StreamEvent(raw=None, malformed=True)
        for event in events.end():
            yield event

    async def aclose(self) -> None:
        """The chat provider is closed by its owner."""

    def _as_chat(self, request: ProviderRequest) -> ProviderRequest:
        sent: ChatRequest = _asked(request)
        if isinstance(sent, ResponsesRequest):
            sent = as_chat(
                sent,
                limit=getattr(self._chat, "limit_field", "max_tokens"),
                keeps_thinking=isinstance(self._chat, MessagesProvider),
            )
        return ProviderRequest("chat", sent, request.model, request.timeouts)


def encode_responses_request(request: ResponsesRequest, *, model: str) -> bytes:
    """The body for an upstream of this format: the client's fields letter for letter, but for the model's name and for what
    Assay keeps itself. With `store` off an upstream knows no reasoning of earlier answers but what comes with its encrypted content;
    and that of another vendor it cannot read."""
    fields = {name: raw for name, raw in request.fields.items() if name not in _OURS}
    reasons = fields.get("reasoning", Raw(b"null")) != Raw(b"null")
    if request.store and reasons:
        included = msgspec.json.decode(fields.get("include", b"null")) or []
        fields["include"] = Raw(_encode(list(dict.fromkeys([*included, "reasoning.encrypted_content"]))))
    fields |= {
        "model": Raw(_encode(model)),
        "input": Raw(_encode([item for item in request.items if _is_known_upstream(item)])),
        "store": _FALSE,
    }
    return _encode(fields)


_OURS = ("assay", "previous_response_id", "conversation")


class _Item(msgspec.Struct, frozen=True):
    type: str | None = None
    encrypted_content: str | None = None


_item = msgspec.json.Decoder(_Item)


def _is_known_upstream(raw: Raw) -> bool:
    sent = _item.decode(raw)
    sealed = sent.encrypted_content
    return sent.type != "reasoning" or (sealed is not None and not sealed.startswith(OWN_THINKING))


def _asked(request: ProviderRequest) -> ChatRequest:
    assert isinstance(request.request, ChatRequest), "the endpoint takes a conversation"
    return request.request
