"""Calls that order documents: the same attempts, limits and prices as any call.

What is billed by the search has no tokens, and no price in the tables: its cost is unknown, not nothing.
"""

from collections.abc import Mapping

import msgspec

from assay.calls.embedding import PREVIEW_LENGTH, PREVIEWED
from assay.calls.ledger import Ledger
from assay.calls.types import Call
from assay.calls.watch import IdleWatch
from assay.catalog.prices import PriceBook
from assay.errors import BadRequest, UpstreamTimeout
from assay.kit.clock import Clock
from assay.providers.types import Provider, ProviderRequest, RerankProvider
from assay.wire.rerank import RerankRequest, RerankResponse
from assay.wire.spans import SpanKind

_encode = msgspec.json.Encoder().encode


class RerankLedger(Ledger):
    """The account of one call that orders documents."""

    __slots__ = ("ranking",)

    kind = SpanKind.RERANK

    def __init__(self, call: Call, clock: Clock, prices: PriceBook, *, keep_content: bool) -> None:
        super().__init__(call, clock, prices, keep_content=keep_content)
        self.ranking: RerankResponse | None = None

    def ranked(self, response: RerankResponse) -> None:
        """The order came."""
        self.ranking = response
        self.model = response.model
        self.usage = response.usage

    @property
    def _request(self) -> RerankRequest | None:
        request = self.call.request
        return request if isinstance(request, RerankRequest) else None

    def _input(self) -> tuple[bytes, ...]:
        """The query, then how the first documents begin."""
        request = self._request
        if request is None:
            return ()
        return tuple([_preview(each) for each in (request.query, *request.documents[:PREVIEWED])])

    def _output(self) -> tuple[bytes, ...]:
        """The first of the order, each with its score and how it begins."""
        if self.ranking is None or self._request is None:
            return ()
        texts = self._request.documents
        return tuple(
            [
                _encode(
                    {
                        "index": result.index,
                        "relevance_score": result.relevance_score,
                        "text": texts[result.index][:PREVIEW_LENGTH],
                    }
                )
                for result in self.ranking.results[:PREVIEWED]
            ]
        )

    def _rest(self) -> bytes | None:
        request = self._request
        rest = {} if request is None else dict(request.fields)
        for name in ("model", "query", "documents", "assay"):
            rest.pop(name, None)
        return _encode(rest) if rest else None

    def _attributes(self, given: Mapping[str, object]) -> dict[str, object]:
        made = dict(given)
        if self._request is not None:
            made["assay.rerank.documents"] = len(self._request.documents)
        if self.ranking is not None and self.ranking.search_units is not None:
            made["assay.rerank.search_units"] = self.ranking.search_units
        return made


async def rerank_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> RerankResponse:
    """One attempt. Raises `BadRequest` for a provider that orders nothing."""
    if not isinstance(provider, RerankProvider):
        raise BadRequest(
            f"The model {ledger.call.request.model!r} ranks no documents: its provider {provider.name!r}, of the type "
            f"{provider.type!r}, answers in text.",
            param="model",
            hint="Name a model of a provider that reranks: docs/providers.md lists them.",
        )
    try:
        with IdleWatch(request.timeouts.total_s):
            return await provider.rerank(request)
    except TimeoutError as error:
        raise UpstreamTimeout(
            f"{provider.name} did not send its ranking within {request.timeouts.total_s:g} s",
            hint="Send fewer documents at once, or raise the model's `timeout`.",
        ) from error


def _preview(text: str) -> bytes:
    return _encode(text if len(text) <= PREVIEW_LENGTH else text[: PREVIEW_LENGTH - 1] + "…")
