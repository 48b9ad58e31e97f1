"""The vendors' price lists as the package genai-prices keeps them, turned into `Price` rows when they are asked for.

In its lists a price covers what has no price of its own: cached input, images and audio are then billed as input,
reasoning as output. Prices by service tier or for batches (`price_variants`) are not read: a call that asks for a
service tier is priced as standard.
"""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from assay.catalog.rates import Price, Rates, Tier

_OWN_NAMES: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "cohere": "cohere",
    "gemini": "google",
    "bedrock": "aws",
}
"""Provider types whose `base_url` may be left out → vendor in the table."""

_PARENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("input", ("input_mtok",)),
    ("cache_read", ("cache_read_mtok", "input_mtok")),
    ("cache_write_5m", ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")),
    ("cache_write_1h", ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok")),
    ("output", ("output_mtok",)),
    ("reasoning", ("output_reasoning_mtok", "output_mtok")),
    ("audio_input", ("input_audio_mtok", "input_mtok")),
    ("audio_output", ("output_audio_mtok", "output_mtok")),
    ("image_input", ("input_image_mtok", "input_mtok")),
    ("image_output", ("output_image_mtok", "output_mtok")),
)


class VendorTable:
    """Finds rows by vendor, model and time. The package is imported (0.2 s) when the first row is looked for."""

    def __init__(self) -> None:
        self._vendors: dict[str, Any] = {}
        self._edition = ""

    def vendor(self, type: str, base_url: str | None) -> str | None:
        """Whose price list applies to a provider: by its address, or by its type when it has none."""
        self._read()
        if base_url is None:
            return _OWN_NAMES.get(type)
        for name, vendor in self._vendors.items():
            if re.match(vendor.api_pattern, base_url):
                return name
        return None

    def knows(self, vendor: str) -> bool:
        """Whether there is a list of that name."""
        self._read()
        return vendor in self._vendors

    def find(self, vendor: str, model: str, at: datetime) -> Price | None:
        """The row that applies to a model at a time (UTC)."""
        self._read()
        listed = self._vendors.get(vendor)
        found = listed and listed.find_model(model, all_providers=list(self._vendors.values()))
        if not found:
            return None
        prices, since = _in_force(found.prices, at)
        values = {name: value for name, value in vars(prices).items() if value is not None}
        if not any(name in values for name in ("input_mtok", "output_mtok")):
            return None
        day = since or "start"
        return Price(
            id=f"genai-prices {self._edition}:{vendor}/{found.id}@{day}",
            source="table",
            rates=_rates(values, None),
            tiers=_tiers(values),
            since=since,
        )

    def _read(self) -> None:
        if not self._vendors:
            from genai_prices.data import providers

            self._edition = version("genai-prices")
            self._vendors = {vendor.id: vendor for vendor in providers}


def next_change(at: datetime) -> datetime:
    """The next moment at which a row may stop applying: rows begin at midnight UTC, off-peak hours on the quarter."""
    minute = at.minute - at.minute % 15
    return at.replace(minute=minute, second=0, microsecond=0) + timedelta(minutes=15)


def _in_force(prices: Any, at: datetime) -> tuple[Any, str | None]:
    """The last row of a list whose condition holds, else its first, with the day that it began."""
    if not isinstance(prices, list):
        return prices, None
    for row in reversed(prices):
        if row.constraint is None or row.constraint.active(at):
            start = getattr(row.constraint, "start_date", None)
            hours = getattr(row.constraint, "start_time", None)
            return row.prices, _day(start, hours)
    return prices[0].prices, None


def _day(start: Any, hours: time | None) -> str | None:
    if start is not None:
        return str(start.isoformat())
    return f"daily {hours:%H:%M}" if hours is not None else None


def _rates(values: Mapping[str, Any], input_tokens: int | None) -> Rates:
    return Rates(**{name: _first(values, keys, input_tokens) for name, keys in _PARENTS})


def _first(values: Mapping[str, Any], keys: tuple[str, ...], input_tokens: int | None) -> Decimal | None:
    for key in keys:
        if key in values:
            return _amount(values[key], input_tokens)
    return None


def _amount(value: Any, input_tokens: int | None) -> Decimal:
    """A plain price, or one that depends on the length of the input (above a threshold it holds for every token)."""
    if isinstance(value, Decimal):
        return value
    price: Decimal = value.base
    for tier in value.tiers:
        if input_tokens is not None and input_tokens > tier.start:
            price = tier.price
    return price


def _tiers(values: Mapping[str, Any]) -> tuple[Tier, ...]:
    starts = {tier.start for value in values.values() for tier in getattr(value, "tiers", ())}
    return tuple([Tier(start, _rates(values, start + 1)) for start in sorted(starts)])
