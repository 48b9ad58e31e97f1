"""Bodies that grow, bodies that lie, and the answers as the official classes read them."""

import gzip
import zlib

import pytest
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from assay.errors import BadRequest, TooLarge, UnsupportedMediaType
from assay.kit import json
from assay.traces.otlp_bodies import Format, failure, format_of, inflate, success

TEXT = b"telemetry " * 1000
_raw = zlib.compressobj(wbits=-15)
PACKED = {
    "identity": TEXT,
    "": TEXT,
    "gzip": gzip.compress(TEXT),
    " GZIP ": gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]),
    "deflate": zlib.compress(TEXT),
    "Deflate": _raw.compress(TEXT) + _raw.flush(),
    "zstd": zstandard.compress(TEXT),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_what_it_was(encoding: str) -> None:
    assert inflate(PACKED[encoding], encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", " GZIP ", "deflate", "Deflate", "zstd"])
def test_a_body_that_grows_beyond_the_limit_is_refused(encoding: str) -> None:
    with pytest.raises(TooLarge, match="once it is decompressed"):
        inflate(PACKED[encoding], encoding, len(TEXT) - 1)


def test_a_bomb_is_let_go_before_it_goes_off() -> None:
    bomb = gzip.compress(bytes(1 << 28))

    with pytest.raises(TooLarge):
        inflate(bomb, "gzip", 1 << 20)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("harm", [lambda body: body[: len(body) // 2], lambda body: b"no" + body])
def test_a_body_that_is_not_what_it_says_is_refused(encoding: str, harm: object) -> None:
    assert callable(harm)
    with pytest.raises(BadRequest, match=f"The body is no {encoding}"):
        inflate(harm(PACKED[encoding]), encoding, 1 << 20)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "x"])
def test_an_encoding_that_is_not_known_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="Content-Encoding"):
        inflate(b"", encoding, 99)


def test_media_types_may_have_parameters_and_any_case() -> None:
    assert format_of("Application/JSON; charset=utf-8") is Format.JSON
    assert format_of("application/x-protobuf") is Format.PROTOBUF
    with pytest.raises(UnsupportedMediaType, match="text/plain"):
        format_of("text/plain")


def test_the_answers_are_what_the_official_classes_read() -> None:
    assert success(Format.PROTOBUF) == b""
    read = ExportTraceServiceResponse.FromString(success(Format.PROTOBUF, rejected=300, message="größer"))
    assert (read.partial_success.rejected_spans, read.partial_success.error_message) == (300, "größer")
    assert json.decode(success(Format.JSON, rejected=3, message="m")) == {
        "partialSuccess": {"rejectedSpans": "3", "errorMessage": "m"}
    }
    assert success(Format.JSON) == b"{}"


def test_a_failure_is_a_status_of_google_rpc() -> None:
    assert failure(Format.PROTOBUF, 400, "no") == b"\x08\x03\x12\x02no"
    assert json.decode(failure(Format.JSON, 503, "later")) == {"code": 14, "message": "later"}
