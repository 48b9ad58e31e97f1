"""What a provider is: it takes a request in the client's format to one vendor or runtime and brings the answer back.

The network is one method (`Transport.send`), so a fake network is one method too. Providers never retry: the pipeline
in `calls` has the only retry layer.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from assay.errors import BadRequest
from assay.wire.embeddings import EmbeddingRequest, EmbeddingResponse
from assay.wire.moderations import ModerationRequest, ModerationResponse
from assay.wire.requests import ModelRequest
from assay.wire.rerank import RerankRequest, RerankResponse
from assay.wire.responses import Response, StreamEvent

S = TypeVar("S", bound=msgspec.Struct)

Endpoint = Literal["chat", "completions", "messages", "responses", "embeddings", "rerank", "moderations"]


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `first_token_s` counts from the request being sent, `idle_s` between two events of a stream."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    idle_s: float = 60.0
    total_s: float = 600.0


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP request, complete."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class HttpResponse(Protocol):
    """An answer whose head is there; the body is read once, whole or in chunks. Close it in every case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    async def read(self) -> bytes:
        """The whole body. Raises `UpstreamCut` when it ends early."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `UpstreamCut` when it ends early."""

    async def aclose(self) -> None:
        """Let go of the connection; one that still streams is cut, so that the upstream stops working."""


class Transport(Protocol):
    """The network."""

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        """Send and wait for the head (with `stream=False` possibly for the whole answer).

        Raises `UpstreamDown` when nobody answers there. Of the time-outs only `connect_s` is watched here: the others are
        the call's (`assay.calls`), which cancels, and a cancelled request is cut, so that the upstream stops working.
        """

    async def aclose(self) -> None:
        """Close every connection."""


class ProviderRequest(msgspec.Struct, frozen=True):
    """A client's request on its way to one upstream. `model` is the upstream's own name for it."""

    endpoint: Endpoint
    request: ModelRequest | EmbeddingRequest | RerankRequest | ModerationRequest
    model: str
    timeouts: Timeouts


class Provider(Protocol):
    """A vendor or runtime. `raw` of each of its answers is what may go to the client: in OpenAI's format, or in Anthropic's
    for the endpoint `messages`, which only a `MessagesProvider` is asked for."""

    name: str
    type: str

    async def complete(self, request: ProviderRequest) -> Response:
        """The whole answer. Raises an `Upstream` error."""

    def stream(self, request: ProviderRequest) -> AsyncIterator[StreamEvent]:
        """The answer as it comes. Ends only after the vendor said that it is complete; otherwise raises an `Upstream`
        error. Closing the iterator stops the upstream."""

    async def aclose(self) -> None:
        """Stop."""


@runtime_checkable
class MessagesProvider(Provider, Protocol):
    """A provider that speaks Anthropic's format itself; for others it is translated."""

    async def count_tokens(self, request: ProviderRequest) -> int | None:
        """The tokens that a request would take in, as the vendor counts them; None when it does not count for this model.
        Raises an `Upstream` error."""


@runtime_checkable
class CountingProvider(Provider, Protocol):
    """A provider of another format that counts too. One that cannot has no `count_chat`."""

    async def count_chat(self, request: ProviderRequest) -> int | None:
        """The tokens that a chat would take in, as the vendor counts them; None when it does not count for this model. Raises
        an `Upstream` error."""


@runtime_checkable
class EmbeddingProvider(Provider, Protocol):
    """A provider that embeds texts too. One that cannot has no `embed`."""

    async def embed(self, request: ProviderRequest) -> EmbeddingResponse:
        """A vector for each input of an `EmbeddingRequest`. Raises an `Upstream` error, and `BadRequest` for
        `dimensions` that its model does not have."""


@runtime_checkable
class RerankProvider(Provider, Protocol):
    """A provider that orders documents by their relevance too. One that cannot has no `rerank`."""

    async def rerank(self, request: ProviderRequest) -> RerankResponse:
        """The documents of a `RerankRequest`, the most relevant first. Raises an `Upstream` error."""


@runtime_checkable
class ModerationProvider(Provider, Protocol):
    """A provider that says whether texts are harmful too. One that cannot has no `moderate`."""

    async def moderate(self, request: ProviderRequest) -> ModerationResponse:
        """What it sees in the inputs of a `ModerationRequest`. Raises an `Upstream` error."""


class Probe(msgspec.Struct, frozen=True):
    """What a provider said when it was asked for something that costs nothing: the status of HTTP, and its `Date`."""

    status: int
    date: str | None


@runtime_checkable
class ProbedProvider(Protocol):
    """A provider that can be asked whether it answers. One in this process has no `probe`."""

    async def probe(self) -> Probe:
        """Ask for its list of models with our key. Raises `UpstreamDown` when nobody answers."""


async def probed(transport: Transport, url: str, headers: tuple[tuple[str, str], ...]) -> Probe:
    """What a GET of this address says; for providers that have a `probe`."""
    response = await transport.send(HttpRequest("GET", url, headers), Timeouts(), stream=False)
    try:
        await response.read()
    finally:
        await response.aclose()
    return Probe(response.status, response.headers.get("date"))


SECRET_OPTIONS = ("access_key_id", "secret_access_key", "session_token")
"""Options that are no less secret than `api_key`: in a configuration they may refer to where the secret is kept, too."""


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A `[providers.<name>]` table. `options` holds what only this type knows, `more_keys` what `api_key` names after the
    first."""

    name: str
    type: str
    base_url: str | None = None
    api_key: str | None = None
    more_keys: tuple[str, ...] = ()
    options: Mapping[str, object] = {}

    @property
    def keys(self) -> tuple[str | None, ...]:
        """Every key that a request may carry; one that is None for a provider that wants none."""
        return (self.api_key, *self.more_keys)

    def secrets(self, key: int) -> tuple[str, ...]:
        """What the provider with that key has of secrets, as the configuration says it."""
        options = [self.options.get(name) for name in SECRET_OPTIONS]
        return tuple([text for text in (self.keys[key], *options) if isinstance(text, str)])


def read_options(config: ProviderConfig, kind: type[S]) -> S:
    """What a table says that only its type knows. Raises `BadRequest` with what there is."""
    try:
        return msgspec.convert(dict(config.options), kind)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"providers.{config.name} cannot be used: {error}",
            param=f"providers.{config.name}",
            hint=f"Known: type, base_url, api_key, {', '.join(kind.__struct_fields__)}.",
        ) from error
