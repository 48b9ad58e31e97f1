"""What was sent can be had again, and what is sent again and again is kept once."""

import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.kit import json
from assay.traces.dialects import DialectProjector, raw
from assay.wire.spans import OtelSpan, Span, SpanEvent, SpanLink

patient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Other work may share the machine."""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.text(min_size=300, max_size=400)
    | st.just(math.inf),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["bytesValue", "kvlistValue"]), inner, max_size=4)
    ),
)
names = st.text(min_size=1) | st.just("otel")


def projected(span: OtelSpan) -> Span:
    """The row that it becomes, as the store gives it back."""
    (row,) = DialectProjector().project([span])
    assert isinstance(row, Span)
    return row


@patient
@given(st.dictionaries(names, values, max_size=8), st.dictionaries(st.text(), values, max_size=3))
def test_a_span_is_restored_to_what_was_sent(attributes: dict[str, Any], more: dict[str, Any]) -> None:
    span = OtelSpan(
        trace_id="a" * 32,
        span_id="b" * 16,
        project="default",
        name="work",
        start_ns=1,
        end_ns=2,
        kind=3,
        status_code=2,
        status_message="no",
        trace_state="a=b",
        key_id="k",
        attributes=attributes,
        events=(SpanEvent("e", 5, more), SpanEvent("e", 5, more)),
        links=(SpanLink("c" * 32, "d" * 16, more),),
        dropped=(1, 0, 2),
        resource=more,
        scope={"name": "s", "attributes": more} if more else {},
    )
    row = projected(span)
    stored = json.decode(json.encode(row.attributes))  # the store keeps JSON

    assert (
        raw.whole(
            Span(**{name: getattr(row, name) for name in row.__struct_fields__} | {"attributes": stored})
        )
        == span
    )


def test_a_span_of_our_own_was_not_sent(sent: Any) -> None:
    row = projected(sent({"a": "x" * 1000}))
    fields = {name: getattr(row, name) for name in row.__struct_fields__}

    assert raw.whole(Span(**fields | {"mapping": None})) is None
    assert raw.whole(Span(**fields | {"raw": ()})) is None
    assert raw.shown(Span(**fields | {"raw": ()})) == {}


def turns(count: int) -> str:
    """A conversation as an instrumentor sends it, whole with every turn."""
    said = [
        {"role": "user" if turn % 2 == 0 else "assistant", "content": f"{turn} " + "word " * 60}
        for turn in range(count)
    ]
    return json.encode({"messages": [said], "kwargs": {"stop": None}}).decode()


def test_a_conversation_of_fifty_turns_costs_fifty_messages(sent: Any) -> None:
    kept: set[bytes] = set()
    for count in range(1, 51):
        row = projected(sent({"input.value": turns(count)}))
        kept |= set(row.raw)

    assert sum(map(len, kept)) < 3 * len(turns(50))


@patient
@given(
    st.text(max_size=3000)
    | st.lists(st.text(max_size=300), max_size=30).map(lambda value: json.encode(value).decode())
)
def test_pieces_make_the_text(text: str) -> None:
    assert b"".join(raw.cut(text.encode())) == text.encode()


def test_what_looks_like_json_and_is_none_is_not_cut() -> None:
    text = b"[" + b"1," * 1000

    assert raw.cut(text) == [text]


def test_attributes_are_shown_with_what_otlp_says_beside_them(sent: Any) -> None:
    span = sent({"a": "x" * 1000, "b": 1}, kind=3, resource={"service.name": "shop"}, status_code=1)

    assert raw.shown(projected(span)) == {
        "a": "x" * 1000,
        "b": 1,
        "otel": {"kind": "client", "status": {"code": "ok"}, "resource": {"service.name": "shop"}},
    }
