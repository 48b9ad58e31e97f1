"""What a client says of its call is bounded, and what cannot be read is a bad request."""

import json

import pytest

from assay.access.types import SOCKET
from assay.errors import BadRequest
from assay.gateway.origin import MAX_LABEL, MAX_TAGS, read_origin
from assay.wire.requests import AssayFields

NESTED = b'{"text": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"


@pytest.mark.parametrize("value", [NESTED, b"{", b"[]", b'{"text": "\xff"}', b"null", b"\x00"])
def test_inputs_that_cannot_be_read_are_a_bad_request(value: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        read_origin({b"x-assay-inputs": value}, None, SOCKET)
    assert refused.value.param == "x-assay-inputs"


@pytest.mark.parametrize("tags", [("x" * (MAX_LABEL + 1),), tuple(f"t{n}" for n in range(MAX_TAGS + 1))])
def test_tags_are_bounded_in_number_and_length(tags: tuple[str, ...]) -> None:
    for headers, fields in (
        ({}, AssayFields(tags=tags)),
        ({b"x-assay-tags": ",".join(tags).encode()}, None),
    ):
        with pytest.raises(BadRequest) as refused:
            read_origin(headers, fields, SOCKET)
        assert refused.value.param == "assay.tags"


@pytest.mark.parametrize("name", ["", "<script>", "a b", "x" * 101, "a\xff", "' or 1=1"])
def test_an_environment_is_a_name(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_origin({b"x-assay-environment": name.encode("latin-1")}, None, SOCKET)
    assert refused.value.param == "x-assay-environment"


def test_what_is_within_bounds_goes_through() -> None:
    tags = tuple(f"{n:0256}" for n in range(MAX_TAGS))
    headers = {b"x-assay-environment": b"eu-west.1", b"x-assay-inputs": json.dumps({"a": [1]}).encode()}
    origin = read_origin(headers, AssayFields(tags=tags), SOCKET)
    assert (origin.environment, origin.inputs, origin.tags) == ("eu-west.1", {"a": [1]}, tags)
