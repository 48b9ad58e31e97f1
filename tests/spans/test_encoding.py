"""Events go through the spool unchanged, and none is lost for an odd attribute."""

from typing import Any

import pytest

from assay.spans.encoding import decode, encode
from assay.wire.scores import Score, ScoreSource
from assay.wire.usage import Usage


def _round_trip(*events: Any) -> list[Any]:
    buffer = bytearray(4)
    encode(events, buffer, 4)
    return decode(bytes(buffer[4:]))


def test_spans_and_scores_come_back_equal(make_span: Any) -> None:
    span = make_span(
        input=(b'{"role":"user","content":"h\xc3\xa9"}',),
        usage=Usage(input=3),
        attributes={"n": [1, None, {"x": 1.5}]},
    )
    score = Score(
        score_id="s", project="p", name="thumb", value=True, source=ScoreSource.USER, at_ns=1, span_id="x"
    )

    assert _round_trip(span, score) == [span, score]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**80, str(2**80)),
        ("\ud800", "?"),
        ({1, 2}, [1, 2]),
        (object, "<class 'object'>"),
        ({3: "x"}, {"3": "x"}),
    ],
)
def test_an_attribute_that_cannot_be_written_becomes_text(
    make_span: Any, value: object, kept: object
) -> None:
    (span,) = _round_trip(make_span(attributes={"odd": value, "big": 2**70}))

    assert span.attributes["odd"] == kept


def test_an_attribute_without_end_is_cut(make_span: Any) -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless

    (span,) = _round_trip(make_span(attributes=endless))

    assert "self" in span.attributes
