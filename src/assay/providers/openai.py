"""OpenAI, and every server that speaks its format: the client's own JSON goes there with only the model's name and the
stream options edited."""

from collections.abc import AsyncGenerator
from email.utils import parsedate_to_datetime

import msgspec

from assay.errors import BadRequest, Upstream, UpstreamCut, UpstreamRefused
from assay.kit.clock import SYSTEM, Clock
from assay.providers.embeddings import read_answer
from assay.providers.reranking import read_ranked
from assay.providers.responses import encode_responses_request
from assay.providers.types import HttpRequest, HttpResponse, Probe, ProviderRequest, Transport, probed
from assay.wire.embeddings import EmbeddingResponse
from assay.wire.moderations import ModerationResponse, decode_moderations
from assay.wire.openai_chat import UNREADABLE, StreamError, decode_chunk, decode_response, encode_request
from assay.wire.rerank import RerankResponse
from assay.wire.responses import Response, StreamEvent
from assay.wire.responses_api import ResponsesRequest
from assay.wire.responses_api_answers import decode_responses_answer, decode_responses_event
from assay.wire.sse import SseDecoder

_PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
    "embeddings": "/embeddings",
    "moderations": "/moderations",
}
_PATHS["rerank"] = "/rerank"
_NOT_SERVED = (404, 405, 501)


class OpenAIProvider:
    """A server of OpenAI's format at `base_url` (which ends before `/chat/completions`).

    `limit_field` is its name for the most tokens to make, for requests that came in another format: OpenAI's own newer models
    refuse `max_tokens`, and many servers know nothing else. `has_responses`: it serves the Responses API too.
    """

    type = "openai"

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str | None,
        transport: Transport,
        clock: Clock = SYSTEM,
        limit_field: str = "max_tokens",
        has_responses: bool = False,
    ) -> None:
        self.name = name
        self.limit_field = limit_field
        self.has_responses = has_responses
        self._base_url = base_url.rstrip("/")
        self._transport = transport
        self._clock = clock
        key = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        response = await self._send(request, stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise refusal(self.name, response, body, self._clock)
        try:
            if request.endpoint == "responses":
                return decode_responses_answer(body)
            return decode_response(body)
        except StreamError as error:
            raise _failed(self.name, error) from error
        except (*UNREADABLE, BadRequest) as error:
            raise Upstream(
                f"{self.name} answered with something that is not a completion: {error}"
            ) from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. A line that cannot be read becomes a `malformed` event; the answer goes on."""
        response = await self._send(request, stream=True)
        try:
            if response.status >= 300:
                raise refusal(self.name, response, await response.read(), self._clock)
            complete = False
            hide_usage = None if request.endpoint == "responses" else not request.request.include_usage
            decoder = SseDecoder()
            async for chunk in response.chunks():
                for data in decoder.feed(chunk):
                    if data == b"[DONE]":
                        return
                    event = self._event(data, hide_usage)
                    complete = complete or event.finish_reason is not None
                    yield event
            if not complete:
                raise UpstreamCut(f"{self.name} closed the connection in the middle of its answer")
        except ValueError as error:
            raise UpstreamCut(f"{self.name} sent {error}") from error
        finally:
            await response.aclose()

    async def embed(self, request: ProviderRequest) -> EmbeddingResponse:
        """See `EmbeddingProvider.embed`."""
        return await read_answer(self.name, request, await self._served(request, "embeddings"))

    async def rerank(self, request: ProviderRequest) -> RerankResponse:
        """See `RerankProvider.rerank`. OpenAI has none, many servers of its format do."""
        return read_ranked(self.name, request, await self._served(request, "reranking"))

    async def moderate(self, request: ProviderRequest) -> ModerationResponse:
        """See `ModerationProvider.moderate`."""
        body = await self._served(request, "moderations")
        try:
            return decode_moderations(body)
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is no moderation: {error}") from error

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`."""
        return await probed(self._transport, f"{self._base_url}/models", self._headers)

    async def _served(self, request: ProviderRequest, what: str) -> bytes:
        """The whole answer of an endpoint that not every server of the format has."""
        response = await self._send(request, stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            error = refusal(self.name, response, body, self._clock)
            if response.status in _NOT_SERVED:
                error.hint = f"Does {self.name} serve {what}, of the model {request.model!r}?"
            raise error
        return body

    async def _send(self, request: ProviderRequest, *, stream: bool) -> HttpResponse:
        sent = request.request
        if isinstance(sent, ResponsesRequest):
            body = encode_responses_request(sent, model=request.model)
        else:
            body = encode_request(sent.fields, model=request.model, stream=stream)
        url = self._base_url + _PATHS[request.endpoint]
        return await self._transport.send(
            HttpRequest("POST", url, self._headers, body), request.timeouts, stream=stream
        )

    def _event(self, data: bytes, hide_usage: bool | None) -> StreamEvent:
        """`hide_usage` is None for an event of the Responses API."""
        try:
            if hide_usage is None:
                return decode_responses_event(data)
            return decode_chunk(data, hide_usage=hide_usage)
        except UNREADABLE:
            return StreamEvent(raw=None, malformed=True)
        except StreamError as error:
            raise _failed(self.name, error) from error


def _failed(provider: str, error: StreamError) -> UpstreamRefused:
    message, status = _said(error.body)
    return UpstreamRefused(
        f"{provider} failed in the middle of its answer: {message}", status=status or 502, body=error.body
    )


def refusal(provider: str, response: HttpResponse, body: bytes, clock: Clock) -> UpstreamRefused:
    """What an answer with an error status means, with the vendor's own words."""
    message, _ = _said(body)
    return UpstreamRefused(
        f"{provider} answered {response.status}: {message}",
        status=response.status,
        body=body,
        retry_after_s=_retry_after(response.headers.get("retry-after"), clock),
    )


class _Error(msgspec.Struct, frozen=True):
    message: str | None = None
    code: str | int | None = None
    status: int | None = None


class _Body(msgspec.Struct, frozen=True):
    error: _Error | str | None = None
    message: str | None = None
    detail: object = None


_body = msgspec.json.Decoder(_Body)


def _said(body: bytes) -> tuple[str, int | None]:
    """The vendor's message and, where its error names one, a status."""
    try:
        sent = _body.decode(body)
    except UNREADABLE:
        return body[:300].decode("utf-8", "replace").strip() or "an empty body", None
    if isinstance(sent.error, _Error):
        code = str(sent.error.code)
        status = sent.error.status or (int(code) if code.isdecimal() else 0)
        return sent.error.message or "no message", status if 400 <= status < 600 else None
    return str(sent.error or sent.message or sent.detail or "no message"), None


def _retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds, from seconds or an HTTP date (RFC 9110 §10.2.3). What cannot be read is no advice."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - clock.now_ns() / 1e9, 0.0)
    except ValueError:
        return None
