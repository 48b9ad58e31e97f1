"""`/v1/messages` for an upstream that speaks OpenAI's chat format: the request is translated, and so is what comes back."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Protocol, runtime_checkable

from assay.errors import Upstream
from assay.providers.types import CountingProvider, Provider, ProviderRequest
from assay.wire.as_chat_request import as_chat_request
from assay.wire.as_messages_answer import MessagesEvents, UnusableCalls, as_messages_answer
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest, MessagesRequest
from assay.wire.responses import Response, StreamEvent


@runtime_checkable
class ReadsMessages(Protocol):
    """A provider whose chat takes a `MessagesRequest` as it is, and answers it as a chat."""

    reads_messages: ClassVar[bool]


class MessagesOverChat:
    """A provider whose Messages are made of its chat."""

    def __init__(self, chat: Provider) -> None:
        self._chat = chat
        self.name = chat.name
        self.type = chat.type

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`. Raises `BadRequest` for what a chat cannot be asked."""
        answer = await self._chat.complete(self._as_chat(request))
        if not answer.choices:
            raise Upstream(f"{self.name} answered without a message")
        try:
            return as_messages_answer(answer)
        except UnusableCalls as error:
            raise Upstream(f"{self.name} answered with {error}") from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`."""
        events = MessagesEvents()
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
                except UnusableCalls as error:
                    raise Upstream(f"{self.name} sent {error}") from error
        for event in events.end():
            yield event

    async def count_chat(self, request: ProviderRequest) -> int | None:
        """See `CountingProvider.count_chat`."""
        chat = self._chat
        return await chat.count_chat(self._as_chat(request)) if isinstance(chat, CountingProvider) else None

    async def aclose(self) -> None:
        """The chat provider is closed by its owner."""

    def _as_chat(self, request: ProviderRequest) -> ProviderRequest:
        sent = request.request
        assert isinstance(sent, ChatRequest), "the endpoint takes messages"
        if isinstance(sent, MessagesRequest) and not isinstance(self._chat, ReadsMessages):
            sent = as_chat_request(sent, limit=getattr(self._chat, "limit_field", "max_tokens"))
        return ProviderRequest("chat", sent, request.model, request.timeouts)
