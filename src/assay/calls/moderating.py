"""Calls that look whether texts are harmful: the same attempts, limits and spans as any call, and no tokens that are counted."""

from collections.abc import Mapping

import msgspec

from assay.calls.embedding import PREVIEW_LENGTH, PREVIEWED
from assay.calls.ledger import Ledger
from assay.calls.types import Call
from assay.calls.watch import IdleWatch
from assay.catalog.prices import PriceBook
from assay.errors import BadRequest, UpstreamTimeout
from assay.kit.clock import Clock
from assay.providers.types import ModerationProvider, Provider, ProviderRequest
from assay.wire.moderations import ModerationRequest, ModerationResponse

_encode = msgspec.json.Encoder().encode


class ModerationLedger(Ledger):
    """The account of one such call."""

    __slots__ = ("found",)

    def __init__(self, call: Call, clock: Clock, prices: PriceBook, *, keep_content: bool) -> None:
        super().__init__(call, clock, prices, keep_content=keep_content)
        self.found: ModerationResponse | None = None

    def moderated(self, response: ModerationResponse) -> None:
        """The answer came."""
        self.found = response
        self.model = response.model

    def _input(self) -> tuple[bytes, ...]:
        request = self.call.request
        texts = request.texts if isinstance(request, ModerationRequest) else ()
        return tuple([_preview(each) for each in texts[:PREVIEWED]])

    def _output(self) -> tuple[bytes, ...]:
        """What each input was flagged as."""
        return () if self.found is None else tuple([_encode(each) for each in self.found.flagged[:PREVIEWED]])

    def _attributes(self, given: Mapping[str, object]) -> dict[str, object]:
        made = dict(given)
        if self.found is not None:
            made["assay.moderation.flagged"] = sum(1 for each in self.found.flagged if each)
        return made


async def moderate_at(provider: Provider, request: ProviderRequest, ledger: Ledger) -> ModerationResponse:
    """One attempt. Raises `BadRequest` for a provider that moderates nothing."""
    if not isinstance(provider, ModerationProvider):
        raise BadRequest(
            f"The model {ledger.call.request.model!r} moderates nothing: its provider {provider.name!r}, of the type "
            f"{provider.type!r}, has no moderations",
            param="model",
            hint="Name a model of an OpenAI provider, such as omni-moderation-latest.",
        )
    try:
        with IdleWatch(request.timeouts.total_s):
            return await provider.moderate(request)
    except TimeoutError as error:
        raise UpstreamTimeout(
            f"{provider.name} did not answer within {request.timeouts.total_s:g} s",
            hint="Send fewer texts at once, or raise the model's `timeout`.",
        ) from error


def _preview(text: str) -> bytes:
    return _encode(text if len(text) <= PREVIEW_LENGTH else text[: PREVIEW_LENGTH - 1] + "…")
