"""A model of the catalogue: the name that clients ask for and where it leads."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from assay.catalog.caching import CachePolicy, parse_policy
from assay.catalog.guards import GuardRule, parse_guards
from assay.catalog.known import nearest, unknown
from assay.catalog.rates import Price, Rates
from assay.errors import BadRequest
from assay.providers.types import Timeouts

Ability = Literal["tools", "images", "audio", "files", "json_schema"]
"""What not every model can."""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One upstream of a model: a configured provider and that provider's own name for the model. It is not asked for calls
    with more input than `context_tokens`, nor for what it `lacks`."""

    provider: str
    model: str
    weight: float = 1.0
    context_tokens: int | None = None
    lacks: tuple[Ability, ...] = ()


class BreakerRule(msgspec.Struct, frozen=True):
    """`failures` in a row (0: never) open the breaker of an upstream, for `open_s` seconds at first and at most `longest_s`."""

    failures: int = 5
    open_s: float = 5.0
    longest_s: float = 60.0


class Economy(msgspec.Struct, frozen=True):
    """Once the share `above` of a budget is used, calls under it are answered by the cheaper `model`."""

    above: float
    model: str


class StructuredRule(msgspec.Struct, frozen=True):
    """How answers are brought to fit a JSON Schema: `attempts` in all, and whether the provider takes the schema itself; None
    tries that first."""

    attempts: int = 3
    native: bool | None = None


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A `[models.<name>]` table. `price` is what the file says; None leaves it to the price table."""

    name: str
    route: tuple[Route, ...]
    fallback: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    retries: int = 2
    price: Price | None = None
    completions: Literal["native", "chat"] = "native"
    responses: bool | None = None
    """whether its upstreams speak the Responses API; None leaves it to what is known of the provider"""
    strategy: Literal["weighted", "priority", "latency", "cheapest"] = "weighted"
    breaker: BreakerRule = BreakerRule()
    cache: CachePolicy | None = None
    economy: Economy | None = None
    guards: tuple[GuardRule, ...] = ()
    structured: StructuredRule | None = None


MOST_RETRIES = 10
STRATEGIES = ("weighted", "priority", "latency", "cheapest")
_FIELDS = (
    "route",
    "fallback",
    "timeout",
    "retries",
    "price",
    "completions",
    "responses",
    "strategy",
    "breaker",
    "guards",
    "structured",
    "economy",
    "cache",
)
_TIMEOUTS = ("connect_s", "first_token_s", "idle_s", "total_s")
_PRICES: Mapping[str, tuple[str, ...]] = {
    "input_usd_per_mtok": ("input",),
    "cached_input_usd_per_mtok": ("cache_read",),
    "cache_write_usd_per_mtok": ("cache_write_5m", "cache_write_1h"),
    "cache_write_1h_usd_per_mtok": ("cache_write_1h",),
    "output_usd_per_mtok": ("output", "reasoning"),
    "reasoning_usd_per_mtok": ("reasoning",),
    "audio_input_usd_per_mtok": ("audio_input",),
    "audio_output_usd_per_mtok": ("audio_output",),
    "image_input_usd_per_mtok": ("image_input",),
    "image_output_usd_per_mtok": ("image_output",),
}
"""Key in the file → the token classes that it prices; a later, more specific key wins."""


def parse_model(name: str, table: Mapping[str, Any]) -> ModelConfig:
    """Read a `[models.<name>]` table. Raises `BadRequest` whose `param` is the field."""
    where = f"models.{name}"
    _table(where, table)
    for field in table:
        if field not in _FIELDS:
            raise unknown(where, field, _FIELDS)
    fallback = table.get("fallback", ())
    if not isinstance(fallback, list | tuple) or not all(isinstance(other, str) for other in fallback):
        raise BadRequest(
            f"{where}.fallback is {fallback!r}: it must be a list of model names", param=f"{where}.fallback"
        )
    completions = table.get("completions", "native")
    if completions not in ("native", "chat"):
        raise BadRequest(
            f"{where}.completions is {completions!r}: it must be 'native' or 'chat'",
            param=f"{where}.completions",
        )
    responses = table.get("responses")
    if not isinstance(responses, bool | None):
        raise BadRequest(
            f"{where}.responses is {responses!r}: it must be true or false", param=f"{where}.responses"
        )
    strategy = table.get("strategy", "weighted")
    if strategy not in STRATEGIES:
        raise BadRequest(
            f"{where}.strategy is {strategy!r}: it must be one of {', '.join(STRATEGIES)}",
            param=f"{where}.strategy",
        )
    return ModelConfig(
        name=name,
        route=_route(where, table.get("route")),
        fallback=tuple(fallback),
        timeouts=_timeouts(where, table.get("timeout", {})),
        retries=_retries(where, table.get("retries", 2)),
        price=_price(name, table["price"]) if "price" in table else None,
        completions=completions,
        responses=responses,
        strategy=strategy,
        breaker=_breaker(where, table.get("breaker", {})),
        guards=parse_guards(f"{where}.guards", table.get("guards", ())),
        structured=_structured(where, table["structured"]) if "structured" in table else None,
        economy=_economy(where, table["economy"]) if "economy" in table else None,
        cache=parse_policy(f"{where}.cache", table["cache"], is_task=False) if "cache" in table else None,
    )


def check_references(models: Mapping[str, ModelConfig], providers: Mapping[str, object]) -> None:
    """Every route leads to a provider and every fallback to a model. Raises `BadRequest` naming the one that does not."""
    for model in models.values():
        for at, route in enumerate(model.route):
            if route.provider not in providers:
                raise BadRequest(
                    f"models.{model.name}.route[{at}] names the provider {route.provider!r}, which is not configured",
                    param=f"models.{model.name}.route[{at}].provider",
                    hint=nearest(route.provider, providers) or f"Add [providers.{route.provider}].",
                )
        for other in model.fallback:
            if other not in models:
                raise BadRequest(
                    f"models.{model.name}.fallback names {other!r}, which is not a model",
                    param=f"models.{model.name}.fallback",
                    hint=nearest(other, models) or f"Add [models.{other}].",
                )
        if model.economy is not None and model.economy.model not in models:
            raise BadRequest(
                f"models.{model.name}.economy names {model.economy.model!r}, which is not a model",
                param=f"models.{model.name}.economy.model",
                hint=nearest(model.economy.model, models) or f"Add [models.{model.economy.model}].",
            )


def _route(where: str, given: Any) -> tuple[Route, ...]:
    if not isinstance(given, list) or not given:
        raise BadRequest(
            f"{where}.route must name at least one upstream",
            param=f"{where}.route",
            hint='Write e.g. route = [{ provider = "openai", model = "gpt-4o-mini" }].',
        )
    made = []
    for at, entry in enumerate(given):
        field = f"{where}.route[{at}]"
        _table(field, entry)
        for key in entry:
            if key not in Route.__struct_fields__:
                raise unknown(field, key, Route.__struct_fields__)
        try:
            route = msgspec.convert(entry, Route)
        except msgspec.ValidationError as error:
            raise BadRequest(f"{field} cannot be used: {error}", param=field) from error
        if route.context_tokens is not None and route.context_tokens < 1:
            raise BadRequest(
                f"{field}.context_tokens is {route.context_tokens}: it must be 1 or more",
                param=f"{field}.context_tokens",
            )
        if not 0 <= route.weight < float("inf"):
            raise BadRequest(
                f"{field}.weight is {route.weight!r}: it must be zero or more", param=f"{field}.weight"
            )
        made.append(route)
    return tuple(made)


def _timeouts(where: str, given: Any) -> Timeouts:
    field = f"{where}.timeout"
    _table(field, given)
    for key, value in given.items():
        if key not in _TIMEOUTS:
            raise unknown(field, key, _TIMEOUTS)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 86_400:
            raise BadRequest(
                f"{field}.{key} is {value!r}: it must be seconds, above 0 and at most a day",
                param=f"{field}.{key}",
            )
    return Timeouts(**{key: float(value) for key, value in given.items()})


def _retries(where: str, given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= MOST_RETRIES:
        raise BadRequest(
            f"{where}.retries is {given!r}: it must be a whole number from 0 to {MOST_RETRIES}",
            param=f"{where}.retries",
        )
    return given


def _structured(where: str, given: Any) -> StructuredRule:
    field = f"{where}.structured"
    _table(field, given)
    for key in given:
        if key not in StructuredRule.__struct_fields__:
            raise unknown(field, key, StructuredRule.__struct_fields__)
    try:
        rule = msgspec.convert(given, StructuredRule)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{field} cannot be used: {error}", param=field) from error
    if not 1 <= rule.attempts <= MOST_RETRIES:
        raise BadRequest(
            f"{field}.attempts is {rule.attempts}: it must be a whole number from 1 to {MOST_RETRIES}",
            param=f"{field}.attempts",
        )
    return rule


def _breaker(where: str, given: Any) -> BreakerRule:
    field = f"{where}.breaker"
    _table(field, given)
    for key, value in given.items():
        if key not in BreakerRule.__struct_fields__:
            raise unknown(field, key, BreakerRule.__struct_fields__)
        kinds = int if key == "failures" else int | float
        if not isinstance(value, kinds) or isinstance(value, bool) or not 0 <= value <= 86_400:
            raise BadRequest(
                f"{field}.{key} is {value!r}: it must be a number, zero or more", param=f"{field}.{key}"
            )
    return BreakerRule(**given)


def _economy(where: str, given: Any) -> Economy:
    field = f"{where}.economy"
    _table(field, given)
    for key in given:
        if key not in Economy.__struct_fields__:
            raise unknown(field, key, Economy.__struct_fields__)
    try:
        economy = msgspec.convert(given, Economy, strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"{field} cannot be used: {error}",
            param=field,
            hint='Write e.g. economy = { above = 0.8, model = "small" }.',
        ) from error
    if not 0 < economy.above < 1:
        raise BadRequest(
            f"{field}.above is {economy.above:g}: from there on no call would ever be made",
            param=f"{field}.above",
            hint="It is a share of the budget between 0 and 1.",
        )
    return economy


def _price(name: str, given: Any) -> Price:
    """`price = {…}`: dollars per million tokens. A class that is not priced stays unknown, except that reasoning is
    output and a cache write of one hour is a cache write, unless they have a price of their own."""
    field = f"models.{name}.price"
    _table(field, given)
    rates: dict[str, Decimal] = {}
    for key in given:
        if key not in _PRICES:
            raise unknown(field, key, _PRICES)
    for key, classes in _PRICES.items():
        if key in given:
            rates |= dict.fromkeys(classes, _amount(f"{field}.{key}", given[key]))
    return Price(id=f"assay.toml:{name}", source="configured", rates=Rates(**rates))


def _amount(field: str, given: Any) -> Decimal:
    """TOML's numbers are read as decimals (`tomllib.loads(parse_float=Decimal)`); a text works too."""
    try:
        amount = Decimal(given) if isinstance(given, int | str) and not isinstance(given, bool) else given
    except ArithmeticError:
        amount = None
    if not isinstance(amount, Decimal) or not amount.is_finite() or amount < 0:
        raise BadRequest(f"{field} is {given!r}: it must be dollars, zero or more", param=field)
    return amount


def _table(field: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise BadRequest(f"{field} is {given!r}: it must be a table", param=field)
