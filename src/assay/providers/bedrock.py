"""Amazon Bedrock, through Converse and ConverseStream: one format for all of its models. Clients of OpenAI's and of
Anthropic's format are both translated for directly, since Converse has blocks as Anthropic has.

    [providers.aws]
    type = "bedrock"
    region = "eu-central-1"
    access_key_id = "env:AWS_ACCESS_KEY_ID"
    secret_access_key = "env:AWS_SECRET_ACCESS_KEY"
    session_token = "env:AWS_SESSION_TOKEN"         # for keys that last some hours

Or `api_key`: a Bedrock API key, which is sent as it is; or a pair as one text, `ID:SECRET` or `ID:SECRET:TOKEN`, with which
requests are signed. Of these there may be several.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

import msgspec

from assay.errors import BadRequest, Upstream, UpstreamCut, UpstreamRefused
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.providers.completions import CompletionsOverChat
from assay.providers.eventstream import EventMessage, EventStreamDecoder
from assay.providers.openai import refusal
from assay.providers.sigv4 import Credentials, Headers, signed_headers
from assay.providers.types import (
    HttpRequest,
    HttpResponse,
    Probe,
    ProviderConfig,
    ProviderRequest,
    Timeouts,
    Transport,
    read_options,
)
from assay.wire.as_chat_answer import as_chat_answer
from assay.wire.as_converse_request import as_converse_body
from assay.wire.as_messages_answer import as_messages_answer
from assay.wire.converse_answers import STATUS_OF, ConverseChunks, NoAnswer, decode_converse
from assay.wire.messages_as_converse import ConverseMessages, messages_as_converse
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import ChatRequest, MessagesRequest
from assay.wire.responses import Response, StreamEvent

Reader = ConverseChunks | ConverseMessages
SERVICE = "bedrock"
_PAIR = re.compile(r"([A-Z0-9]{16,128}):([^:\s]+)(?::([^:\s]+))?")
_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]+)+-\d")
_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
_JSON = (("content-type", "application/json"),)
_BY_LETTERS = {kind[0].upper() + kind[1:]: status for kind, status in STATUS_OF.items()}


class BedrockOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides `type`, `base_url` and `api_key`."""

    region: str
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    prices: str | None = None


def build(config: ProviderConfig, transport: Transport) -> "BedrockProvider":
    """The provider of a configuration. Raises `BadRequest` for an option that it has not, and without keys."""
    where = f"providers.{config.name}"
    options = read_options(config, BedrockOptions)
    if not _REGION.fullmatch(options.region):
        raise BadRequest(
            f"{where}.region is {options.region!r}, which is no region of AWS",
            param=f"{where}.region",
            hint="Write e.g. 'us-east-1'.",
        )
    return BedrockProvider(
        name=config.name,
        region=options.region,
        base_url=config.base_url,
        key=_key(config, options, where),
        transport=transport,
    )


def _key(config: ProviderConfig, options: BedrockOptions, where: str) -> Credentials | str:
    """A pair to sign with, or a key to send."""
    pair = (options.access_key_id, options.secret_access_key)
    if config.api_key is not None:
        if any((*pair, options.session_token)):
            raise BadRequest(f"{where} has api_key and a pair of keys: one of them is enough", param=where)
        found = _PAIR.fullmatch(config.api_key)
        return Credentials(*found.groups()) if found else config.api_key
    id, secret = pair
    if not id or not secret:
        raise BadRequest(
            f"{where} has no keys",
            param=where,
            hint="Give access_key_id and secret_access_key, or a Bedrock API key as api_key.",
        )
    return Credentials(id, secret, options.session_token or None)


