"""Prices: which one applies, and sums that are exact or unknown."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import genai_prices
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.catalog.models import ModelConfig, Route, parse_model
from assay.catalog.prices import PriceBook, cost
from assay.catalog.rates import FREE, Price, Rates, Tier
from assay.catalog.table import VendorTable
from assay.providers.types import ProviderConfig
from assay.testing import FakeClock
from assay.wire.usage import Usage

CLASSES = Rates.__struct_fields__
TABLE = VendorTable()
PROVIDERS = {
    "o": ProviderConfig(name="o", type="openai"),
    "by-address": ProviderConfig(name="by-address", type="openai", base_url="https://api.groq.com/openai/v1"),
    "elsewhere": ProviderConfig(name="elsewhere", type="openai", base_url="http://127.0.0.1:9/v1"),
    "proxied": ProviderConfig(
        name="proxied", type="openai", base_url="http://127.0.0.1:9/v1", options={"prices": "openai"}
    ),
    "local": ProviderConfig(name="local", type="llama"),
    "claude": ProviderConfig(name="claude", type="anthropic"),
    "claude-by-address": ProviderConfig(
        name="claude-by-address", type="anthropic", base_url="https://api.anthropic.com"
    ),
}


class Target:
    """What `calls.plan.Target` looks like."""

    def __init__(self, provider: str, model: str, price: Price | None = None) -> None:
        self.route = Route(provider, model)
        self.model = ModelConfig(name="m", route=(self.route,), price=price)


def ns(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[arg-type, misc]


def book(start: int = ns(2026, 11, 24)) -> tuple[PriceBook, FakeClock]:
    clock = FakeClock(start_ns=start)
    return PriceBook(PROVIDERS, table=TABLE, clock=clock), clock


def used(**counts: int) -> Usage:
    return msgspec.convert(counts, Usage)


def rates(**amounts: str) -> Price:
    return Price(
        id="x", source="configured", rates=Rates(**{name: Decimal(text) for name, text in amounts.items()})
    )


@given(st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 10**9)), st.data())
def test_a_cost_is_the_exact_sum_of_disjoint_classes(counts: dict[str, int], data: st.DataObject) -> None:
    amounts = {
        name: data.draw(st.decimals(0, 10_000, places=6, allow_nan=False, allow_infinity=False))
        for name in CLASSES
    }
    found = cost(used(**counts), Price(id="x", source="configured", rates=Rates(**amounts)))
    assert found is not None
    assert (
        Fraction(found) == sum(Fraction(amounts[name]) * count for name, count in counts.items()) / 1_000_000
    )


@given(st.sampled_from(CLASSES), st.integers(1, 10**6))
def test_a_cost_is_unknown_when_a_class_that_was_used_has_no_price(missing: str, count: int) -> None:
    price = Price(
        id="x", source="configured", rates=Rates(**{name: Decimal(1) for name in CLASSES if name != missing})
    )
    assert cost(used(**{missing: count}), price) is None
    assert cost(used(**{name: count for name in CLASSES if name != missing}), price) is not None


def test_nothing_used_costs_nothing() -> None:
    assert cost(Usage(), rates()) == 0


def test_a_long_input_moves_every_token_to_the_dearer_rates() -> None:
    price = Price(
        id="x",
        source="table",
        rates=Rates(input=Decimal(1), cache_read=Decimal(1), output=Decimal(2)),
        tiers=(Tier(100, Rates(input=Decimal(3), cache_read=Decimal(3), output=Decimal(5))),),
    )
    assert cost(Usage(input=60, cache_read=40, output=10), price) == Decimal("0.00012")
    assert cost(Usage(input=61, cache_read=40, output=10), price) == Decimal("0.000353")


def test_the_models_own_price_comes_first() -> None:
    own = rates(input="7")
    assert book()[0].find(Target("o", "gpt-4o-mini", own), None) is own


def test_a_model_of_this_machine_has_a_true_zero() -> None:
    price = book()[0].find(Target("local", "smollm2-135m"), "smollm2-135m")
    assert price is FREE
    assert price.id == "local"
    assert cost(used(**dict.fromkeys(CLASSES, 5)), price) == 0


def test_a_vendor_is_known_by_its_type_or_its_address() -> None:
    prices = book()[0]
    listed = prices.find(Target("o", "gpt-4o-mini"), None)
    assert listed is not None
    assert (listed.rates.input, listed.rates.cache_read, listed.rates.output) == (
        Decimal("0.15"),
        Decimal("0.075"),
        Decimal("0.6"),
    )
    assert "openai/gpt-4o-mini" in listed.id
    groq = prices.find(Target("by-address", "llama-3.3-70b-versatile"), None)
    assert groq is not None
    assert ":groq/" in groq.id


def test_a_server_elsewhere_has_no_price_unless_told_whose() -> None:
    prices = book()[0]
    assert prices.find(Target("elsewhere", "gpt-4o-mini"), None) is None
    assert prices.find(Target("proxied", "gpt-4o-mini"), None) is not None


def test_an_unknown_model_has_no_price() -> None:
    prices = book()[0]
    assert prices.find(Target("o", "no-such-model"), None) is None
    assert prices.find(Target("nobody", "gpt-4o-mini"), None) is None


def test_what_the_vendor_says_that_it_was_is_priced_first() -> None:
    prices = book()[0]
    by_answer = prices.find(Target("o", "no-such-model"), "gpt-4o-mini-2024-07-18")
    assert by_answer is not None
    unlisted_answer = prices.find(Target("o", "gpt-4o-mini"), "something-else")
    assert unlisted_answer is not None
    assert "gpt-4o-mini" in unlisted_answer.id


def test_a_price_applies_from_its_day_on() -> None:
    prices, _ = book()
    before = prices.at("o", "o3", ns(2025, 6, 9))
    after = prices.at("o", "o3", ns(2025, 6, 10))
    assert before is not None
    assert after is not None
    assert (before.rates.input, after.rates.input) == (Decimal(10), Decimal(2))
    assert before.id.endswith("@start")
    assert after.id.endswith("@2025-06-10")


def test_what_is_remembered_is_looked_up_again_when_it_may_have_changed() -> None:
    prices, clock = book(ns(2025, 6, 9) + 23 * 3600 * 10**9)
    target = Target("o", "o3")
    first = prices.find(target, None)
    assert first is not None
    assert prices.find(target, None) is first
    clock.advance(3600)
    second = prices.find(target, None)
    assert second is not None
    assert (first.rates.input, second.rates.input) == (Decimal(10), Decimal(2))


def test_memory_for_names_that_upstreams_make_up_is_bounded() -> None:
    prices, _ = book()
    for number in range(5000):
        prices.find(Target("local", "m"), f"made-up-{number}")
    assert len(prices._found) <= 4096


def test_the_lists_are_read_ahead_only_where_a_vendor_may_be_called() -> None:
    for type, needed in (("llama", False), ("openai", True)):
        table = VendorTable()
        PriceBook({"p": ProviderConfig(name="p", type=type)}, table=table).read_ahead()
        assert bool(table._vendors) is needed


SAMPLES = [
    ("openai", "gpt-4o-mini"),
    ("openai", "o3"),
    ("openai", "gpt-4o-audio-preview"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("deepseek", "deepseek-chat"),
    ("groq", "llama-3.3-70b-versatile"),
]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.integers(0, 400_000),
    st.integers(0, 50_000),
    st.integers(0, 50_000),
    st.integers(0, 50_000),
)
def test_costs_agree_with_the_package_that_keeps_the_prices(
    sample: tuple[str, str], fresh: int, cached: int, written: int, output: int
) -> None:
    vendor, model = sample
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    price = TABLE.find(vendor, model, at)
    assert price is not None
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=fresh + cached + written,
            cache_read_tokens=cached,
            cache_write_tokens=written,
            output_tokens=output,
        ),
        model,
        provider_id=vendor,
        genai_request_timestamp=at,
    )
    ours = cost(Usage(input=fresh, cache_read=cached, cache_write_5m=written, output=output), price)
    assert ours == pytest.approx(theirs.total_price, abs=Decimal("1e-20"))


@pytest.mark.parametrize("provider", ["claude", "claude-by-address"])
def test_each_class_of_anthropics_tokens_has_its_own_price(provider: str) -> None:
    prices, _ = book()
    price = prices.find(Target(provider, "claude-opus-4-5"), "claude-opus-4-5-20251101")
    assert price is not None
    assert price.id.endswith(":anthropic/claude-opus-4-5@start")
    classes = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    million = [cost(used(**{name: 1_000_000}), price) for name in classes]
    assert million == [Decimal(amount) for amount in ("5", "0.5", "6.25", "10", "25", "25")]


def test_reasoning_is_output_unless_it_has_its_own_price() -> None:
    table = {"route": [{"provider": "a", "model": "m"}], "price": {"output_usd_per_mtok": 4}}
    plain = parse_model("m", table).price
    assert plain is not None
    assert cost(Usage(reasoning=1_000_000), plain) == 4
    own = parse_model("m", {**table, "price": {"output_usd_per_mtok": 4, "reasoning_usd_per_mtok": 9}}).price
    assert own is not None
    assert cost(Usage(reasoning=1_000_000, output=1_000_000), own) == 13


def test_a_cache_write_price_covers_both_lifetimes_and_input_covers_no_cache() -> None:
    price = parse_model(
        "m",
        {
            "route": [{"provider": "a", "model": "m"}],
            "price": {"input_usd_per_mtok": 1, "cache_write_usd_per_mtok": 2},
        },
    ).price
    assert price is not None
    assert cost(Usage(cache_write_5m=1_000_000, cache_write_1h=1_000_000), price) == 4
    assert cost(Usage(cache_read=1), price) is None
