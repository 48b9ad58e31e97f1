"""Google's Gemini, through its own `generateContent` and `batchEmbedContents`.

[providers.google]
type = "gemini"
api_key = "env:GEMINI_API_KEY"
include_thoughts = true     # ask for summaries of the thinking where the client does not say; default: false
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from assay.errors import Upstream, UpstreamCut, UpstreamRefused
from assay.kit.clock import SYSTEM, Clock
from assay.providers.completions import CompletionsOverChat
from assay.providers.embeddings import asked_of, check_dimensions
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
from assay.wire.as_gemini_request import as_gemini_body
from assay.wire.embeddings import EmbeddingResponse, encode_embeddings
from assay.wire.gemini_answers import GeminiChunks, NoAnswer, StreamError, decode_gemini
from assay.wire.gemini_embeddings import Vectors, decode_batch, encode_batches
from assay.wire.gemini_turns import Signatures
from assay.wire.messages_as_gemini import messages_as_gemini
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest, MessagesRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.sse import SseDecoder
from assay.wire.usage import Usage

BASE_URL = "https://generativelanguage.googleapis.com/v1beta"


class GeminiOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`."""

    include_thoughts: bool = False
    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "GeminiProvider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not."""
    options = read_options(config, GeminiOptions)
    return GeminiProvider(
        name=config.name,
        base_url=config.base_url or BASE_URL,
        api_key=config.api_key,
        transport=transport,
        options=options,
    )


