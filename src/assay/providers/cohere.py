"""Cohere, version 2 of its API: chat, embeddings and reranking, asked and answered in OpenAI's formats.

[providers.cohere]
type = "cohere"
api_key = "env:COHERE_API_KEY"
input_type = "search_document"   # what embeddings are for, when a request's field `input_type` does not say
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import msgspec

from assay.errors import BadRequest, Upstream, UpstreamCut, UpstreamRefused
from assay.kit.clock import SYSTEM, Clock
from assay.providers.completions import CompletionsOverChat
from assay.providers.embeddings import LARGE_BODY_BYTES, asked_of, read_answer
from assay.providers.openai import refusal
from assay.providers.reranking import asked_to_rank, read_ranked
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
from assay.wire.as_cohere_request import as_cohere_fields
from assay.wire.as_cohere_rerank import as_rerank_body
from assay.wire.cohere_answers import CohereEvents, CohereFailed, decode_cohere
from assay.wire.cohere_embeddings import INPUT_TYPES, Embedded, as_embed_bodies, decode_embed, joined
from assay.wire.embeddings import EmbeddingResponse
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest
from assay.wire.rerank import RerankResponse
from assay.wire.responses import Response, StreamEvent
from assay.wire.sse import SseDecoder

BASE_URL = "https://api.cohere.com"
EMBEDDED_AT_ONCE = 4
"""Requests for the vectors of one request that is too long for Cohere."""

_encode = msgspec.json.Encoder().encode


class CohereOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`."""

    input_type: str = INPUT_TYPES[0]
    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "CohereProvider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not."""
    options = read_options(config, CohereOptions)
    if options.input_type not in INPUT_TYPES:
        raise BadRequest(
            f"providers.{config.name}.input_type is {options.input_type!r}",
            param=f"providers.{config.name}.input_type",
            hint=f"It is one of {', '.join(INPUT_TYPES)}.",
        )
    return CohereProvider(
        name=config.name,
        base_url=config.base_url or BASE_URL,
        api_key=config.api_key,
        transport=transport,
        input_type=options.input_type,
    )


class CohereProvider:
    """A server of Cohere's API at `base_url`, with or without the `/v2` at its end."""

    type = "cohere"

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str | None,
        transport: Transport,
        input_type: str = INPUT_TYPES[0],
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        self._root = base_url.rstrip("/").removesuffix("/v2")
        self._input_type = input_type
        self._transport = transport
        self._clock = clock
        key = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions":
            return await CompletionsOverChat(self).complete(request)
        body = await self._whole(request, "/v2/chat", self._chat_body(request, stream=False))
        try:
            return decode_cohere(body, model=request.model, created=self._now_s())
        except (*UNREADABLE, BadRequest) as error:
            raise Upstream(f"{self.name} answered with something that is no message: {error}") from error
        except CohereFailed as error:
            raise Upstream(f"{self.name} failed: {error}") from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. An event that cannot be read becomes a `malformed` one; the answer goes on."""
        is_chat = request.endpoint != "completions"
        chunks: AsyncIterator[StreamEvent] = (
            self._chunks(request) if is_chat else CompletionsOverChat(self).stream(request)
        )
        async with aclosing(chunks) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def embed(self, request: ProviderRequest) -> EmbeddingResponse:
        """See `EmbeddingProvider.embed`. More texts than Cohere takes at once are sent in several requests."""
        bodies = as_embed_bodies(asked_of(request), model=request.model, input_type=self._input_type)
        free = asyncio.Semaphore(EMBEDDED_AT_ONCE)

        async def embedded(body: bytes) -> Embedded:
            async with free:
                answer = await self._whole(request, "/v2/embed", body)
            try:
                if len(answer) < LARGE_BODY_BYTES:
                    return decode_embed(answer)
                return await asyncio.to_thread(decode_embed, answer)
            except UNREADABLE as error:
                raise Upstream(
                    f"{self.name} answered with something that is no embeddings: {error}"
                ) from error

        tasks = [asyncio.ensure_future(embedded(body)) for body in bodies]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        # Several answers are large together.
        whole = (
            joined(answers, model=request.model)
            if len(answers) == 1
            else await asyncio.to_thread(joined, answers, model=request.model)
        )
        return await read_answer(self.name, request, whole)

    async def rerank(self, request: ProviderRequest) -> RerankResponse:
        """See `RerankProvider.rerank`."""
        body = as_rerank_body(asked_to_rank(request), model=request.model)
        return read_ranked(self.name, request, await self._whole(request, "/v2/rerank", body))

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        return await probed(self._transport, f"{self._root}/v1/models", self._headers)

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def _chunks(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        body = self._chat_body(request, stream=True)
        response = await self._send(request, "/v2/chat", body, stream=True)
        reader = CohereEvents(
            model=request.model, created=self._now_s(), include_usage=request.request.include_usage
        )
        try:
            if response.status >= 300:
                raise refusal(self.name, response, await response.read(), self._clock)
            decoder = SseDecoder()
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

    def _read(self, reader: CohereEvents, data: bytes) -> Iterator[StreamEvent]:
        try:
            yield from reader.of(data)
        except UNREADABLE:
            yield StreamEvent(raw=None, malformed=True)
        except CohereFailed as error:
            raise UpstreamRefused(
                f"{self.name} failed in the middle of its answer: {error}", status=502, body=data
            ) from error

    def _chat_body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        sent = request.request
        assert isinstance(sent, ChatRequest), "the pipeline asks for nothing else"
        return _encode({"model": request.model, **as_cohere_fields(sent, stream=stream)})

    async def _whole(self, request: ProviderRequest, path: str, body: bytes) -> bytes:
        response = await self._send(request, path, body, stream=False)
        try:
            answer = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise refusal(self.name, response, answer, self._clock)
        return answer

    async def _send(self, request: ProviderRequest, path: str, body: bytes, *, stream: bool) -> HttpResponse:
        url = self._root + path
        return await self._transport.send(
            HttpRequest("POST", url, self._headers, body), request.timeouts, stream=stream
        )

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000
