"""Scripts are read strictly, and distributions have the figures they claim."""

from random import Random
from statistics import fmean, median, quantiles, stdev
from typing import Any

import pytest

from assay.errors import BadRequest
from assay.providers.simulated import (
    Behaviour,
    Change,
    LogNormal,
    Normal,
    Percentiles,
    Rule,
    Script,
    parse_script,
)
from assay.providers.simulated.behaviour import draw


def test_a_table_of_options_becomes_a_script() -> None:
    script = parse_script(
        {
            "answer": "echo",
            "models": ["small", "large"],
            "head_s": {"shape": "lognormal", "median": 0.2, "sigma": 0.5},
            "first_token_s": 1,
            "rules": [{"match": "a", "answer": "b"}],
            "then": [{"after_calls": 3, "set": {"status": 500}}],
        }
    )
    assert script.head_s == LogNormal(0.2, 0.5)
    assert script.rules == (Rule(match="a", answer="b"),)
    assert script.then == (Change(after_calls=3, set={"status": 500}),)
    assert script.behaviour == Behaviour(
        answer="echo", head_s=LogNormal(0.2, 0.5), first_token_s=1, rules=(Rule(match="a", answer="b"),)
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"anwser": "echo"}, "anwser"),
        ({"answer": "shout"}, "answer"),
        ({"head_s": "soon"}, "head_s"),
        ({"head_s": {"shape": "uniform"}}, "head_s"),
        ({"first_token_s": {"shape": "percentiles", "at": {"50": 2, "90": 1}}}, "first_token_s"),
        ({"refuse": 1.5}, "refuse"),
        ({"errors": {"200": 0.5}}, "200"),
        ({"errors": {"500": 0.6, "503": 0.6}}, "errors"),
        ({"cut_at": -1}, "cut_at"),
        ({"rules": [{"match": "("}]}, "rules[0]"),
        ({"rules": [{"match": "a", "answer": "b", "tool": "c"}]}, "rules[0]"),
        ({"then": [{"set": {}}]}, "then[0]"),
        ({"then": [{"after_calls": 1, "set": {"sttus": 500}}]}, "sttus"),
    ],
)
def test_a_mistake_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_script(options)
    assert named in caught.value.message


def test_changes_replace_only_their_fields() -> None:
    changed = Behaviour(answer="echo", head_s=Normal(1, 0.1)).with_changes({"status": 500})
    assert changed == Behaviour(answer="echo", head_s=Normal(1, 0.1), status=500)


def test_a_normal_has_its_mean_and_spread_and_is_never_negative() -> None:
    random = Random(1)
    values = [draw(Normal(5, 1), random) for _ in range(5000)]
    assert fmean(values) == pytest.approx(5, abs=0.06)
    assert stdev(values) == pytest.approx(1, abs=0.04)
    assert min(draw(Normal(0, 1), random) for _ in range(100)) == 0


def test_a_lognormal_has_its_median_and_a_tail() -> None:
    random = Random(2)
    values = [draw(LogNormal(0.2, 1.0), random) for _ in range(5000)]
    assert median(values) == pytest.approx(0.2, rel=0.06)
    assert fmean(values) == pytest.approx(0.2 * 2.718281828**0.5, rel=0.1)


def test_percentiles_are_met_where_they_were_given() -> None:
    random = Random(3)
    values = [draw(Percentiles({"0": 0, "50": 1, "90": 3, "100": 10}), random) for _ in range(10000)]
    cuts = quantiles(values, n=100)
    assert cuts[49] == pytest.approx(1, rel=0.05)
    assert cuts[89] == pytest.approx(3, rel=0.08)
    assert cuts[24] == pytest.approx(0.5, rel=0.08)


def test_a_script_keeps_its_own_fields_out_of_its_behaviour() -> None:
    assert Script(seed=3, api_key="k", status=500).behaviour == Behaviour(status=500)