class BedrockProvider:
    """Bedrock in one region, or whatever speaks its format at `base_url`."""

    type = "bedrock"

    def __init__(
        self,
        *,
        name: str,
        region: str,
        key: Credentials | str,
        transport: Transport,
        base_url: str | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = name
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._base_url = (base_url or f"https://bedrock-runtime.{region}.{domain}").rstrip("/")
        self._control_url = (base_url or f"https://bedrock.{region}.{domain}").rstrip("/")
        self._region = region
        self._key = key
        self._transport = transport
        self._clock = clock

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`."""
        if request.endpoint == "completions":
            return await CompletionsOverChat(self).complete(request)
        response = await self._send(request, "converse", self._body(request), stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status >= 300:
            raise aws_refusal(self.name, response, body, self._clock)
        try:
            answer = decode_converse(body, id=_id(response), model=request.model)
            if request.endpoint == "messages":
                return as_messages_answer(answer)
            return as_chat_answer(answer, created=self._now_s())
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is not an answer: {error}") from error
        except NoAnswer as error:
            raise Upstream(f"{self.name} answered without an answer: {error}") from error

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`. A message that cannot be read becomes a `malformed` event; the answer goes on."""
        made: AsyncIterator[StreamEvent] = self._events(request)
        if request.endpoint == "completions":
            made = CompletionsOverChat(self).stream(request)
        async with aclosing(made) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def count_tokens(self, request: ProviderRequest) -> int | None:
        """See `MessagesProvider.count_tokens`. Some models are not counted, and a key may call a model and not count."""
        fields = msgspec.json.decode(self._body(request), type=dict[str, msgspec.Raw])
        asked = {"input": {"converse": {name: fields[name] for name in _COUNTED if name in fields}}}
        response = await self._send(request, "count-tokens", msgspec.json.encode(asked), stream=False)
        try:
            body = await response.read()
        finally:
            await response.aclose()
        if response.status in (400, 403):
            return None
        if response.status >= 300:
            raise aws_refusal(self.name, response, body, self._clock)
        try:
            return msgspec.json.decode(body, type=_Count).input_tokens
        except UNREADABLE as error:
            raise Upstream(f"{self.name} answered with something that is no count: {error}") from error

    async def probe(self) -> Probe:
        """See `ProbedProvider.probe`. A key that may call models and not list them has been taken all the same."""
        url = f"{self._control_url}/foundation-models"
        response = await self._transport.send(
            HttpRequest("GET", url, self._signed("GET", url, b"")), Timeouts(), stream=False
        )
        try:
            body = await response.read()
        finally:
            await response.aclose()
        is_known = response.status == 403 and _kind(response, body) == "AccessDeniedException"
        return Probe(404 if is_known else response.status, response.headers.get("date"))

    async def aclose(self) -> None:
        """Nothing of its own to close: the transport is shared."""

    async def _events(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        response = await self._send(request, "converse-stream", self._body(request), stream=True)
        try:
            if response.status >= 300:
                raise aws_refusal(self.name, response, await response.read(), self._clock)
            reader = self._reader(request, response)
            decoder = EventStreamDecoder()
            try:
                async for chunk in response.chunks():
                    for message in decoder.feed(chunk):
                        for event in self._read(reader, message):
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

    def _reader(self, request: ProviderRequest, response: HttpResponse) -> Reader:
        if request.endpoint == "messages":
            return ConverseMessages(id=_id(response), model=request.model)
        return ConverseChunks(
            id=_id(response),
            model=request.model,
            created=self._now_s(),
            include_usage=bool(request.request.include_usage),
        )

    def _read(self, reader: Reader, message: EventMessage) -> list[StreamEvent]:
        made: list[StreamEvent] = []
        headers = message.headers
        if headers.get(":message-type") in ("exception", "error"):
            raise self._failed(message)
        kind = headers.get(":event-type")
        if message.is_damaged or not isinstance(kind, str):
            return [StreamEvent(raw=None, malformed=True)]
        try:
            made.extend(reader.of(kind, message.payload))
        except UNREADABLE:
            made.append(StreamEvent(raw=None, malformed=True))
        except NoAnswer as error:
            raise Upstream(f"{self.name} ended without an answer: {error}") from error
        return made

    def _failed(self, message: EventMessage) -> UpstreamRefused:
        """An exception that AWS models comes with a payload, any other error in headers alone."""
        headers = message.headers
        kind = str(headers.get(":exception-type") or headers.get(":error-code") or "unknown")
        said = str(headers.get(":error-message") or _said(message.payload))
        kind = kind[:1].lower() + kind[1:]
        return UpstreamRefused(
            f"{self.name} failed in the middle of its answer: {said}",
            status=STATUS_OF.get(kind, 502),
            body=_as_openai(said, kind),
        )

    def _body(self, request: ProviderRequest) -> bytes:
        sent = request.request
        assert isinstance(sent, ChatRequest), "the pipeline asks for nothing else"
        if isinstance(sent, MessagesRequest):
            return messages_as_converse(sent, model=request.model)
        return as_converse_body(sent, model=request.model)

    async def _send(
        self, request: ProviderRequest, method: str, body: bytes, *, stream: bool
    ) -> HttpResponse:
        url = f"{self._base_url}/model/{quote(request.model, safe='-._~')}/{method}"
        headers = self._signed("POST", url, body)
        return await self._transport.send(
            HttpRequest("POST", url, headers, body), request.timeouts, stream=stream
        )

    def _signed(self, method: str, url: str, body: bytes) -> Headers:
        if isinstance(self._key, str):
            return (*_JSON, ("authorization", f"Bearer {self._key}"))
        return signed_headers(
            method,
            url,
            _JSON,
            body,
            credentials=self._key,
            region=self._region,
            service=SERVICE,
            now_ns=self._clock.now_ns(),
        )

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000


class _Count(msgspec.Struct, frozen=True, rename="camel"):
    input_tokens: int


def _id(response: HttpResponse) -> str:
    """AWS's own id of the request, by which its support finds it."""
    return response.headers.get("x-amzn-requestid") or ids.uuid7()


# --- Errors ---


class _Failure(msgspec.Struct, frozen=True):
    message: str | None = None
    Message: str | None = None
    type: str | None = msgspec.field(default=None, name="__type")


_failure = msgspec.json.Decoder(_Failure)


def aws_refusal(provider: str, response: HttpResponse, body: bytes, clock: Clock) -> UpstreamRefused:
    """What an answer with an error status means."""
    kind = _kind(response, body)
    made = refusal(provider, response, _as_openai(_said(body), kind), clock)
    made.status = _BY_LETTERS.get(kind, response.status)
    return made


def _kind(response: HttpResponse, body: bytes) -> str:
    """The name of the exception: in a header, with an address behind it, or in the body."""
    try:
        in_body = _failure.decode(body).type
    except UNREADABLE:
        in_body = None
    named = response.headers.get("x-amzn-errortype") or in_body or "UnknownError"
    return named.partition(":")[0].rpartition("#")[2]


def _said(body: bytes) -> str:
    try:
        sent = _failure.decode(body)
    except UNREADABLE:
        return body[:300].decode("utf-8", "replace").strip() or "an empty body"
    return sent.message or sent.Message or "no message"


def _as_openai(message: str, kind: str) -> bytes:
    """An error as OpenAI's clients read it."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": kind}})
