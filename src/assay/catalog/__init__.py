"""What can be called and what it costs: models with their routes, prices with their effective dates, local weights.

    assay.toml + <data>/models/*.gguf  →  Catalog  →  Caller
    price table + the model's own price  →  PriceBook  →  the cost on a span

A model is a name that clients ask for. It resolves to a provider and the provider's own name for it.
"""

from assay.catalog.config import Config, load_config
from assay.catalog.local import Catalog, open_catalog
from assay.catalog.models import ModelConfig, Route
from assay.catalog.prices import Price, PriceBook, cost

__all__ = [
    "Catalog",
    "Config",
    "ModelConfig",
    "Price",
    "PriceBook",
    "Route",
    "cost",
    "load_config",
    "open_catalog",
]
