"""Anthropic, and every server that speaks its Messages format.

A client of the same format is passed through: its own JSON with only the model's name edited, and its `anthropic-version` and
`anthropic-beta` headers, which say how the JSON is meant. A chat request of OpenAI's format is translated, and so is the
answer to it.

    [providers.claude]
    type = "anthropic"
    api_key = "env:ANTHROPIC_API_KEY"
    max_tokens = 8192           # for clients that set no limit; default: the most that the model can, if it is known
    version = "2023-06-01"      # for clients that do not say
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import msgspec
from msgspec import Raw

from assay.errors import BadRequest, Upstream, UpstreamCut, UpstreamRefused
from assay.kit.clock import SYSTEM, Clock
from assay.providers.completions import CompletionsOverChat
from assay.providers.openai import refusal
from assay.providers.types import (
    HttpRequest,
    HttpResponse,
    Probe,
    ProviderConfig,
    ProviderRequest,
    Transport,
    probed,
    read_options,
)
from assay.wire.anthropic import encode_fields
from assay.wire.anthropic_answers import (
    STATUS_OF,
    AnswerEvents,
    StreamError,
    decode_answer,
    decode_error,
)
from assay.wire.as_chat_answer import ChatEvents, as_chat_answer
from assay.wire.as_messages_request import as_messages_fields
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest, Fields, MessagesRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.sse import SseDecoder

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
"""For requests that were not written for a version. It takes `temperature`, which later ones refuse."""

MOST_TOKENS = (
    ("claude-3-7", 64_000),
    ("claude-3-5", 8_192),
    ("claude-3", 4_096),
    ("claude-2", 4_096),
    ("claude-opus-4-5", 64_000),
    *((f"claude-opus-4-{at}", 128_000) for at in (6, 7, 8)),
    ("claude-opus-4", 32_000),
    ("claude-sonnet-4-6", 128_000),
    ("claude-sonnet-4", 64_000),
    ("claude-haiku", 64_000),
    *((f"claude-{line}", 128_000) for line in ("opus", "sonnet", "fable", "mythos")),
)
"""The most tokens that a model makes at once, by the beginning of its name; the first that fits counts."""
MODEST = 4_096
"""The default for models that are not in the table."""

_COUNTED = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
)


class AnthropicOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`."""

    max_tokens: int | None = None
    version: str = VERSION
    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "AnthropicProvider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not."""
    options = read_options(config, AnthropicOptions)
    if options.max_tokens is not None and options.max_tokens < 1:
        raise BadRequest(
            f"providers.{config.name}.max_tokens is {options.max_tokens}: it must be 1 or more",
            param=f"providers.{config.name}.max_tokens",
        )
    return AnthropicProvider(
        name=config.name,
        base_url=config.base_url or BASE_URL,
        api_key=config.api_key,
        transport=transport,
        options=options,
    )


def most_tokens(model: str) -> int:
    """The most that a model can make at once, as far as it is known; else `MODEST`."""
    return next((most for beginning, most in MOST_TOKENS if model.startswith(beginning)), MODEST)


