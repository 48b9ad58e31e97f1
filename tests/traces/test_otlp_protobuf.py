"""The decoder against the official classes, and what is no message."""

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

from assay.traces import otlp_protobuf
from assay.traces.otlp import MAX_ATTRIBUTES, Sender, Unreadable
from assay.wire.spans import OtelSpan

patient = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Other work may share the machine."""

SENDER = Sender("default")
START_NS = 1_760_000_000_000_000_000

plain = (
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
values = st.recursive(
    st.none() | plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
attributes = st.dictionaries(st.text(), values, max_size=8)


def any_value(value: Any) -> AnyValue:
    """A value in the official classes."""
    made = AnyValue()
    match value:
        case bool():
            made.bool_value = value
        case int():
            made.int_value = value
        case float():
            made.double_value = value
        case str():
            made.string_value = value
        case bytes():
            made.bytes_value = value
        case list():
            made.array_value.SetInParent()
            made.array_value.values.extend(map(any_value, value))
        case dict():
            made.kvlist_value.SetInParent()
            made.kvlist_value.values.extend(key_values(value))
    return made


def key_values(given: dict[str, Any]) -> list[KeyValue]:
    """Attributes in the official classes."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in given.items()]


def a_span(**fields: Any) -> SentSpan:
    """A good span."""
    given: dict[str, Any] = {
        "trace_id": bytes(range(16)),
        "span_id": bytes(range(8)),
        "name": "work",
        "start_time_unix_nano": START_NS,
        "end_time_unix_nano": START_NS + 5,
    }
    return SentSpan(**given | fields)


def a_request(*spans: SentSpan, resource: dict[str, Any] | None = None) -> ExportTraceServiceRequest:
    """A request with these spans in one scope."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.extend(key_values(resource or {}))
    scoped = group.scope_spans.add()
    scoped.scope.name, scoped.scope.version, scoped.schema_url = "tests", "1.2", "https://example.org/1"
    scoped.spans.extend(spans)
    return made


def only(request: ExportTraceServiceRequest) -> OtelSpan:
    """The one span of a request."""
    (span,) = otlp_protobuf.decode(request.SerializeToString(), SENDER).spans
    return span


@patient
@given(attributes, attributes, attributes)
def test_attributes_are_those_that_the_official_classes_wrote(
    own: dict[str, Any], of_event: dict[str, Any], of_resource: dict[str, Any]
) -> None:
    span = a_span(attributes=key_values(own))
    span.events.add(name="happened", time_unix_nano=START_NS + 1, attributes=key_values(of_event))

    read = only(a_request(span, resource=of_resource))

    assert (read.attributes, read.events[0].attributes, read.resource) == (own, of_event, of_resource)


def test_every_field_of_a_span_arrives() -> None:
    span = a_span(
        parent_span_id=b"\1" * 8, trace_state="a=b", kind=3, dropped_attributes_count=1, dropped_events_count=2,
        dropped_links_count=300, flags=257, status={"code": 2, "message": "no"},
    )  # fmt: skip
    span.links.add(trace_id=b"\2" * 16, span_id=b"\3" * 8, attributes=key_values({"why": "batch"}))

    read = only(a_request(span))

    assert (read.trace_id, read.span_id, read.parent_id) == (
        bytes(range(16)).hex(),
        bytes(range(8)).hex(),
        "01" * 8,
    )
    assert (read.name, read.start_ns, read.end_ns, read.kind) == ("work", START_NS, START_NS + 5, 3)
    assert (read.status_code, read.status_message, read.trace_state) == (2, "no", "a=b")
    assert read.dropped == (1, 2, 300)
    assert (read.links[0].trace_id, read.links[0].attributes) == ("02" * 16, {"why": "batch"})
    assert read.scope == {"name": "tests", "version": "1.2", "schema_url": "https://example.org/1"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "its trace id has 0 bytes instead of 16"),
        ({"trace_id": bytes(16)}, "its trace id is all zeros"),
        ({"span_id": b"abc"}, "its span id has 3 bytes instead of 8"),
        ({"parent_span_id": b"abc"}, "its parent span id has 3 bytes instead of 8"),
        ({"start_time_unix_nano": 0}, "its times 0 and"),
        ({"end_time_unix_nano": 1 << 63}, "are no nanoseconds since 1970"),
    ],
)
def test_a_span_that_cannot_be_used_says_why_and_leaves_the_others(
    fields: dict[str, Any], reason: str
) -> None:
    reading = otlp_protobuf.decode(a_request(a_span(), a_span(**fields)).SerializeToString(), SENDER)

    assert len(reading.spans) == 1
    (refused,) = reading.refused
    assert refused.where == "resourceSpans[0].scopeSpans[0].spans[1]"
    assert reason in refused.reason
    assert SentSpan.FromString(refused.payload).name == "work"


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    assert only(a_request(a_span(end_time_unix_nano=START_NS - 7))).end_ns == START_NS


def test_a_text_that_is_no_utf8_costs_its_bad_bytes_only() -> None:
    body = a_request(a_span(attributes=key_values({"said": "abcd"}))).SerializeToString()

    (span,) = otlp_protobuf.decode(body.replace(b"abcd", b"ab\xff\xfe"), SENDER).spans

    assert span.attributes == {"said": "ab��"}


def test_values_that_nest_without_end_and_too_many_attributes_are_refused() -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    many = {f"k{number}": number for number in range(MAX_ATTRIBUTES + 1)}
    request = a_request(a_span(attributes=key_values({"deep": deep})), a_span(attributes=key_values(many)))

    first, second = otlp_protobuf.decode(request.SerializeToString(), SENDER).refused

    assert "nests more than 32 levels" in first.reason
    assert "it has 10,001 attributes" in second.reason


def test_too_many_spans_are_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.traces.otlp.MAX_SPANS", 2)

    with pytest.raises(Unreadable, match="at most 2 spans"):
        otlp_protobuf.decode(a_request(a_span(), a_span(), a_span()).SerializeToString(), SENDER)


@patient
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Unreadable):
        otlp_protobuf.decode(body, SENDER)


@patient
@given(st.data())
def test_a_request_with_flipped_bytes_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(
        a_request(a_span(attributes=key_values({"a": [1, "b"], "c": 2.5})), a_span()).SerializeToString()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        reading = otlp_protobuf.decode(bytes(body), SENDER)
    except Unreadable:
        return
    assert all(len(span.trace_id) == 32 and span.start_ns > 0 for span in reading.spans)


@patient
@given(st.integers(0, 400))
def test_a_request_that_was_cut_off_is_never_taken_for_whole(length: int) -> None:
    body = a_request(a_span(), a_span()).SerializeToString()
    if not 0 < length < len(body):
        return

    with pytest.raises(Unreadable):
        otlp_protobuf.decode(body[:length], SENDER)


def test_fields_that_are_not_known_are_stepped_over() -> None:
    body = a_request(a_span()).SerializeToString()

    assert len(otlp_protobuf.decode(body + b"\xf8\x7f\x05\xfa\x7f\x02ab\xfd\x7f1234", SENDER).spans) == 1
