"""`/api/models`: what can be called, where it leads and what it costs."""

from decimal import Decimal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from assay.access.guards import requires
from assay.access.types import Role
from assay.catalog.known import nearest
from assay.catalog.local import Catalog
from assay.catalog.models import ModelConfig, Route
from assay.catalog.rates import Price
from assay.catalog.weights import Receipt, receipt_of
from assay.errors import NotFound
from assay.kit.clock import SYSTEM
from assay.kit.paging import Page
from assay.providers.types import Timeouts


class PriceAnswer(msgspec.Struct, kw_only=True):
    """Dollars per million tokens; null where the price of a class is unknown."""

    id: str
    source: str
    since: str | None
    input_usd_per_mtok: Decimal | None
    cached_input_usd_per_mtok: Decimal | None
    cache_write_usd_per_mtok: Decimal | None
    cache_write_1h_usd_per_mtok: Decimal | None
    output_usd_per_mtok: Decimal | None
    reasoning_usd_per_mtok: Decimal | None
    audio_input_usd_per_mtok: Decimal | None
    audio_output_usd_per_mtok: Decimal | None
    image_input_usd_per_mtok: Decimal | None
    image_output_usd_per_mtok: Decimal | None
    long_input_from_tokens: int | None
    """above this much input, dearer rates hold for the whole call"""


class RouteAnswer(msgspec.Struct, kw_only=True):
    """One upstream. `price` is null when nothing is known of it."""

    provider: str
    type: str
    model: str
    weight: float
    price: PriceAnswer | None


class ModelAnswer(msgspec.Struct, kw_only=True):
    """A model of the catalogue. `strategy` says how a call chooses from the route; `weights` says where a local model came
    from, when it was pulled."""

    name: str
    route: list[RouteAnswer]
    strategy: str
    fallback: list[str]
    timeout: Timeouts
    retries: int
    completions: str
    weights: Receipt | None


@get("/api/models", guards=[requires(Role.VIEWER)], sync_to_thread=True)
def list_all(catalog: NamedDependency[Catalog]) -> Page[ModelAnswer]:
    """Every model that a client may ask for, in the file's order, local weights last."""
    return Page([_answer(catalog.models[name], catalog) for name in catalog.models])


@get("/api/models/{name:path}", guards=[requires(Role.VIEWER)], sync_to_thread=True)
def show(name: FromPath[str], catalog: NamedDependency[Catalog]) -> ModelAnswer:
    """One model; its name may hold slashes."""
    wanted = str(name).removeprefix("/")
    model = catalog.models.get(wanted)
    if model is None:
        raise NotFound(
            f"The model {wanted!r} does not exist", param="name", hint=nearest(wanted, catalog.models)
        )
    return _answer(model, catalog)


def _answer(model: ModelConfig, catalog: Catalog) -> ModelAnswer:
    return ModelAnswer(
        name=model.name,
        route=[_route(model, route, catalog) for route in model.route],
        strategy=model.strategy,
        fallback=list(model.fallback),
        timeout=model.timeouts,
        retries=model.retries,
        completions=model.completions,
        weights=receipt_of(catalog.folder / f"{model.name}.gguf"),
    )


def _route(model: ModelConfig, route: Route, catalog: Catalog) -> RouteAnswer:
    price = model.price or catalog.prices.at(route.provider, route.model, SYSTEM.now_ns())
    return RouteAnswer(
        provider=route.provider,
        type=catalog.providers[route.provider].type,
        model=route.model,
        weight=route.weight,
        price=None if price is None else _price(price),
    )


def _price(price: Price) -> PriceAnswer:
    rates = price.rates
    return PriceAnswer(
        id=price.id,
        source=price.source,
        since=price.since,
        input_usd_per_mtok=rates.input,
        cached_input_usd_per_mtok=rates.cache_read,
        cache_write_usd_per_mtok=rates.cache_write_5m,
        cache_write_1h_usd_per_mtok=rates.cache_write_1h,
        output_usd_per_mtok=rates.output,
        reasoning_usd_per_mtok=rates.reasoning,
        audio_input_usd_per_mtok=rates.audio_input,
        audio_output_usd_per_mtok=rates.audio_output,
        image_input_usd_per_mtok=rates.image_input,
        image_output_usd_per_mtok=rates.image_output,
        long_input_from_tokens=price.tiers[0].above_input_tokens if price.tiers else None,
    )


handlers = [list_all, show]
