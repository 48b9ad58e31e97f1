"""What the pages about models show: where each leads, what it costs, how it has been in the last day, and which weights lie
on this machine."""

import os
from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable
from urllib.parse import urlsplit, urlunsplit

import msgspec

from assay.catalog.local import Catalog
from assay.catalog.models import ModelConfig, Route
from assay.catalog.rates import Price
from assay.catalog.weights import KNOWN, Known, Receipt, receipt_of
from assay.errors import AssayError
from assay.kit.clock import SYSTEM, Clock
from assay.providers.types import ProviderConfig
from assay.spans.types import SpanFilter, SpanRow, SpanStore, Traffic
from assay.wire.spans import SpanKind, SpanStatus

HOURS = 24
FAILING_SHARE = 0.5
"""From this share of failed calls on a model counts as failing, from `TROUBLED_SHARE` on as troubled."""
TROUBLED_SHARE = 0.05

_HOUR_NS = 3_600_000_000_000
_ERRORS = 5

State = Literal["unused", "healthy", "troubled", "failing"]


class Breaker(Protocol):
    """One upstream as the pipeline sees it just now (`calls.health.Condition`)."""

    failures: int
    in_flight: int
    reason: str | None


@runtime_checkable
class Upstreams(Protocol):
    """All of them (`calls.health.Health`)."""

    def conditions(self) -> Mapping[tuple[str, str, int], tuple[str, Breaker]]:
        """State (`closed`, `open`, `half-open`) and condition by provider, upstream model and number of the key."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a route. `share` is what it gets of the calls, None where that depends on load or order; `state` is that
    of its breaker, None before its first call; `failed_attempts` are those of the last day, also where another answered."""

    route: Route
    type: str
    base_url: str | None
    keys: int
    share: float | None
    price: Price | None
    traffic: Traffic
    failed_attempts: int
    state: str | None
    reason: str | None
    in_flight: int


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the list. `price` is that of its first entry."""

    model: ModelConfig
    traffic: Traffic
    state: State
    sick: int
    price: Price | None
    receipt: Receipt | None


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Weights that can be pulled by name, or that lie in the folder. `size_bytes` is None when they do not."""

    name: str
    known: Known | None
    receipt: Receipt | None
    size_bytes: int | None


class ModelOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `is_live` is False when the span store could not be asked."""

    model: ModelConfig
    ways: list[Way]
    traffic: Traffic
    state: State
    errors: list[SpanRow]
    weights: Weights | None
    is_live: bool


def list_lines(
    catalog: Catalog, store: SpanStore, upstreams: Upstreams, project: str, *, clock: Clock = SYSTEM
) -> tuple[list[ModelLine], bool]:
    """Every model in the file's order, and whether the figures of the last day could be read."""
    traffic = _traffic(store, _day(project, clock), "model")
    sick = {
        (provider, model)
        for (provider, model, _), (state, _) in upstreams.conditions().items()
        if state != "closed"
    }
    lines = [
        ModelLine(
            model=model,
            traffic=(traffic or {}).get(name, Traffic()),
            state=state_of((traffic or {}).get(name, Traffic())),
            sick=sum((route.provider, route.model) in sick for route in model.route),
            price=_price(catalog, model, model.route[0], clock),
            receipt=receipt_of(catalog.folder / f"{name}.gguf"),
        )
        for name in catalog.models
        if (model := catalog.models.get(name)) is not None
    ]
    return lines, traffic is not None


def list_weights(catalog: Catalog) -> list[Weights]:
    """What lies in the folder, then what has a name and can be pulled."""
    there = sorted(path.stem for path in catalog.folder.glob("*.gguf"))
    return [_weights(catalog, name) for name in (*there, *(name for name in KNOWN if name not in there))]


