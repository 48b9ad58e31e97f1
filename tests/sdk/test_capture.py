"""Arguments and results become bounded JSON, whatever they are and whatever they do."""

import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.sdk.capture import as_json

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: Any


class Row(msgspec.Struct):
    name: str


class Pair(NamedTuple):
    a: int
    b: int


class Model:
    def model_dump(self) -> dict[str, int]:
        return {"a": 1}


class Array:
    shape = (3, 4)
    dtype = "float32"


class Angry:
    def __repr__(self) -> str:
        raise ValueError("do not look at me")


@given(json_values)
def test_a_plain_value_is_itself(value: Any) -> None:
    text, cut = as_json(value, 100_000)
    assert not cut
    assert json.loads(text) == json.loads(json.dumps(value).encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Point(1, Row("n")), {"x": 1, "y": {"name": "n"}}),
        (Pair(1, 2), {"a": 1, "b": 2}),
        (Model(), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        ({3: "three", None: 1}, {"3": "three", "None": 1}),
        ({"s": {1}}, {"s": [1]}),
        (Colour.RED, "red"),
        (Decimal("0.10"), "0.10"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (b"x" * 2_000, "[2,000 bytes]"),
        (Array(), "[Array (3, 4) float32]"),
        (2**70, 2**70),
        ([10**5000], ["[an integer of 16,610 bits]"]),
        (True, True),
        ("lone \ud800", "lone ?"),
        (ValueError("no"), "ValueError('no')"),
    ],
)
def test_other_values_are_told_as_well_as_they_can_be(value: Any, expected: Any) -> None:
    assert json.loads(as_json(value, 10_000)[0]) == expected


def test_a_value_that_fails_when_looked_at_is_named_and_takes_nothing_else_along() -> None:
    text, cut = as_json({"good": 1, "bad": Angry()}, 10_000)
    assert json.loads(text) == {"good": 1, "bad": "[Angry could not be read: ValueError]"}
    assert cut


def test_a_mock_is_told_by_its_name() -> None:
    assert "Mock" in as_json(Mock(spec=["run"], name="tool"), 1_000)[0]


def test_a_value_that_contains_itself_ends() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    text, cut = as_json(value, 10_000)
    assert cut
    assert json.loads(text)


@given(json_values, st.integers(10, 200))
def test_nothing_is_much_longer_than_its_bound(value: Any, limit: int) -> None:
    text, cut = as_json([value] * 50, limit)
    assert cut or len(json.loads(text)) == 50
    assert len(json.loads(text)) <= 51
    assert len(text) <= 12 * limit + 200  # six characters an escape, marks of what is missing


def test_what_is_left_out_is_counted() -> None:
    assert json.loads(as_json("x" * 100, 10)[0]) == "xxxxxxxxxx… [90 more characters]"
    assert json.loads(as_json(list(range(1_000)), 70)[0])[-1] == "… 990 more"
    assert json.loads(as_json({str(n): n for n in range(100)}, 44)[0])["…"].endswith("more")


@pytest.mark.parametrize(
    "value",
    [
        {"documents": [{"text": "word " * 1_000} for _ in range(200_000)]},
        {str(number): {"text": "word"} for number in range(200_000)},
    ],
    ids=["a long list", "a long object"],
)
def test_a_huge_value_costs_no_more_than_its_bound(value: Any) -> None:
    began = time.thread_time()
    text, cut = as_json(value, 10_000)
    assert cut
    assert len(text) < 20_000
    assert time.thread_time() - began < 0.05
