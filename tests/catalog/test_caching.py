"""`cache = { … }` of a model or a task, with errors that name the field."""

from typing import Any

import pytest

from assay.catalog.caching import CachePolicy, parse_policy
from assay.catalog.models import parse_model
from assay.errors import BadRequest

ROUTE = [{"provider": "p", "model": "m"}]


def test_a_model_says_how_long() -> None:
    model = parse_model("m", {"route": ROUTE, "cache": {"ttl_s": 60}})
    assert model.cache == CachePolicy(ttl_s=60.0)
    assert parse_model("m", {"route": ROUTE}).cache is None
    assert parse_policy("c", {"ttl_s": 1.5, "sampled": True}, is_task=False).sampled


def test_a_task_may_compare_questions() -> None:
    given = {"ttl_s": 60, "similarity": 0.95, "encoder": "minilm", "input": "question"}
    policy = parse_policy("tasks.t.cache", given, is_task=True)
    assert (policy.similarity, policy.encoder, policy.input) == (0.95, "minilm", "question")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, ".ttl_s"),
        ({"ttl_s": 0}, ".ttl_s"),
        ({"ttl_s": -1}, ".ttl_s"),
        ({"ttl_s": 1e9}, ".ttl_s"),
        ({"ttl_s": "60"}, ".ttl_s"),
        ({"ttl_s": True}, ".ttl_s"),
        ({"ttl_s": 60, "sampled": 1}, ".sampled"),
        ({"ttl_s": 60, "tll": 3}, ".tll"),
        ({"ttl_s": 60, "similarity": 0.9}, ""),
        ({"ttl_s": 60, "encoder": "minilm"}, ""),
        ({"ttl_s": 60, "similarity": 0, "encoder": "e"}, ".similarity"),
        ({"ttl_s": 60, "similarity": 1.01, "encoder": "e"}, ".similarity"),
        ({"ttl_s": 60, "input": "question"}, ".input"),
        (60, ""),
    ],
)
def test_what_is_wrong_is_named(given: Any, field: str) -> None:
    with pytest.raises(BadRequest) as error:
        parse_policy("c", given, is_task=True)
    assert error.value.param == "c" + field


def test_a_model_compares_no_questions() -> None:
    with pytest.raises(BadRequest, match="no key 'similarity'"):
        parse_model("m", {"route": ROUTE, "cache": {"ttl_s": 60, "similarity": 0.9, "encoder": "e"}})
