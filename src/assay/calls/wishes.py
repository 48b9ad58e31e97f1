"""What a call needs of an upstream, and what each would cost: conditions of routes, the strategy `cheapest`, and the route that a
trusted key asks for."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from assay.calls.reserve import Reserve, most_of, price_of
from assay.calls.types import Call
from assay.catalog.models import ModelConfig, Route
from assay.catalog.prices import PriceBook
from assay.errors import BadRequest
from assay.wire.messages import AudioPart, FilePart, ImagePart, Part
from assay.wire.requests import ChatRequest

_NONE = msgspec.Raw(b"null")
_UNKNOWN = Decimal("Infinity")
_PARTS: dict[type[Part], str] = {ImagePart: "images", AudioPart: "audio", FilePart: "files"}


class _Where(NamedTuple):
    model: ModelConfig
    route: Route


class Wishes:
    """Those of one call. Nothing is counted before a route asks for it."""

    __slots__ = ("_call", "_is_worded", "_most", "_needs", "_prices")

    def __init__(self, call: Call, prices: PriceBook, *, is_worded: bool = False) -> None:
        """`is_worded`: an upstream that takes no schema is told it in words."""
        self._call = call
        self._is_worded = is_worded
        self._prices = prices
        self._most: Reserve | None = None
        self._needs: frozenset[str] | None = None

    def suits(self, route: Route) -> bool:
        """Whether the upstream may be asked."""
        wanted = self._call.context.route
        if wanted is not None and wanted not in (route.provider, f"{route.provider}/{route.model}"):
            return False
        if route.context_tokens is not None and self._reserve().input > route.context_tokens:
            return False
        return not route.lacks or self._needed().isdisjoint(route.lacks)

    def cost(self, model: ModelConfig, route: Route) -> Decimal:
        """What the call may cost there at most; more than anything where that is not known."""
        found = price_of(_Where(model, route), self._prices, self._reserve())
        return _UNKNOWN if found is None else found

    def unmet(self, routes: Iterable[Route]) -> BadRequest:
        """Why no upstream is left."""
        there = ", ".join(sorted({f"{route.provider}/{route.model}" for route in routes}))
        if self._call.context.route is not None:
            return BadRequest(
                f"The model {self._call.request.model!r} does not lead to {self._call.context.route!r}",
                param="x-assay-route",
                hint=f"It leads to {there}.",
            )
        needs = ", ".join(sorted(self._needed())) or "nothing special"
        return BadRequest(
            f"No upstream of the model {self._call.request.model!r} can take this call: it needs {needs} and about"
            f" {self._reserve().input:,} tokens of context",
            param="model",
            hint=f"See context_tokens and lacks of its route ({there}) in assay.toml.",
        )

    def _reserve(self) -> Reserve:
        if self._most is None:
            self._most = most_of(self._call)
        return self._most

    def _needed(self) -> frozenset[str]:
        if self._needs is None:
            needed = needs_of(self._call)
            self._needs = needed - {"json_schema"} if self._is_worded else needed
        return self._needs


def needs_of(call: Call) -> frozenset[str]:
    """What a call asks that not every model can: tools, images, audio, files, json_schema."""
    request, needed = call.request, set()
    if not isinstance(request, ChatRequest):
        return frozenset()
    if request.tools or request.fields.get("tools", _NONE) != _NONE:
        needed.add("tools")
    if b"json_schema" in memoryview(request.fields.get("response_format", b"")).tobytes():
        needed.add("json_schema")
    for message in request.messages:
        needed.update(_PARTS[type(part)] for part in message.parts if type(part) in _PARTS)
    return frozenset(needed)
