"""Which upstreams a call may go to, in which order: pure functions over the catalogue."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from assay.catalog.models import ModelConfig, Route
from assay.errors import AssayError, NotFound, Upstream, UpstreamRefused

RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""Besides every 5xx: the request was fine, this moment was not."""

CREDENTIAL_STATUSES = frozenset({401, 402, 403})
"""The provider refuses Assay, not the client's request: another provider may still answer."""

LONGEST_WAIT_S = 5.0
"""A `Retry-After` beyond this is not waited for while a client holds its connection."""


class Target(msgspec.Struct, frozen=True):
    """One upstream that may answer: an entry of the route of a model of the catalogue, with one of its provider's keys.

    `spare_keys` is how many keys of the same entry stand behind it in the plan.
    """

    model: ModelConfig
    route: Route
    key: int = 0
    spare_keys: int = 0


def plan(
    models: Mapping[str, ModelConfig],
    name: str,
    draw: Callable[[], float],
    *,
    keys: Callable[[str], int] = lambda _: 1,
    least_loaded: Callable[[list[Target]], list[Target]] | None = None,
    cost: Callable[[ModelConfig, Route], Decimal] | None = None,
    suits: Callable[[Route], bool] = lambda _: True,
) -> list[Target]:
    """The targets in order: what `suits` of the model's route by its strategy, then of its fallbacks' likewise.

    By weight it is drawn without replacement, by priority it stands as written, by latency `least_loaded` orders it, as
    cheapest `cost` does (weight 0 then still comes last). A provider with several keys appears once for each of them, beginning anywhere. `draw` gives
    numbers in [0, 1). A fallback named twice, or one that names back, is followed once. Raises `NotFound` for an unknown
    name.
    """
    first = models.get(name)
    if first is None:
        raise NotFound(f"The model {name!r} does not exist", param="model", hint=_known(models))
    if len(first.route) == 1 and not first.fallback and keys(first.route[0].provider) == 1:
        return [Target(first, first.route[0])] if suits(first.route[0]) else []
    targets: list[Target] = []
    queue, seen = [name], {name}
    while queue:
        model = models.get(queue.pop(0))
        if model is None:
            continue
        for route in _ordered(model, draw, least_loaded, cost):
            if suits(route):
                targets += _with_keys(model, route, keys(route.provider), draw)
        fresh = [other for other in dict.fromkeys(model.fallback) if other not in seen]
        queue += fresh
        seen.update(fresh)
    return targets


def _ordered(
    model: ModelConfig,
    draw: Callable[[], float],
    least_loaded: Callable[[list[Target]], list[Target]] | None,
    cost: Callable[[ModelConfig, Route], Decimal] | None,
) -> list[Route]:
    if model.strategy == "priority":
        return list(model.route)
    if model.strategy == "cheapest" and cost is not None:
        return sorted(_drawn(model.route, draw), key=lambda route: (route.weight == 0, cost(model, route)))
    if model.strategy == "latency" and least_loaded is not None:
        serving = [Target(model, route) for route in model.route if route.weight > 0]
        unused = [route for route in model.route if route.weight == 0]
        return [*(target.route for target in least_loaded(serving)), *unused]
    return _drawn(model.route, draw)


def _with_keys(model: ModelConfig, route: Route, count: int, draw: Callable[[], float]) -> list[Target]:
    if count == 1:
        return [Target(model, route)]
    first = int(draw() * count)
    return [Target(model, route, (first + at) % count, count - 1 - at) for at in range(count)]


def is_retried(error: Upstream) -> bool:
    """Whether the same request may succeed at the same upstream a moment later."""
    if isinstance(error, UpstreamRefused):
        return error.status in RETRIED_STATUSES or error.status >= 500
    return True


def moves_on(error: Upstream) -> bool:
    """Whether another upstream may answer what this one did not."""
    return is_retried(error) or error.status in CREDENTIAL_STATUSES or error.status == 404


def rotates(error: AssayError) -> bool:
    """Whether another key of the same provider may be let through where this one was not."""
    return isinstance(error, UpstreamRefused) and (error.status == 429 or error.status in CREDENTIAL_STATUSES)


def backoff_s(retry: int, error: AssayError, draw: Callable[[], float]) -> float | None:
    """Seconds before retry number `retry` (from 0): what the upstream asked for, else exponential with full jitter.

    None when the upstream asked for longer than a client should be kept waiting.
    """
    asked: float | None = getattr(error, "retry_after_s", None)
    if asked is not None:
        return asked if asked <= LONGEST_WAIT_S else None
    return float(min(0.1 * 2**retry, 2.0)) * draw()


def for_client(error: Upstream) -> Upstream:
    """The error as a client should see it: a provider that refuses Assay's own key is no 401 for the client."""
    if isinstance(error, UpstreamRefused) and error.status in CREDENTIAL_STATUSES:
        hidden = Upstream(error.message, hint="Check the api_key of this provider in Assay's configuration.")
        hidden.status = 502
        return hidden
    return error


def _drawn(route: Sequence[Route], draw: Callable[[], float]) -> list[Route]:
    """Weighted order without replacement (Efraimidis and Spirakis 2006: sort by u^(1/w)); weight 0 comes last."""
    if len(route) == 1:
        return list(route)
    keyed = [
        (draw() ** (1 / entry.weight) if entry.weight > 0 else -1.0, at, entry)
        for at, entry in enumerate(route)
    ]
    return [entry for _, _, entry in sorted(keyed, key=lambda item: (-item[0], item[1]))]


def _known(models: Mapping[str, ModelConfig]) -> str:
    if not models:
        return "No model is configured: add [models.<name>] to assay.toml, or run `assay models pull smollm2-135m`."
    names = sorted(models)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"Known models: {', '.join(names[:12])}{more}."
