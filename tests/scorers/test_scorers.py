"""The built-in scorers: what each says, and that a wrong reference is that case's error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.scorers import ScoreResult, Unscorable, bind


def value(specification: Any, output: str, reference: Any = None) -> bool | float:
    result = bind(specification).score("input", output, reference, {})
    assert isinstance(result, ScoreResult), result
    return result.value


@pytest.mark.parametrize(
    ("specification", "output", "reference", "expected"),
    [
        ("exact", " Paris\n", "Paris", True),
        ("exact", "paris", "Paris", False),
        ({"name": "exact", "casefold": True}, "STRASSE", "straße", True),
        ({"name": "exact", "strip": False}, "Paris ", "Paris", False),
        ("exact", "b", ["a", "b"], True),
        ("contains", "I went to Paris.", "Paris", True),
        ("contains", "I went to Paris.", ["Paris", "Rome"], False),
        ({"name": "contains", "mode": "any"}, "I went to Paris.", ["Paris", "Rome"], True),
        ({"name": "contains", "text": "sorry", "casefold": True}, "SORRY, no", None, True),
        ("regex", "order 66", r"\d+", True),
        ({"name": "regex", "pattern": r"\d+", "full": True}, "order 66", None, False),
        ({"name": "regex", "pattern": "yes", "casefold": True}, "YES", None, True),
        ("numeric", "First 3, then the answer is 1,234.50.", 1234.5, True),
        ({"name": "numeric", "take": "first"}, "3 or 4", "3", True),
        ("numeric", "minus \u22125", -5, True),
        ("numeric", "0.1", 0.1, True),
        ({"name": "numeric", "tolerance": 0.5}, "3.4", 3, True),
        ({"name": "numeric", "relative": 0.01}, "101", 100, True),
        ({"name": "numeric", "relative": 0.01}, "102", 100, False),
        ("numeric", "none at all", 1, False),
        ("json_valid", '{"a": 1}', None, True),
        ("json_valid", "```json\n[1]\n```", None, True),
        ({"name": "json_valid", "fenced": False}, "```json\n[1]\n```", None, False),
        ("json_valid", "{'a': 1}", None, False),
        ({"name": "json_valid", "schema": {"required": ["a"]}}, '{"b": 1}', None, False),
        ("json_fields", '{"a": 1.0, "b": [true], "c": 0}', {"a": 1, "b": [True]}, True),
        ("json_fields", '{"a": true}', {"a": 1}, False),
        ({"name": "json_fields", "fields": ["a"]}, '{"a": 1, "b": 2}', {"a": 1, "b": 3}, True),
        ("json_fields", "nothing", {"a": 1}, False),
        ("json_fields", "[1]", {"a": 1}, False),
    ],
)
def test_what_each_scorer_says(specification: Any, output: str, reference: Any, expected: bool) -> None:
    assert value(specification, output, reference) is expected


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("exact", None),
        ("exact", 3),
        ("exact", ["a", 1]),
        ("exact", []),
        ("contains", {"a": 1}),
        ("regex", None),
        ("regex", "("),
        ("numeric", "many"),
        ("numeric", True),
        ("numeric", None),
        ("numeric", "nan"),
        ("json_fields", "text"),
        ({"name": "json_fields", "fields": ["z"]}, {"a": 1}),
    ],
)
def test_a_wrong_reference_is_unscorable(name: Any, reference: Any) -> None:
    assert isinstance(bind(name).score("input", "output", reference, {}), Unscorable)


def test_patterns_run_in_linear_time() -> None:
    assert value({"name": "regex", "pattern": "(a+)+$"}, "a" * 50_000 + "b") is False


@given(
    st.text(),
    st.one_of(
        st.none(),
        st.text(),
        st.integers(),
        st.floats(),
        st.lists(st.text()),
        st.dictionaries(st.text(), st.integers()),
    ),
)
def test_no_output_or_reference_makes_a_scorer_fail(output: str, reference: Any) -> None:
    for name in ("exact", "contains", "regex", "numeric", "json_valid", "json_fields"):
        result = bind(name).score({}, output, reference, {})
        assert not (isinstance(result, Unscorable) and "failed" in result.reason), result


@given(st.integers(-(10**15), 10**15), st.booleans())
def test_numeric_reads_back_whole_numbers(number: int, grouped: bool) -> None:
    assert value("numeric", f"It is {number:,}" if grouped else f"It is {number}", number) is True
