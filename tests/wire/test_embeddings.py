"""What `/v1/embeddings` takes and answers, as text and as structs."""

import base64
from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadRequest
from assay.wire.embeddings import (
    MAX_INPUTS,
    MAX_TOKEN_IDS,
    decode_embedding,
    decode_embeddings,
    embedding_request,
    encode_embeddings,
)
from assay.wire.openai_chat import UNREADABLE
from assay.wire.usage import Usage


def decoded(**fields: Any) -> Any:
    return decode_embedding(msgspec.json.encode({"model": "m", **fields}))


def test_a_text_texts_token_ids_and_lists_of_them_are_read() -> None:
    assert decoded(input="one").inputs == ("one",)
    assert decoded(input=["one", "two"]).inputs == ("one", "two")
    assert decoded(input=[5, 6, 7]).inputs == ((5, 6, 7),)
    assert decoded(input=[[5], [6, 7]]).inputs == ((5,), (6, 7))


def test_the_fields_stay_as_they_came() -> None:
    body = (
        b'{"model":"m", "input":"\\u2603", "dimensions": 8, "encoding_format":"base64", "later":{"a":1.50}}'
    )
    request = decode_embedding(body)
    assert (request.encoding_format, request.dimensions) == ("base64", 8)
    assert bytes(request.fields["later"]) == b'{"a":1.50}'
    assert bytes(request.fields["input"]) == b'"\\u2603"'
    assert decoded(input="x").encoding_format == "float"
    assert decoded(input="x", encoding_format=None, dimensions=None).dimensions is None


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"input": ""}, "input", "empty"),
        ({"input": []}, "input", "empty"),
        ({"input": [[]]}, "input[0]", "empty"),
        ({"input": ["a", ""]}, "input[1]", "empty"),
        ({"input": [[1], []]}, "input[1]", "empty"),
        ({"input": None}, "input", "null"),
        ({"input": {"text": "a"}}, "input", "object"),
        ({"input": ["a", 1]}, "input[1]", "int"),
        ({"input": [1, "a"]}, "input[1]", "str"),
        ({"input": [1, [2]]}, "input", "mixes"),
        ({"input": [1.5]}, "input[0]", "float"),
        ({"input": [True]}, "input[0]", "bool"),
        ({"input": [3, -1]}, "input", "below 0"),
        ({"input": [[3], [-1]]}, "input[1]", "below 0"),
        ({"input": ["a"] * (MAX_INPUTS + 1)}, "input", "2,048"),
        ({"input": [7] * (MAX_TOKEN_IDS + 2)}, "input", "300,000"),
        ({}, "input", "missing"),
        ({"input": "a", "dimensions": 0}, "dimensions", "at least 1"),
        ({"input": "a", "dimensions": -3}, "dimensions", "at least 1"),
        ({"input": "a", "dimensions": 2.5}, "dimensions", "float"),
        ({"input": "a", "dimensions": "many"}, "dimensions", "str"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "hex"),
        ({"input": "a", "user": 5}, "user", "int"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(fields: Any, param: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        decoded(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_dimensions_that_are_no_finite_number_are_refused(number: str) -> None:
    with pytest.raises(BadRequest):
        decode_embedding(b'{"model":"m","input":"a","dimensions":%s}' % number.encode())


def test_an_answer_is_counted_and_measured_whatever_its_encoding() -> None:
    vectors = [array("f", [0.5, -0.25, 1.0]), array("f", [0.0, 2.0, -4.0])]
    for encoding in ("float", "base64"):
        raw = encode_embeddings(vectors, model="m", tokens=7, encoding_format=encoding)
        answer = decode_embeddings(raw)
        assert (answer.count, answer.dimensions, answer.model) == (2, 3, "m")
        assert answer.usage == Usage(input=7)
        assert answer.vectors() == vectors
        assert answer.raw is raw


def test_vectors_come_in_the_order_of_the_inputs() -> None:
    body = b'{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}'
    assert [vector.tolist() for vector in decode_embeddings(body).vectors()] == [[1.0], [2.0]]


def test_a_server_that_says_only_the_total_has_said_it_and_one_that_is_silent_has_not() -> None:
    assert decode_embeddings(b'{"data":[{"embedding":[1]}],"usage":{"total_tokens":4}}').usage == Usage(
        input=4
    )
    assert decode_embeddings(b'{"data":[{"embedding":[1]}],"usage":{}}').usage is None
    assert decode_embeddings(b'{"data":[{"embedding":[1]}]}').usage is None


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data":[]}', b'{"data":[{"embedding":"%"}]}', b'{"data":3}', b"no"]
)
def test_what_has_no_vectors_is_no_answer(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode_embeddings(body)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_base64_keeps_every_bit_as_the_official_client_reads_it(numbers: list[float]) -> None:
    raw = encode_embeddings([array("f", numbers)], model="m", tokens=None, encoding_format="base64")
    text = msgspec.json.decode(raw)["data"][0]["embedding"]
    assert array("f", base64.b64decode(text)).tolist() == numbers
    assert decode_embeddings(raw).vectors()[0].tolist() == numbers


def test_a_request_can_be_made_from_values() -> None:
    request = embedding_request("m", ["a", "b"], dimensions=4)
    assert (request.inputs, request.encoding_format, request.dimensions) == (("a", "b"), "base64", 4)
    with pytest.raises(BadRequest):
        embedding_request("m", [])
