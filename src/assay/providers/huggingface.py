"""Hugging Face: the Inference Providers behind its router, and servers of text-generation-inference.

[providers.hf]
type = "huggingface"
api_key = "env:HF_TOKEN"              # chat by the router; vectors by feature extraction

[providers.mine]
type = "huggingface"
api = "tgi"                           # a server of text-generation-inference
base_url = "http://127.0.0.1:8080"    # completions by its own /generate, chat by its route of OpenAI's format
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal
from urllib.parse import quote

import msgspec

from assay.errors import BadRequest, Upstream, UpstreamCut
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.providers.completions import CompletionsOverChat
from assay.providers.embeddings import LARGE_BODY_BYTES, asked_of, read_answer
from assay.providers.openai import OpenAIProvider, failed, refusal
from assay.providers.profiles import PROFILES
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
from assay.wire.embeddings import EmbeddingResponse
from assay.wire.feature_extraction import as_embeddings, as_feature_body
from assay.wire.openai_chat import UNREADABLE, StreamError
from assay.wire.requests import CompletionRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.sse import SseDecoder
from assay.wire.tgi import GenerateEvents, as_generate_body, decode_generated

BASE_URL = "https://router.huggingface.co/v1"


class HuggingFaceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`."""

    api: Literal["router", "tgi"] = "router"
    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "RouterProvider | TgiProvider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not."""
    where = f"providers.{config.name}"
    options = read_options(config, HuggingFaceOptions)
    if options.api == "router":
        return RouterProvider(
            name=config.name,
            base_url=config.base_url or BASE_URL,
            api_key=config.api_key,
            transport=transport,
        )
    if config.base_url is None:
        raise BadRequest(
            f"{where}.base_url is missing",
            param=f"{where}.base_url",
            hint='Say the server\'s address, e.g. "http://127.0.0.1:8080".',
        )
    return TgiProvider(
        name=config.name, base_url=config.base_url, api_key=config.api_key, transport=transport
    )


class RouterProvider:
    """The router at `base_url`, which ends in `/v1`: chat in OpenAI's format, vectors of the models that Hugging Face serves
    itself."""

    type = "huggingface"

    def __init__(
        self, *, name: str, base_url: str, api_key: str | None, transport: Transport, clock: Clock = SYSTEM
    ) -> None:
        self.name = name
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._transport = transport
        self._clock = clock
        key = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)
        self._chat = OpenAIProvider(
            name=name, base_url=f"{self._root}/v1", api_key=api_key, transport=transport, clock=clock
        )

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions":
            return await CompletionsOverChat(self).complete(request)
        return await self._chat.complete(request)

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`."""
        is_chat = request.endpoint != "completions"
        chunks = self._chat.stream(request) if is_chat else CompletionsOverChat(self).stream(request)
        async with aclosing(chunks) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def embed(self, request: ProviderRequest) -> EmbeddingResponse:
        """See `EmbeddingProvider.embed`. Nobody counts the tokens."""
        asked = asked_of(request)
        model = quote(request.model, safe="/")
        url = f"{self._root}/hf-inference/models/{model}/pipeline/feature-extraction"
        response = await self._transport.send(
            HttpRequest("POST", url, self._headers, as_feature_body(asked)), request.timeouts, stream=False
        )
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise refusal(self.name, response, body, self._clock)
        try:
            if len(body) < LARGE_BODY_BYTES:
                answer = as_embeddings(body, asked, model=request.model)
            else:
                answer = await asyncio.to_thread(as_embeddings, body, asked, model=request.model)
        except UNREADABLE as error:
            raise Upstream(
                f"{self.name} answered with something that is no vector a text: {error}"
            ) from error
        return await read_answer(self.name, request, answer)

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        return await self._chat.probe()

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""


class TgiProvider:
    """A server of text-generation-inference at `base_url`, with or without a `/v1` at its end."""

    type = "huggingface"

    def __init__(
        self, *, name: str, base_url: str, api_key: str | None, transport: Transport, clock: Clock = SYSTEM
    ) -> None:
        self.name = name
        self.limit_field = PROFILES["tgi"].limit_field
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._transport = transport
        self._clock = clock
        key = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)
        self._chat = OpenAIProvider(
            name=name,
            base_url=f"{self._root}/v1",
            api_key=api_key,
            transport=transport,
            clock=clock,
            profile=PROFILES["tgi"],
        )

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        sent = request.request
        if not isinstance(sent, CompletionRequest):
            return await self._chat.complete(request)
        response = await self._send(request, "/generate", as_generate_body(sent), stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise refusal(self.name, response, body, self._clock)
        try:
            return decode_generated(
                body, sent, response.headers, id=_id(), model=request.model, created=self._now_s()
            )
        except (*UNREADABLE, IndexError) as error:
            raise Upstream(f"{self.name} answered with something that is no text: {error}") from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. A line that cannot be read becomes a `malformed` event; the answer goes on."""
        sent = request.request
        is_chat = not isinstance(sent, CompletionRequest)
        async with aclosing(self._chat.stream(request) if is_chat else self._generated(request)) as events:
            async for event in events:
                yield event

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        return await probed(self._transport, f"{self._root}/info", self._headers)

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def _generated(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        sent = request.request
        assert isinstance(sent, CompletionRequest)
        response = await self._send(request, "/generate_stream", as_generate_body(sent), stream=True)
        reader = GenerateEvents(sent, id=_id(), model=request.model, created=self._now_s())
        decoder = SseDecoder()
        try:
            if response.status >= 300:
                raise refusal(self.name, response, await response.read(), self._clock)
            async for chunk in response.chunks():
                for data in decoder.feed(chunk):
                    for event in self._read(reader, data):
                        yield event
                    if reader.is_complete:
                        return
            raise UpstreamCut(f"{self.name} closed the connection in the middle of its answer")
        except ValueError as error:
            raise UpstreamCut(f"{self.name} sent {error}") from error
        finally:
            await response.aclose()

    def _read(self, reader: GenerateEvents, data: bytes) -> list[StreamEvent]:
        try:
            return reader.of(data)
        except UNREADABLE:
            return [StreamEvent(raw=None, malformed=True)]
        except StreamError as error:
            raise failed(self.name, error) from error

    async def _send(self, request: ProviderRequest, path: str, body: bytes, *, stream: bool) -> HttpResponse:
        url = self._root + path
        return await self._transport.send(
            HttpRequest("POST", url, self._headers, body), request.timeouts, stream=stream
        )

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000


def _id() -> str:
    return f"cmpl-{ids.uuid7_hex()}"