class AnthropicProvider:
    """A server of Anthropic's format at `base_url`, with or without the `/v1` at its end."""

    type = "anthropic"

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str | None,
        transport: Transport,
        options: AnthropicOptions | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        self._url = f"{base_url.rstrip('/').removesuffix('/v1')}/v1/messages"
        self._options = options or AnthropicOptions()
        self._transport = transport
        self._clock = clock
        key = (("x-api-key", api_key),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions":
            return await CompletionsOverChat(self).complete(request)
        body = await self._whole(self._url, request, self._fields(request))
        try:
            answer = decode_answer(body)
        except (*UNREADABLE, BadRequest) as error:
            raise Upstream(f"{self.name} answered with something that is not a message: {error}") from error
        return answer if request.endpoint == "messages" else as_chat_answer(answer, created=self._now_s())

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. An event that cannot be read becomes a `malformed` one; the answer goes on."""
        translated: AsyncIterator[StreamEvent]
        if request.endpoint == "completions":
            translated = CompletionsOverChat(self).stream(request)
        elif request.endpoint == "messages":
            translated = self._events(request)
        else:
            translated = self._chunks(request)
        async with aclosing(translated) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def count_tokens(self, request: ProviderRequest) -> int:
        """See `MessagesProvider.count_tokens`: Anthropic's own count."""
        fields = self._fields(request)
        if not isinstance(request.request, MessagesRequest):
            fields = {name: raw for name, raw in fields.items() if name in _COUNTED}
        body = await self._whole(f"{self._url}/count_tokens", request, fields)
        try:
            return msgspec.json.decode(body, type=_Count).input_tokens
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is no count: {error}") from error

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        version = ("anthropic-version", self._options.version)
        url = f"{self._url.removesuffix('/messages')}/models"
        return await probed(self._transport, url, (*self._headers, version))

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def _chunks(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        chunks = ChatEvents(created=self._now_s(), include_usage=_chat(request).include_usage)
        async with aclosing(self._events(request)) as events:
            async for event in events:
                if event.raw is None:
                    yield event
                    continue
                for chunk in _read(chunks, event):
                    yield chunk

    async def _events(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        fields = self._fields(request)
        response = await self._send(self._url, request, fields, stream=True)
        try:
            if response.status >= 300:
                raise refusal(self.name, response, await response.read(), self._clock)
            reader, decoder = AnswerEvents(), SseDecoder()
            async for chunk in response.chunks():
                for data in decoder.feed(chunk):
                    yield self._event(reader, data)
                    if reader.is_complete:
                        return
            raise UpstreamCut(f"{self.name} closed the connection in the middle of its answer")
        except ValueError as error:
            raise UpstreamCut(f"{self.name} sent {error}") from error
        finally:
            await response.aclose()

    def _event(self, reader: AnswerEvents, data: bytes) -> StreamEvent:
        try:
            return reader.decode(data)
        except UNREADABLE:
            return StreamEvent(raw=None, malformed=True)
        except StreamError as error:
            failure = decode_error(error.body)
            kind, said = (failure.type, failure.message) if failure else ("api_error", "no message")
            raise UpstreamRefused(
                f"{self.name} failed in the middle of its answer: {said}",
                status=STATUS_OF.get(kind, 502),
                body=error.body,
            ) from error

    async def _whole(self, url: str, request: ProviderRequest, fields: Fields) -> bytes:
        response = await self._send(url, request, fields, stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise refusal(self.name, response, body, self._clock)
        return body

    async def _send(
        self, url: str, request: ProviderRequest, fields: Fields, *, stream: bool
    ) -> HttpResponse:
        sent = request.request
        version, beta = (sent.version, sent.beta) if isinstance(sent, MessagesRequest) else (None, None)
        headers = (*self._headers, ("anthropic-version", version or self._options.version))
        if beta:
            headers = (*headers, ("anthropic-beta", beta))
        body = encode_fields(fields, model=request.model)
        return await self._transport.send(
            HttpRequest("POST", url, headers, body), request.timeouts, stream=stream
        )

    def _fields(self, request: ProviderRequest) -> Fields:
        sent = _chat(request)
        if isinstance(sent, MessagesRequest):
            return sent.fields
        most = self._options.max_tokens or most_tokens(request.model)
        return {"model": Raw(b'""'), **as_messages_fields(sent, max_tokens=most)}

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000


class _Count(msgspec.Struct, frozen=True):
    input_tokens: int


def _chat(request: ProviderRequest) -> ChatRequest:
    assert isinstance(request.request, ChatRequest), "the pipeline asks for nothing else"
    return request.request


def _read(chunks: ChatEvents, event: StreamEvent) -> Iterator[StreamEvent]:
    try:
        yield from chunks.of(event)
    except UNREADABLE:
        yield StreamEvent(raw=None, malformed=True)
