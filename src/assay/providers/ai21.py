"""AI21: the chat of the Jamba models.

[providers.ai21]
type = "ai21"
api_key = "env:AI21_API_KEY"
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from assay.errors import BadRequest, Upstream, UpstreamCut
from assay.kit.clock import SYSTEM, Clock
from assay.providers.completions import CompletionsOverChat
from assay.providers.openai import failed, refusal
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
from assay.wire.ai21_chat import as_ai21_body, decode_ai21, decode_ai21_chunk
from assay.wire.openai_chat import UNREADABLE, StreamError
from assay.wire.requests import ChatRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.sse import SseDecoder

BASE_URL = "https://api.ai21.com/studio/v1"


class AI21Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`."""

    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "AI21Provider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not."""
    read_options(config, AI21Options)
    return AI21Provider(
        name=config.name,
        base_url=config.base_url or BASE_URL,
        api_key=config.api_key,
        transport=transport,
    )


class AI21Provider:
    """AI21's chat at `base_url`, which ends before `/chat/completions`."""

    type = "ai21"

    def __init__(
        self, *, name: str, base_url: str, api_key: str | None, transport: Transport, clock: Clock = SYSTEM
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._clock = clock
        key = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions":
            return await CompletionsOverChat(self).complete(request)
        response = await self._send(request, stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise refusal(self.name, response, body, self._clock)
        try:
            return decode_ai21(body, model=request.model, created=self._now_s())
        except (*UNREADABLE, BadRequest) as error:
            raise Upstream(f"{self.name} answered with something that is no completion: {error}") from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. A line that cannot be read becomes a `malformed` event; the answer goes on."""
        is_chat = request.endpoint != "completions"
        chunks = self._chunks(request) if is_chat else CompletionsOverChat(self).stream(request)
        async with aclosing(chunks) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        return await probed(self._transport, f"{self._base_url}/models", self._headers)

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def _chunks(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        response = await self._send(request, stream=True)
        created, complete, decoder = self._now_s(), False, SseDecoder()
        try:
            if response.status >= 300:
                raise refusal(self.name, response, await response.read(), self._clock)
            async for chunk in response.chunks():
                for data in decoder.feed(chunk):
                    if data == b"[DONE]":
                        return
                    for event in self._events(data, request, created):
                        complete = complete or event.finish_reason is not None
                        yield event
            if not complete:
                raise UpstreamCut(f"{self.name} closed the connection in the middle of its answer")
        except ValueError as error:
            raise UpstreamCut(f"{self.name} sent {error}") from error
        finally:
            await response.aclose()

    def _events(self, data: bytes, request: ProviderRequest, created: int) -> list[StreamEvent]:
        try:
            return decode_ai21_chunk(
                data, model=request.model, created=created, include_usage=request.request.include_usage
            )
        except UNREADABLE:
            return [StreamEvent(raw=None, malformed=True)]
        except StreamError as error:
            raise failed(self.name, error) from error

    async def _send(self, request: ProviderRequest, *, stream: bool) -> HttpResponse:
        sent = request.request
        assert isinstance(sent, ChatRequest), "the pipeline asks for nothing else"
        body = as_ai21_body(sent, model=request.model, stream=stream)
        url = f"{self._base_url}/chat/completions"
        return await self._transport.send(
            HttpRequest("POST", url, self._headers, body), request.timeouts, stream=stream
        )

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000
