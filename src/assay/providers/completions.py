"""`/v1/completions` for an upstream that only chats: the prompt is one user message, the answer's text the completion."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import BadRequest
from assay.providers.types import Provider, ProviderRequest
from assay.wire.messages import text_message
from assay.wire.openai_chat import encode_message
from assay.wire.requests import ChatRequest, CompletionRequest
from assay.wire.responses import Response, StreamEvent

_encode = msgspec.json.Encoder().encode
_UNSAYABLE = ("suffix", "echo", "best_of", "logprobs")
_NEUTRAL = (Raw(b"null"), Raw(b"false"), Raw(b"1"))
"""What asks for nothing. A `Raw` equals only another one."""


class CompletionsOverChat:
    """A provider whose completions are made of its chat."""

    def __init__(self, chat: Provider) -> None:
        self._chat = chat
        self.name = chat.name
        self.type = chat.type

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        response = await self._chat.complete(_as_chat(request))
        body: dict[str, Any] = msgspec.json.decode(response.raw)
        body["object"] = "text_completion"
        body["choices"] = [
            {
                "index": at,
                "text": choice.message.text,
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for at, choice in enumerate(response.choices)
        ]
        return msgspec.structs.replace(response, raw=_encode(body))

    async def stream(self, request: ProviderRequest) -> AsyncIterator[StreamEvent]:
        """See `Provider.stream`."""
        async for event in self._chat.stream(_as_chat(request)):
            yield (
                event if event.raw is None else msgspec.structs.replace(event, raw=_as_completion(event.raw))
            )

    async def aclose(self) -> None:
        """The chat provider is closed by its owner."""


def _as_chat(request: ProviderRequest) -> ProviderRequest:
    sent = request.request
    if isinstance(sent, ChatRequest):  # a task's: its variant is a chat already
        return ProviderRequest("chat", sent, request.model, request.timeouts)
    assert isinstance(sent, CompletionRequest)
    if not isinstance(sent.prompt, str):
        raise BadRequest(
            "This model takes one text as prompt", param="prompt", hint="Send a string, one request each."
        )
    for name in _UNSAYABLE:
        if sent.fields.get(name, _NEUTRAL[0]) not in _NEUTRAL:
            raise BadRequest(
                f"{name} cannot be honoured: this model only chats", param=name, hint=f"Leave {name!r} out."
            )
    message = text_message("user", sent.prompt)
    fields = {name: raw for name, raw in sent.fields.items() if name not in ("prompt", *_UNSAYABLE)}
    fields["messages"] = Raw(_encode([encode_message(message)]))
    chat = ChatRequest(
        model=sent.model,
        messages=(message,),
        stream=sent.stream,
        include_usage=sent.include_usage,
        fields=fields,
    )
    return ProviderRequest("chat", chat, request.model, request.timeouts)


def _as_completion(raw: bytes) -> bytes:
    chunk: dict[str, Any] = msgspec.json.decode(raw)
    chunk["object"] = "text_completion"
    chunk["choices"] = [
        {
            "index": choice.get("index", 0),
            "text": (choice.get("delta") or {}).get("content") or "",
            "logprobs": None,
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in chunk.get("choices", ())
    ]
    return _encode(chunk)
