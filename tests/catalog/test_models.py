"""`[models.<name>]` tables."""

from decimal import Decimal
from typing import Any

import pytest

from assay.catalog.config import parse_config
from assay.catalog.models import parse_model
from assay.errors import BadRequest

ROUTE = [{"provider": "acme", "model": "m"}]


def test_a_model_has_defaults_for_all_but_its_route() -> None:
    model = parse_model("fast", {"route": ROUTE})
    assert (model.name, model.route[0].provider, model.route[0].weight) == ("fast", "acme", 1.0)
    assert (model.fallback, model.retries, model.price, model.completions) == ((), 2, None, "native")


def test_every_field_of_the_file_is_read() -> None:
    text = """
    [providers.acme]
    type = "openai"
    [models.slow]
    route = [{ provider = "acme", model = "big" }]
    [models.fast]
    route = [{ provider = "acme", model = "small", weight = 3 }, { provider = "acme", model = "other" }]
    fallback = ["slow"]
    timeout = { connect_s = 2, first_token_s = 10.5, idle_s = 15, total_s = 120 }
    retries = 0
    completions = "chat"
    price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.3 }
    """
    model = parse_config(text).models["fast"]
    assert [route.weight for route in model.route] == [3.0, 1.0]
    assert (model.timeouts.connect_s, model.timeouts.first_token_s) == (2.0, 10.5)
    assert (model.fallback, model.retries, model.completions) == (("slow",), 0, "chat")
    assert model.price is not None
    # 0.1 and 0.3 are the decimals that the file shows, not the floats nearest to them.
    assert (model.price.rates.input, model.price.rates.output) == (Decimal("0.1"), Decimal("0.3"))


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({}, "models.x.route", "at least one upstream"),
    ({"route": []}, "models.x.route", "at least one upstream"),
    ({"route": [{"provider": "a"}]}, "models.x.route[0]", "model"),
    ({"route": [{**ROUTE[0], "wieght": 1}]}, "models.x.route[0].wieght", "no key"),
    ({"route": [{**ROUTE[0], "weight": -1}]}, "models.x.route[0].weight", "zero or more"),
    ({"route": [{**ROUTE[0], "weight": float("nan")}]}, "models.x.route[0].weight", "zero or more"),
    ({"route": ROUTE, "retries": True}, "models.x.retries", "whole number"),
    ({"route": ROUTE, "retries": 99}, "models.x.retries", "whole number"),
    ({"route": ROUTE, "breaker": {"failures": 1.5}}, "models.x.breaker.failures", "number"),
    ({"route": ROUTE, "breaker": {"opens": 1}}, "models.x.breaker.opens", "opens"),
    ({"route": ROUTE, "strategy": "fastest"}, "models.x.strategy", "one of"),
    ({"route": ROUTE, "timeout": {"total_s": 0}}, "models.x.timeout.total_s", "above 0"),
    ({"route": ROUTE, "timeout": {"total": 3}}, "models.x.timeout.total", "no key"),
    ({"route": ROUTE, "timeout": 3}, "models.x.timeout", "a table"),
    ({"route": ROUTE, "fallback": "slow"}, "models.x.fallback", "a list"),
    ({"route": ROUTE, "completions": "yes"}, "models.x.completions", "native"),
    ({"route": ROUTE, "price": {"input": 1}}, "models.x.price.input", "no key"),
    (
        {"route": ROUTE, "price": {"input_usd_per_mtok": -1}},
        "models.x.price.input_usd_per_mtok",
        "zero or more",
    ),
    (
        {"route": ROUTE, "price": {"input_usd_per_mtok": "much"}},
        "models.x.price.input_usd_per_mtok",
        "zero or more",
    ),
    ({"route": ROUTE, "retires": 1}, "models.x.retires", "no key"),
]


@pytest.mark.parametrize(("table", "param", "message"), BAD)
def test_a_mistake_is_named_by_its_field(table: dict[str, Any], param: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message) as caught:
        parse_model("x", table)
    assert caught.value.param == param


def test_an_unknown_key_gets_the_nearest_known_one_as_a_hint() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_model("x", {"route": ROUTE, "retires": 1})
    assert caught.value.hint == "Did you mean 'retries'?"
