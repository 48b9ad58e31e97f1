"""What a foreign call cost: by the catalogue's prices of its day, else what its sender says, else unknown."""

from collections.abc import Mapping
from decimal import Decimal

from assay.catalog.models import ModelConfig
from assay.catalog.prices import MOST_REMEMBERED, PriceBook, cost
from assay.catalog.rates import Price
from assay.traces.dialects.types import Meaning

TOLD = "told"
"""In the place of a price's id: the sender's own figure."""

_VENDORS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "groq": "groq",
    "perplexity": "perplexity",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "mistral": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "moonshot_ai": "moonshotai",
    "aws.bedrock": "aws",
    "aws_bedrock": "aws",
    "aws": "aws",
    "azure.ai.openai": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.inference": "azure",
    "azure": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google": "google",
    "vertexai": "google",
    "vertex_ai": "google",
}
"""What OpenTelemetry and OpenInference call a vendor → whose price list it is."""

_QUARTER_NS = 900_000_000_000
"""Prices change on the quarter of an hour at the soonest."""
_LONGEST_HOST = 253


class Pricing:
    """Prices of calls that went past the gateway."""

    def __init__(self, prices: PriceBook, models: Mapping[str, ModelConfig]) -> None:
        self._prices = prices
        self._models = models
        self._found: dict[tuple[str, str, str | None, int], Price | None] = {}

    def cost(self, said: Meaning, at_ns: int) -> tuple[Decimal | None, str | None]:
        """What a call cost and which price, or whose word, that is."""
        if said.usage is not None:
            price = self._find(said, at_ns)
            amount = None if price is None else cost(said.usage, price)
            if price is not None and amount is not None:
                return amount, price.id
        return (None, None) if said.cost_usd is None else (said.cost_usd, TOLD)

    def _find(self, said: Meaning, at_ns: int) -> Price | None:
        """A configured model's own price; else, of what answered or was asked for, its provider's or its vendor's."""
        model = self._models.get(said.model) if said.model else None
        if model is not None and model.price is not None:
            return model.price
        if not said.provider:
            return None
        for name in filter(None, (said.response_model, said.model)):
            key = (said.provider.lower(), name, said.endpoint_host, at_ns // _QUARTER_NS)
            if key not in self._found:
                if len(self._found) >= MOST_REMEMBERED:
                    self._found.clear()
                self._found[key] = self._look_up(*key[:3], at_ns)
            if (price := self._found[key]) is not None:
                return price
        return None

    def _look_up(self, provider: str, name: str, host: str | None, at_ns: int) -> Price | None:
        """By the address where it is known: telemetry's `openai` is a way of speaking, not always the vendor."""
        if host is not None:
            return self._prices.listed(None, name, at_ns, host=host[:_LONGEST_HOST])
        return self._prices.at(provider, name, at_ns) or self._prices.listed(
            _VENDORS.get(provider), name, at_ns
        )
