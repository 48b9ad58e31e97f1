"""Scorers by name and options."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest

from assay.errors import BadRequest
from assay.scorers import BoundScorer, ScoreResult, Unscorable, bind, bind_all, names, registry


class Length:
    """A scorer of another package."""

    kind: ClassVar[str] = "number"
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[None] = None

    def __init__(self, unit: str = "characters") -> None:
        self.unit = unit

    def score(self, input: Any, output: str, reference: Any, context: Mapping[str, Any]) -> ScoreResult:
        if self.unit == "wrong":
            return ScoreResult(True)
        return ScoreResult(float(len(output) / {"characters": 1, "none": 0}[self.unit]))


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("length", f"{__name__}:Length", registry.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Length)
    monkeypatch.setattr(registry, "_installed", lambda: {"length": point})


def test_the_version_follows_what_the_options_mean() -> None:
    assert bind("exact").version == bind({"name": "exact", "strip": True}).version
    assert bind("exact").version == bind({"name": "exact", "as": "same"}).version
    assert bind("exact").version != bind({"name": "exact", "strip": False}).version


def test_a_specification_makes_the_same_scorer_again() -> None:
    first = bind({"name": "contains", "as": "polite", "text": "please"})
    assert bind(first.specification) == first
    assert first.metric == "polite"


@pytest.mark.parametrize(
    "wrong",
    ["exakt", {}, {"name": 3}, {"name": "exact", "casefolded": True}, {"name": "exact", "strip": "yes"},
     {"name": "regex", "pattern": "("}, {"name": "regex", "pattern": r"(a)\1"}, {"name": "exact", "as": "a b"},
     {"name": "json_valid", "schema": {"type": "nonsense"}},
     {"name": "json_valid", "schema": {"$ref": "http://127.0.0.1:1/x"}}],
)  # fmt: skip
def test_what_cannot_be_made_is_refused(wrong: Any) -> None:
    with pytest.raises(BadRequest):
        bind(wrong)


def test_each_scorer_has_a_metric_of_its_own() -> None:
    with pytest.raises(BadRequest, match="'contains'"):
        bind_all(["contains", {"name": "contains", "text": "x"}])
    with pytest.raises(BadRequest, match="at least one"):
        bind_all([])
    assert [each.metric for each in bind_all(["contains", {"name": "contains", "as": "x"}])] == [
        "contains",
        "x",
    ]


@pytest.mark.usefixtures("_installed")
def test_scorers_of_other_packages_are_like_the_built_in_ones() -> None:
    assert "length" in names()
    made: BoundScorer = bind({"name": "length"})
    assert made.score("", "four", None, {}) == ScoreResult(4.0)
    with pytest.raises(BadRequest, match="does not take"):
        bind({"name": "length", "units": "words"})


@pytest.mark.usefixtures("_installed")
def test_a_scorer_that_fails_or_says_something_else_is_an_error_of_the_case() -> None:
    for unit, said in (("none", "ZeroDivisionError"), ("wrong", "gave True")):
        result = bind({"name": "length", "unit": unit}).score("", "x", None, {})
        assert isinstance(result, Unscorable)
        assert said in result.reason


def test_a_run_has_a_bounded_number_of_scorers() -> None:
    with pytest.raises(BadRequest, match="At most"):
        bind_all([{"name": "exact", "as": f"m{number}"} for number in range(10_000)])


@pytest.mark.parametrize("option", ["tolerance", "relative"])
def test_a_number_is_never_allowed_to_differ_by_less_than_nothing(option: str) -> None:
    with pytest.raises(BadRequest, match=option):
        bind({"name": "numeric", option: -1})