class GeminiProvider:
    """A server of Gemini's format at `base_url`, which ends in the version of the API."""

    type = "gemini"
    reads_messages: ClassVar = True

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str | None,
        transport: Transport,
        options: GeminiOptions | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._options = options or GeminiOptions()
        self._transport = transport
        self._clock = clock
        self._signatures = Signatures()
        key = (("x-goog-api-key", api_key),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions":
            return await CompletionsOverChat(self).complete(request)
        body = await self._whole(request, "generateContent", self._body(request))
        try:
            return decode_gemini(body, created=self._now_s(), keep=self._signatures.keep)
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is not an answer: {error}") from error
        except NoAnswer as error:
            raise Upstream(f"{self.name} answered without an answer: {error}") from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. An event that cannot be read becomes a `malformed` one; the answer goes on."""
        made: AsyncIterator[StreamEvent] = self._events(request)
        if request.endpoint == "completions":
            made = CompletionsOverChat(self).stream(request)
        async with aclosing(made) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def embed(self, request: ProviderRequest) -> EmbeddingResponse:
        """See `EmbeddingProvider.embed`. More texts than Gemini takes at once go in several requests, one after the other."""
        asked = asked_of(request)
        vectors: list[Any] = []
        tokens: int | None = 0
        for body in encode_batches(asked, model=_path(request.model)):
            batch = self._batch(await self._whole(request, "batchEmbedContents", body))
            vectors += batch.vectors
            tokens = None if tokens is None or batch.tokens is None else tokens + batch.tokens
        if len(vectors) != len(asked.inputs):
            raise Upstream(f"{self.name} answered with {len(vectors)} vectors for {len(asked.inputs)} inputs")
        check_dimensions(asked, len(vectors[0]), self.name)
        raw = encode_embeddings(
            vectors, model=request.model, tokens=tokens, encoding_format=asked.encoding_format
        )
        return EmbeddingResponse(
            raw=raw,
            count=len(vectors),
            dimensions=len(vectors[0]),
            model=request.model,
            usage=None if tokens is None else Usage(input=tokens),
        )

    async def count_chat(self, request: ProviderRequest) -> int:
        """See `CountingProvider.count_chat`."""
        fields = msgspec.json.decode(self._body(request), type=dict[str, msgspec.Raw])
        asked = {"generateContentRequest": {"model": _path(request.model), **fields}}
        body = await self._whole(request, "countTokens", msgspec.json.encode(asked))
        try:
            return msgspec.json.decode(body, type=_Count).total_tokens
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is no count: {error}") from error

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        return await probed(self._transport, f"{self._base_url}/models", self._headers)

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def _events(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        reader = GeminiChunks(
            created=self._now_s(),
            include_usage=bool(request.request.include_usage),
            keep=self._signatures.keep,
        )
        body = self._body(request)
        response = await self._send(request, "streamGenerateContent?alt=sse", body, stream=True)
        try:
            if response.status >= 300:
                raise google_refusal(self.name, response, await response.read(), self._clock)
            decoder = SseDecoder()
            try:
                async for chunk in response.chunks():
                    for data in decoder.feed(chunk):
                        for event in self._read(reader, data):
                            yield event
                for data in decoder.finish():
                    for event in self._read(reader, data):
                        yield event
            except UpstreamCut:
                if not reader.is_complete:
                    raise
            if not reader.is_complete:
                raise UpstreamCut(f"{self.name} closed the connection in the middle of its answer")
            for event in reader.end():
                yield event
        except ValueError as error:
            raise UpstreamCut(f"{self.name} sent {error}") from error
        finally:
            await response.aclose()

    def _read(self, reader: GeminiChunks, data: bytes) -> list[StreamEvent]:
        made: list[StreamEvent] = []
        try:
            made.extend(reader.of(data))
        except UNREADABLE:
            made.append(StreamEvent(raw=None, malformed=True))
        except NoAnswer as error:
            raise Upstream(f"{self.name} ended without an answer: {error}") from error
        except StreamError as error:
            failure = read_google_error(error.body)
            raise UpstreamRefused(
                f"{self.name} failed in the middle of its answer: {failure.message}",
                status=failure.code if 400 <= failure.code < 600 else 502,
                body=failure.as_openai(),
                retry_after_s=failure.retry_after_s,
            ) from error
        return made

    def _batch(self, body: bytes) -> Vectors:
        try:
            return decode_batch(body)
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is no embeddings: {error}") from error

    def _body(self, request: ProviderRequest) -> bytes:
        sent = request.request
        assert isinstance(sent, ChatRequest), "the pipeline asks for nothing else"
        thoughts = self._options.include_thoughts
        if isinstance(sent, MessagesRequest):
            return messages_as_gemini(
                sent, model=request.model, signatures=self._signatures, include_thoughts=thoughts
            )
        return as_gemini_body(
            sent, model=request.model, signatures=self._signatures, include_thoughts=thoughts
        )

    async def _whole(self, request: ProviderRequest, method: str, body: bytes) -> bytes:
        response = await self._send(request, method, body, stream=False)
        try:
            answer = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise google_refusal(self.name, response, answer, self._clock)
        return answer

    async def _send(
        self, request: ProviderRequest, method: str, body: bytes, *, stream: bool
    ) -> HttpResponse:
        url = f"{self._base_url}/{_path(request.model)}:{method}"
        return await self._transport.send(
            HttpRequest("POST", url, self._headers, body), request.timeouts, stream=stream
        )

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000


class _Count(msgspec.Struct, frozen=True, rename="camel"):
    total_tokens: int


def _path(model: str) -> str:
    """`models/…`, unless the name says another collection, such as `tunedModels/…`."""
    named = quote(model, safe="/-._~@")
    return named if "/" in named else f"models/{named}"


# --- Errors ---


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    reason: str | None = None
    retry_delay: str | None = None


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = "no message"
    status: str = "UNKNOWN"
    details: list[_Detail] = []


class _Failed(msgspec.Struct, frozen=True):
    error: _Error


_failed = msgspec.json.Decoder(_Failed | list[_Failed])


class GoogleError(msgspec.Struct, frozen=True):
    """What an error of Google's says. `is_key` when it is about the key, which Google calls a bad request."""

    code: int
    message: str
    status: str
    is_key: bool = False
    retry_after_s: float | None = None

    def as_openai(self) -> bytes:
        """The same as OpenAI's clients read errors."""
        said = {"message": self.message, "type": self.status.lower(), "param": None, "code": self.status}
        return msgspec.json.encode({"error": said})


def read_google_error(body: bytes) -> GoogleError:
    """The error object of Google's APIs; a text that is none is the message."""
    try:
        sent = _failed.decode(body)
    except UNREADABLE:
        said = body[:300].decode("utf-8", "replace").strip() or "an empty body"
        return GoogleError(0, said, "UNKNOWN")
    error = (sent[0].error if sent else _Error()) if isinstance(sent, list) else sent.error
    delays = [each.retry_delay for each in error.details if each.retry_delay]
    return GoogleError(
        code=error.code,
        message=error.message,
        status=error.status,
        is_key=any(each.reason == "API_KEY_INVALID" for each in error.details),
        retry_after_s=_seconds(delays[0]) if delays else None,
    )


def google_refusal(provider: str, response: HttpResponse, body: bytes, clock: Clock) -> UpstreamRefused:
    """What an answer with an error status means. A key that is not valid is a 401, so that the next one is tried."""
    error = read_google_error(body)
    made = refusal(provider, response, error.as_openai(), clock)
    if error.is_key:
        made.status = 401
    if made.retry_after_s is None:
        made.retry_after_s = error.retry_after_s
    return made


def _seconds(duration: str) -> float | None:
    """Of a duration in Google's JSON, such as `17.5s`."""
    try:
        return max(float(duration.removesuffix("s")), 0.0)
    except ValueError:
        return None
