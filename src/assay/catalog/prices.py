"""What a call costs: a price for each disjoint class of tokens, and their exact sum.

    the model's own `price` in assay.toml  >  a runtime on this machine: 0  >  the vendor's price list  >  unknown

Every price has a source and the day from which it applies, and both are in its id, so that a span says what priced it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Protocol

from assay.catalog.rates import FREE, Price, Rates
from assay.catalog.table import VendorTable, next_change
from assay.kit.clock import SYSTEM, Clock
from assay.providers.types import ProviderConfig
from assay.wire.usage import Usage

__all__ = ["FREE", "LOCAL_TYPES", "Price", "PriceBook", "Rates", "cost"]

_exact = Context(prec=60)
_MILLION = Decimal(1_000_000)
_CLASSES = Rates.__struct_fields__

LOCAL_TYPES = frozenset({"llama"})
"""Provider types that run the model on this machine: a call to them is billed by nobody, so its price is a true zero."""

MOST_REMEMBERED = 4096
"""Upstreams name the models that answered: what they say must not fill the memory."""


class _Model(Protocol):
    @property
    def price(self) -> Price | None: ...


class _Route(Protocol):
    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...


class Priced(Protocol):
    """What is priced: a model of the catalogue and the upstream that answered for it (`calls.plan.Target`)."""

    @property
    def model(self) -> _Model: ...

    @property
    def route(self) -> _Route: ...


class PriceBook:
    """Prices for the configured providers. Safe to share between threads: entries are only added or replaced."""

    def __init__(
        self,
        providers: Mapping[str, ProviderConfig] | None = None,
        *,
        table: VendorTable | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._providers = providers or {}
        self._table = table or VendorTable()
        self._clock = clock
        self._found: dict[tuple[str, str, str | None], tuple[int, Price | None]] = {}

    def find(self, target: Priced, response_model: str | None) -> Price | None:
        """The price in force now, or None when it is unknown. What the upstream said it was is priced, if it is listed."""
        own = target.model.price
        if own is not None:
            return own
        route = target.route
        key = (route.provider, route.model, response_model)
        known = self._found.get(key)
        if known is not None and self._clock.now_ns() < known[0]:
            return known[1]
        return self._look_up(key)

    def forget(self) -> None:
        """The providers are others now."""
        self._found.clear()

    def read_ahead(self) -> None:
        """Read the vendors' lists (0.2 s) now, in a thread at the start, so that no call waits for them.

        When every provider runs on this machine they are not needed and not read.
        """
        for config in self._providers.values():
            if config.type not in LOCAL_TYPES:
                self._table.vendor(config.type, config.base_url)

    def at(self, provider: str, model: str, at_ns: int) -> Price | None:
        """The price of a provider's model at another time, for spans that come late and for pricing again."""
        config = self._providers.get(provider)
        if config is None:
            return None
        if config.type in LOCAL_TYPES:
            return FREE
        vendor = config.options.get("prices") or self._table.vendor(config.type, config.base_url)
        moment = datetime.fromtimestamp(at_ns / 1e9, UTC)
        return self._table.find(str(vendor), model, moment) if vendor else None

    def listed(self, vendor: str | None, model: str, at_ns: int, *, host: str | None = None) -> Price | None:
        """The price in a vendor's list, for a call that went past the gateway. Where it went decides, if that is known:
        many servers speak a vendor's language and bill differently, or not at all."""
        if host is not None:
            vendor = self._table.vendor("", f"https://{host}")
        if vendor is None:
            return None
        return self._table.find(vendor, model, datetime.fromtimestamp(at_ns / 1e9, UTC))

    def _look_up(self, key: tuple[str, str, str | None]) -> Price | None:
        provider, model, response_model = key
        now_ns = self._clock.now_ns()
        price = self.at(provider, response_model, now_ns) if response_model else None
        price = price or self.at(provider, model, now_ns)
        until = next_change(datetime.fromtimestamp(now_ns / 1e9, UTC))
        if len(self._found) >= MOST_REMEMBERED:
            self._found.clear()
        self._found[key] = (int(until.timestamp()) * 1_000_000_000, price)
        return price


def cost(usage: Usage, price: Price) -> Decimal | None:
    """The exact sum in US dollars, or None when tokens were used whose price is unknown."""
    rates = price.at(usage.total_input) if price.tiers else price.rates
    sum_per_mtok = Decimal(0)
    for name in _CLASSES:
        tokens = getattr(usage, name)
        if tokens:
            rate = getattr(rates, name)
            if rate is None:
                return None
            sum_per_mtok = _exact.add(sum_per_mtok, _exact.multiply(rate, tokens))
    return _exact.divide(sum_per_mtok, _MILLION)
