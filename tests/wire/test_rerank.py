"""Requests to rerank and the answers of the servers that do it."""

import json
from typing import Any

import msgspec
import pytest

from assay.errors import BadRequest
from assay.wire.rerank import MAX_DOCUMENTS, Ranked, decode_ranked, decode_rerank, rerank_request
from assay.wire.usage import Usage


def body(**more: Any) -> bytes:
    return json.dumps({"model": "m", "query": "q", "documents": ["a", "b", "c"], **more}).encode()


def answer(results: Any, **more: Any) -> bytes:
    return json.dumps({"results": results, **more}).encode()


def test_documents_are_texts_or_objects_with_a_text() -> None:
    request = decode_rerank(body(documents=["one", {"text": "two", "id": 7}], top_n=1))
    assert (request.query, request.documents, request.top_n) == ("q", ("one", "two"), 1)
    assert not request.return_documents
    made = rerank_request("m", "q", ["one", "two"], top_n=1)
    assert (made.documents, made.top_n) == (request.documents, request.top_n)


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", ""]}, "documents[1]"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1].text"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"documents": ["x"] * (MAX_DOCUMENTS + 1)}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"model": None}, "model"),
    ],
)
def test_a_request_that_cannot_be_used_names_its_field(sent: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        decode_rerank(body(**sent))
    assert refused.value.param == param


def test_an_answer_is_in_order_and_as_long_as_was_asked_for() -> None:
    results = [
        {"index": 0, "relevance_score": 0.1, "document": {"text": "a"}},
        {"index": 2, "relevance_score": 0.9},
        {"index": 1, "relevance_score": 0.5},
    ]
    request = decode_rerank(body(top_n=2))
    made = decode_ranked(answer(results, model="up", id="r1", usage={"total_tokens": 9}), request, model="m")
    assert made.results == (Ranked(2, 0.9), Ranked(1, 0.5))
    assert (made.model, made.usage, made.search_units) == ("up", Usage(input=9), None)
    assert json.loads(made.raw) == {
        "id": "r1",
        "model": "up",
        "results": [{"index": 2, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.5}],
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }


def test_documents_go_back_only_to_those_who_asked() -> None:
    results = [{"index": 1, "score": -3.5}, {"index": 0, "score": 2}, {"index": 2, "score": 0}]
    request = decode_rerank(body(return_documents=True))
    made = decode_ranked(json.dumps(results).encode(), request, model="m")
    assert [each["document"]["text"] for each in json.loads(made.raw)["results"]] == ["a", "c", "b"]
    assert json.loads(made.raw)["model"] == "m"
    assert made.usage is None


def test_searches_that_are_billed_are_no_tokens() -> None:
    results = [{"index": at, "relevance_score": at} for at in range(3)]
    meta = {"billed_units": {"search_units": 2.0, "input_tokens": 40}}
    made = decode_ranked(answer(results, meta=meta), decode_rerank(body()), model="m")
    assert (made.search_units, made.usage) == (2, None)
    meta = {"billed_units": {"input_tokens": 40}}
    made = decode_ranked(answer(results, meta=meta), decode_rerank(body()), model="m")
    assert (made.search_units, made.usage) == (None, Usage(input=40))


@pytest.mark.parametrize(
    "results",
    [
        [{"index": 0, "relevance_score": 1}],
        [{"index": at, "relevance_score": 1} for at in (0, 1, 3)],
        [{"index": at, "relevance_score": 1} for at in (0, 1, 1)],
        [{"index": at, "relevance_score": 1} for at in (0, 1, -1)],
        [{"index": at} for at in range(3)],
        [{"index": at, "relevance_score": "high"} for at in range(3)],
        None,
    ],
)
def test_an_answer_that_does_not_fit_the_documents_is_none(results: Any) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_ranked(answer(results), decode_rerank(body()), model="m")
