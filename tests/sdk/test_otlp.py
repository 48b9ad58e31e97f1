"""What is written by hand is what the official classes read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.status import StatusCode
from tests.sdk.conftest import partly, plain

from assay.sdk import otlp
from assay.sdk.recording import LightSpan

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
numbers = st.integers(-(2**63), 2**63 - 1)
scalars = text | numbers | st.booleans() | st.floats(allow_nan=False)
values = scalars | st.lists(scalars, max_size=4).map(tuple) | st.binary(max_size=50)


class Nowhere:
    def offer(self, span: object) -> None:
        pass


def span(name: str = "a span", **more: object) -> LightSpan:
    made = LightSpan(
        name,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        parent_id=None,
        trace_state=None,
        kind=SpanKind.CLIENT,
        start_ns=1_700_000_000_000_000_000,
        scope=("lib", "1.2"),
        limit=10_000,
        sink=Nowhere(),
    )
    for key, value in more.items():
        setattr(made, key, value)
    return made


@given(
    name=text,
    attributes=st.dictionaries(text, values, max_size=6),
    resource=st.dictionaries(text, text, max_size=3),
)
def test_names_and_attributes_of_every_type_are_read_as_they_were(
    name: str, attributes: dict[str, object], resource: dict[str, str]
) -> None:
    request = ExportTraceServiceRequest.FromString(
        otlp.export_request([span(name, attributes=attributes)], resource)
    )
    (resource_spans,) = request.resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (read,) = scope_spans.spans
    found = {each.key: plain(each.value) for each in read.attributes}
    assert read.name == name
    assert found == {
        key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()
    }
    assert {each.key: plain(each.value) for each in resource_spans.resource.attributes} == resource


def test_everything_else_of_a_span_arrives() -> None:
    sent = span(parent_id="b7ad6b7169203331")
    sent.add_event("exception", {"exception.type": "ValueError"}, 7)
    sent.links = [Link(SpanContext(1, 2, is_remote=True), {"k": 1})]
    sent.set_status(StatusCode.ERROR, "it broke")
    sent.end(1_700_000_000_000_000_005)
    request = ExportTraceServiceRequest.FromString(otlp.export_request([sent], {}))
    scope_spans = request.resource_spans[0].scope_spans[0]
    (read,) = scope_spans.spans
    assert (scope_spans.scope.name, scope_spans.scope.version) == ("lib", "1.2")
    assert (read.trace_id.hex(), read.parent_span_id.hex()) == (sent.trace_id, "b7ad6b7169203331")
    assert read.span_id.hex() == sent.span_id
    assert (read.kind, read.status.code, read.status.message) == (3, 2, "it broke")
    assert read.end_time_unix_nano - read.start_time_unix_nano == 5
    assert (read.events[0].name, read.events[0].time_unix_nano) == ("exception", 7)
    assert plain(read.events[0].attributes[0].value) == "ValueError"
    assert (int(read.links[0].trace_id.hex(), 16), int(read.links[0].span_id.hex(), 16)) == (1, 2)


def test_spans_of_different_libraries_keep_their_scope() -> None:
    request = ExportTraceServiceRequest.FromString(
        otlp.export_request(
            [span("a"), span("b", scope=("other", None)), span("c", scope=("other", None))], {}
        )
    )
    found = request.resource_spans[0].scope_spans
    assert [(each.scope.name, [one.name for one in each.spans]) for each in found] == [
        ("lib", ["a"]),
        ("other", ["b", "c"]),
    ]


def test_odd_values_become_text_rather_than_an_error() -> None:
    odd = {"big": 2**70, "none": None, "lone": "\ud800", "map": {"a": 1}, "object": object}
    request = ExportTraceServiceRequest.FromString(otlp.export_request([span(attributes=odd)], {}))
    found = {
        each.key: plain(each.value) for each in request.resource_spans[0].scope_spans[0].spans[0].attributes
    }
    assert found == {"big": str(2**70), "lone": "?", "map": {"a": 1}, "object": str(object)}


def test_a_partial_success_is_read() -> None:
    assert otlp.rejected(partly(3, "three were odd")[2]) == (3, "three were odd")
    assert otlp.rejected(b"") == (0, "")


@given(st.binary(max_size=60))
def test_an_answer_that_is_no_message_is_read_as_a_plain_success(answer: bytes) -> None:
    count, why = otlp.rejected(answer)
    assert count >= 0
    assert isinstance(why, str)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**64 - 1])
def test_numbers_of_any_length_are_written(value: int) -> None:
    assert otlp._read_varint(otlp._varint(value), 0)[0] == value