def read_model(
    catalog: Catalog,
    store: SpanStore,
    upstreams: Upstreams,
    project: str,
    model: ModelConfig,
    *,
    clock: Clock = SYSTEM,
) -> ModelOverview:
    """One model with its ways and its last failures."""
    chosen = msgspec.structs.replace(_day(project, clock), model=model.name)
    total: Traffic | None = None
    by_provider: dict[str, Traffic] | None = None
    attempts: dict[str, int] = {}
    errors: list[SpanRow] = []
    try:
        total = store.traffic(chosen)
        by_provider = _traffic(store, chosen, "provider")
        failed = store.facets(msgspec.structs.replace(chosen, kind=(SpanKind.ATTEMPT,)))
        attempts = dict(next(facet.values for facet in failed if facet.field == "provider"))
        ended = msgspec.structs.replace(
            chosen, kind=(SpanKind.MODEL,), status=(SpanStatus.ERROR, SpanStatus.CUT)
        )
        errors = store.list_spans(ended, limit=_ERRORS).items
    except AssayError:  # the store is down: the page stands without it, and the banner says why
        pass
    ways = [
        _way(catalog, model, route, by_provider or {}, attempts, upstreams, clock) for route in model.route
    ]
    local = any(catalog.providers[route.provider].type == "llama" for route in model.route)
    return ModelOverview(
        model=model,
        ways=ways,
        traffic=total or Traffic(),
        state=state_of(total or Traffic()),
        errors=errors,
        weights=_weights(catalog, model.route[0].model) if local else None,
        is_live=total is not None,
    )


def state_of(traffic: Traffic) -> State:
    """How a model is by what its calls came to."""
    asked = traffic.calls - traffic.cached
    if not asked:
        return "unused"
    share = traffic.errors / asked
    return "failing" if share >= FAILING_SHARE else "troubled" if share >= TROUBLED_SHARE else "healthy"


def _way(
    catalog: Catalog,
    model: ModelConfig,
    route: Route,
    traffic: Mapping[str, Traffic],
    attempts: Mapping[str, int],
    upstreams: Upstreams,
    clock: Clock,
) -> Way:
    provider: ProviderConfig = catalog.providers[route.provider]
    conditions = [
        found
        for (name, upstream, _), found in upstreams.conditions().items()
        if (name, upstream) == (route.provider, route.model)
    ]
    worst = max(conditions, key=lambda found: found[0] != "closed", default=None)
    weights = sum(entry.weight for entry in model.route)
    return Way(
        route=route,
        type=provider.type,
        base_url=_without_secrets(provider.base_url),
        keys=sum(key is not None for key in provider.keys),
        share=route.weight / weights if model.strategy == "weighted" and weights else None,
        price=_price(catalog, model, route, clock),
        traffic=traffic.get(route.provider, Traffic()),
        failed_attempts=attempts.get(route.provider, 0),
        state=None if worst is None else worst[0],
        reason=None if worst is None else worst[1].reason,
        in_flight=sum(condition.in_flight for _, condition in conditions),
    )


def _without_secrets(url: str | None) -> str | None:
    """An address without what may be a password in it."""
    if url is None:
        return None
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _traffic(
    store: SpanStore, chosen: SpanFilter, field: Literal["model", "provider"]
) -> dict[str, Traffic] | None:
    try:
        groups = store.traffic_by(chosen, field, limit=1000)
    except AssayError:
        return None
    return {group.value: group.traffic for group in groups if group.value is not None}


def _day(project: str, clock: Clock) -> SpanFilter:
    now_ns = clock.now_ns()
    return SpanFilter(project=project, from_ns=now_ns - HOURS * _HOUR_NS, to_ns=now_ns + 60_000_000_000)


def _price(catalog: Catalog, model: ModelConfig, route: Route, clock: Clock) -> Price | None:
    return model.price or catalog.prices.at(route.provider, route.model, clock.now_ns())


def _weights(catalog: Catalog, name: str) -> Weights:
    path = catalog.folder / f"{name}.gguf"
    try:
        size = os.stat(path).st_size
    except (OSError, ValueError):
        size = None
    return Weights(name=name, known=KNOWN.get(name), receipt=receipt_of(path), size_bytes=size)
