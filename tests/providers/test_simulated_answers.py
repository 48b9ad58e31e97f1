"""Tokens lose nothing, lorem depends only on its prompt, and shaped values fit their schema."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.providers.simulated.answers import lorem, shaped, tokens


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


def test_a_long_word_has_several_tokens_and_a_space_belongs_to_the_word_after() -> None:
    assert tokens("a internationalisation ") == ["a", " internat", "ionalisa", "tion", " "]


def test_lorem_depends_on_the_prompt_alone_and_a_longer_one_goes_on() -> None:
    assert lorem("p", 10) == lorem("p", 10)
    assert lorem("p", 20).startswith(lorem("p", 10))
    assert lorem("p", 10) != lorem("q", 10)


ORDER = {
    "$defs": {
        "item": {
            "type": "object",
            "properties": {
                "sku": {"type": "string", "minLength": 12},
                "count": {"type": "integer", "minimum": 3, "maximum": 4},
            },
            "required": ["sku", "count"],
        },
        "node": {
            "type": "object",
            "properties": {
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "n": {"type": "number"},
            },
            "required": ["next"],
        },
    }
}


@pytest.mark.parametrize("seed", range(5))
def test_a_value_has_the_shape_of_its_schema(seed: int) -> None:
    schema: dict[str, Any] = {
        **ORDER,
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 2},
            "state": {"enum": ["open", "closed"]},
            "paid": {"type": "boolean"},
            "note": {"type": ["string", "null"], "maxLength": 3},
            "when": {"type": "string", "format": "date"},
            "kind": {"const": 7},
            "both": {
                "allOf": [{"properties": {"a": {"type": "null"}}}, {"properties": {"b": {"type": "boolean"}}}]
            },
            "score": {"type": "number", "minimum": 0.5, "maximum": 0.6},
            "even": {"type": "integer", "multipleOf": 4, "exclusiveMinimum": 4, "maximum": 8},
        },
    }
    value = shaped(schema, Random(seed))
    assert set(value) == set(schema["properties"])
    assert len(value["items"]) == 2
    assert all(len(item["sku"]) >= 12 and item["count"] in (3, 4) for item in value["items"])
    assert value["state"] in ("open", "closed")
    assert isinstance(value["paid"], bool)
    assert len(value["note"]) <= 3
    assert value["when"] == "2026-01-31"
    assert value["kind"] == 7
    assert value["both"]["a"] is None
    assert isinstance(value["both"]["b"], bool)
    assert 0.5 <= value["score"] <= 0.6
    assert value["even"] == 8


def test_a_schema_that_contains_itself_ends() -> None:
    assert "next" in shaped({**ORDER, "$ref": "#/$defs/node"}, Random(1))


def test_a_schema_that_branches_without_end_is_given_up() -> None:
    children = {f"c{n}": {"$ref": "#"} for n in range(20)}
    value = shaped({"type": "object", "properties": children, "required": list(children)}, Random(1))
    assert set(value) == set(children)
