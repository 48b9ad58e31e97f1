"""Calls for vectors: the same attempts, limits and prices as any call, and an account that keeps no vectors.

An index of a million chunks passes through here once or more. Its span says how many texts went in and how they begin: whole
they lie in the index, and the vectors would be ten times their size.
"""

from collections.abc import Mapping

import msgspec

from assay.calls.estimate import BYTES_PER_TOKEN
from assay.calls.ledger import Ledger
from assay.calls.types import Call
from assay.calls.watch import IdleWatch
from assay.catalog.prices import PriceBook
from assay.errors import BadRequest, UpstreamTimeout
from assay.kit.clock import Clock
from assay.providers.types import EmbeddingProvider, Provider, ProviderRequest
from assay.wire.embeddings import EmbeddingRequest, EmbeddingResponse, Input
from assay.wire.spans import SpanKind
from assay.wire.usage import Usage, UsageSource

PREVIEWED = 20
"""Inputs shown on a span."""
PREVIEW_LENGTH = 500
"""Characters of each, or token ids."""

_encode = msgspec.json.Encoder().encode


class EmbeddingLedger(Ledger):
    """The account of one call for vectors."""

    __slots__ = ("dimensions", "raw")

    kind = SpanKind.EMBEDDING

    def __init__(self, call: Call, clock: Clock, prices: PriceBook, *, keep_content: bool) -> None:
        super().__init__(call, clock, prices, keep_content=keep_content)
        self.dimensions: int | None = None
        self.raw: bytes | None = None

    def embedded(self, response: EmbeddingResponse) -> None:
        """The vectors came."""
        self.dimensions = response.dimensions
        self.raw = response.raw
        self.model = response.model
        self.usage = response.usage or counted_here(self._inputs)

    @property
    def _inputs(self) -> tuple[Input, ...]:
        request = self.call.request
        return request.inputs if isinstance(request, EmbeddingRequest) else ()

    def _whole(self) -> bytes | None:
        return self.raw

    def _input(self) -> tuple[bytes, ...]:
        return tuple([_preview(each) for each in self._inputs[:PREVIEWED]])

    def _attributes(self, given: Mapping[str, object]) -> dict[str, object]:
        made = {**super()._attributes(given), "assay.embeddings.inputs": len(self._inputs)}
        if self.dimensions is not None:
            made["gen_ai.embeddings.dimension.count"] = self.dimensions
        return made


async def embed_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> EmbeddingResponse:
    """One attempt. Raises `BadRequest` for a provider that embeds nothing."""
    if not isinstance(provider, EmbeddingProvider):
        raise BadRequest(
            f"The model {ledger.call.request.model!r} makes no embeddings: its provider {provider.name!r}, of the type "
            f"{provider.type!r}, has none",
            param="model",
            hint="GET /v1/models lists the models; `assay models pull minilm` brings one that embeds.",
        )
    try:
        with IdleWatch(request.timeouts.total_s):
            return await provider.embed(request)
    except TimeoutError as error:
        raise UpstreamTimeout(
            f"{provider.name} did not send its vectors within {request.timeouts.total_s:g} s",
            hint="Send fewer texts at once, or raise the model's `timeout`.",
        ) from error


def counted_here(inputs: tuple[Input, ...]) -> Usage:
    """For a server that does not count. Token ids need no estimate."""
    tokens = sum(
        -(-len(each.encode()) // BYTES_PER_TOKEN) if isinstance(each, str) else len(each) for each in inputs
    )
    counted = all(not isinstance(each, str) for each in inputs)
    return Usage(input=tokens, input_source=UsageSource.TOKENIZER if counted else UsageSource.ESTIMATE)


def _preview(given: Input) -> bytes:
    if isinstance(given, str) and len(given) > PREVIEW_LENGTH:
        return _encode(given[: PREVIEW_LENGTH - 1] + "…")
    return _encode(given[:PREVIEW_LENGTH])
