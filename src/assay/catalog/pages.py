"""`/models` and `/models/{name}`. Trying a model is the playground's work; its button is here."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.catalog import overview
from assay.catalog.guards import GuardRule
from assay.catalog.known import nearest
from assay.catalog.local import Catalog
from assay.catalog.overview import ModelLine, ModelOverview, Upstreams, Weights
from assay.catalog.rates import Price
from assay.errors import NotFound
from assay.spans.types import SpanStore
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]

_CLASSES = {
    "input": later("Input"),
    "cache_read": later("Cached input"),
    "cache_write_5m": later("Cache write"),
    "cache_write_1h": later("Cache write, 1 h"),
    "output": later("Output"),
    "reasoning": later("Reasoning"),
    "audio_input": later("Audio in"),
    "audio_output": later("Audio out"),
    "image_input": later("Images in"),
    "image_output": later("Images out"),
}
"""Classes of tokens that have a price, as the page calls them."""


class ModelsContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `catalog/models.html` shows."""

    lines: list[ModelLine]
    is_live: bool
    weights: list[Weights]
    folder: str


class ModelContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `catalog/model.html` shows. `rates` are the classes of tokens with a price, by price; `guards` those that look at every
    call of it, by where each is written."""

    overview: ModelOverview
    classes: dict[str, str]
    rates: list[tuple[Price, list[str]]]
    guards: list[tuple[str, GuardRule]]
    may_try: bool
    address: str


@get("/models", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_models(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    catalog: NamedDependency[Catalog],
    span_store: NamedDependency[SpanStore],
    upstreams: NamedDependency[Upstreams],
) -> Response[str]:
    """Every model with its route, price and health."""
    lines, is_live = overview.list_lines(catalog, span_store, upstreams, principal.project)
    context = ModelsContext(
        lines=lines,
        is_live=is_live,
        weights=overview.list_weights(catalog),
        folder=str(catalog.folder),
    )
    return shell.page(request, "catalog/models.html", context, title=later("Models"))


@get("/models/{name:path}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_model(
    request: HttpRequest,
    name: FromPath[str],
    principal: NamedDependency[Principal],
    catalog: NamedDependency[Catalog],
    span_store: NamedDependency[SpanStore],
    upstreams: NamedDependency[Upstreams],
) -> Response[str]:
    """One model."""
    wanted = str(name).removeprefix("/")
    model = catalog.models.get(wanted)
    if model is None:
        raise NotFound(f"The model {wanted!r} does not exist", hint=nearest(wanted, catalog.models))
    found = overview.read_model(catalog, span_store, upstreams, principal.project, model)
    prices = {way.price.id: way.price for way in found.ways if way.price is not None}
    context = ModelContext(
        overview=found,
        classes=_CLASSES,
        rates=[
            (price, [each for each in _CLASSES if getattr(price.rates, each) is not None])
            for price in prices.values()
        ],
        guards=[
            *(("[[guards]]", each) for each in catalog.guards_of(principal.project)),
            *((f"[models.{wanted}]", each) for each in model.guards),
        ],
        may_try=principal.may(Right.EDIT),
        address=str(request.base_url).rstrip("/"),
    )
    return shell.page(request, "catalog/model.html", context, title=wanted)


handlers = [show_models, show_model]
