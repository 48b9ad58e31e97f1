"""OpenAI, and every server that speaks its format: the client's own JSON goes there with only the model's name and the
stream options edited."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from email.utils import parsedate_to_datetime

import msgspec

from assay.errors import BadRequest, Upstream, UpstreamCut, UpstreamRefused
from assay.kit.clock import SYSTEM, Clock
from assay.providers.addresses import API_VERSION, addressing
from assay.providers.completions import CompletionsOverChat
from assay.providers.embeddings import read_answer
from assay.providers.profiles import PLAIN, PROFILES, LimitField, Profile, fitted
from assay.providers.reranking import read_ranked
from assay.providers.responses import encode_responses_request
from assay.providers.types import (
    HttpRequest,
    HttpResponse,
    Probe,
    ProviderConfig,
    ProviderRequest,
    Transport,
    probed,
)
from assay.wire.embeddings import EmbeddingResponse
from assay.wire.moderations import ModerationResponse, decode_moderations
from assay.wire.openai_chat import UNREADABLE, StreamError, decode_chunk, decode_response, encode_request
from assay.wire.rerank import RerankRequest, RerankResponse, as_tei_body
from assay.wire.responses import Response, StreamEvent
from assay.wire.responses_api import ResponsesRequest
from assay.wire.responses_api_answers import decode_responses_answer, decode_responses_event
from assay.wire.sse import SseDecoder

BASE_URL = "https://api.openai.com/v1"
_PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
    "embeddings": "/embeddings",
    "moderations": "/moderations",
    "rerank": "/rerank",
}
_NOT_SERVED = (404, 405, 501)


class OpenAIOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`. `api_version` is
    Azure's."""

    profile: str | None = None
    limit_field: LimitField | None = None
    api_version: str | None = None
    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "OpenAIProvider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not, and for a profile without an
    address where none is known."""
    where = f"providers.{config.name}"
    try:
        options = msgspec.convert(dict(config.options), OpenAIOptions)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        field = path.strip("`").removeprefix("$.") or (what.split("`")[1] if "`" in what else "")
        raise BadRequest(
            f"{where} cannot be used: {error}",
            param=f"{where}.{field}",
            hint=f"Known: type, base_url, api_key, {', '.join(OpenAIOptions.__struct_fields__)}.",
        ) from error
    if options.profile is not None and options.profile not in PROFILES:
        raise BadRequest(
            f"{where}.profile is {options.profile!r}",
            param=f"{where}.profile",
            hint=f"Known: {', '.join(PROFILES)}. Any other server needs none.",
        )
    profile = PLAIN if options.profile is None else PROFILES[options.profile]
    if options.api_version is not None and profile.addresses != "deployments":
        raise BadRequest(f"{where}.api_version is for the profile 'azure'", param=f"{where}.api_version")
    base_url = config.base_url or profile.base_url or (None if profile.known else BASE_URL)
    if base_url is None:
        raise BadRequest(
            f"{where}.base_url is missing",
            param=f"{where}.base_url",
            hint="Say your resource's address, e.g. https://RESOURCE.openai.azure.com.",
        )
    theirs = not profile.known and ("https://api.openai.com/" in base_url or ".openai.azure.com/" in base_url)
    known = "max_completion_tokens" if theirs else profile.limit_field
    return OpenAIProvider(
        name=config.name,
        base_url=base_url,
        api_key=config.api_key,
        transport=transport,
        limit_field=options.limit_field or known,
        has_responses=theirs or (profile.addresses == "deployments" and base_url.rstrip("/").endswith("/v1")),
        profile=profile,
        api_version=options.api_version or API_VERSION,
    )


class OpenAIProvider:
    """A server of OpenAI's format at `base_url` (which ends before `/chat/completions`).

    `limit_field` is its name for the most tokens to make, for requests that came in another format: OpenAI's own newer models
    refuse `max_tokens`, and many servers know nothing else. `has_responses`: it serves the Responses API too. `profile` is what
    else is known of it.
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
        profile: Profile = PLAIN,
        api_version: str = API_VERSION,
    ) -> None:
        self.name = name
        self.limit_field = limit_field
        self.has_responses = has_responses
        self._profile = profile
        self._address = addressing(base_url.rstrip("/"), profile, api_version)
        self._transport = transport
        self._clock = clock
        bearer = f"Bearer {api_key}" if profile.key_header == "authorization" else str(api_key)
        key = ((profile.key_header, bearer),) if api_key else ()
        self._headers = (("content-type", "application/json"), *key)

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions" and self._profile.completions == "chat":
            return await CompletionsOverChat(self).complete(request)
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
            raise failed(self.name, error) from error
        except (*UNREADABLE, BadRequest) as error:
            raise Upstream(
                f"{self.name} answered with something that is not a completion: {error}"
            ) from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. A line that cannot be read becomes a `malformed` event; the answer goes on."""
        if request.endpoint == "completions" and self._profile.completions == "chat":
            async with aclosing(CompletionsOverChat(self).stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
            return
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
        return await probed(self._transport, self._address(None, "/models"), self._headers)

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
        url = self._address(request.model, _PATHS[request.endpoint])
        body = self._body(request, stream=stream)
        return await self._transport.send(
            HttpRequest("POST", url, self._headers, body), request.timeouts, stream=stream
        )

    def _body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        sent, profile = request.request, self._profile
        if isinstance(sent, ResponsesRequest):
            return encode_responses_request(sent, model=request.model)
        if isinstance(sent, RerankRequest) and profile.reranks == "tei":
            return as_tei_body(sent)
        fields = fitted(profile, sent.fields, server=self.name) if profile.known else sent.fields
        return encode_request(fields, model=request.model, stream=stream and profile.asks_usage)

    def _event(self, data: bytes, hide_usage: bool | None) -> StreamEvent:
        """`hide_usage` is None for an event of the Responses API."""
        try:
            if hide_usage is None:
                return decode_responses_event(data)
            return decode_chunk(data, hide_usage=hide_usage)
        except UNREADABLE:
            return StreamEvent(raw=None, malformed=True)
        except StreamError as error:
            raise failed(self.name, error) from error


def failed(provider: str, error: StreamError) -> UpstreamRefused:
    """What an error inside a stream means, with the vendor's own words."""
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
