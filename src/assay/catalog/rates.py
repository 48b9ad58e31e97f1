"""A price: dollars per million tokens of each disjoint class, with its source and the day from which it applies."""

from decimal import Decimal
from typing import Literal

import msgspec


class Rates(msgspec.Struct, frozen=True, omit_defaults=True):
    """US dollars per million tokens, by the classes of `wire.Usage`. None: not known."""

    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None


class Tier(msgspec.Struct, frozen=True):
    """The rates for all tokens of a call whose input is longer than `above_input_tokens`."""

    above_input_tokens: int
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `id` names source, model and effective day, and goes on every span that it priced."""

    id: str
    source: Literal["configured", "table", "local"]
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    """in ascending order"""
    since: str | None = None
    """the UTC day from which it applies; None: from the beginning"""

    def at(self, input_tokens: int) -> Rates:
        """The rates for a call with that much input."""
        rates = self.rates
        for tier in self.tiers:
            if input_tokens > tier.above_input_tokens:
                rates = tier.rates
        return rates


FREE = Price(
    id="local",
    source="local",
    rates=Rates(*[Decimal(0)] * len(Rates.__struct_fields__)),
)
"""A model on this machine: nobody bills a call to it. What the machine costs is another question."""
