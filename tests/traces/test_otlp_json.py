"""OTLP in JSON: what other programs write, and what is no OTLP."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.kit import json
from assay.traces import otlp_json
from assay.traces.otlp import Reading, Sender, Unreadable
from assay.wire.spans import OtelSpan

patient = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Other work may share the machine."""

SENDER = Sender("default", "key", "staging")
SPAN = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
    "name": "work",
    "startTimeUnixNano": "1760000000000000000",
    "endTimeUnixNano": 1760000000000000005,
}


def decode(*spans: dict[str, Any]) -> Reading:
    """A request with these spans, read."""
    return otlp_json.decode(json.encode({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}), SENDER)


def only(**fields: Any) -> OtelSpan:
    """One span with these fields, read."""
    reading = decode(SPAN | fields)
    assert reading.refused == []
    return reading.spans[0]


def test_ids_are_hexadecimal_in_any_case_and_times_text_or_numbers() -> None:
    span = only(parentSpanId="")

    assert (span.trace_id, span.span_id) == ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")
    assert (span.start_ns, span.end_ns) == (1760000000000000000, 1760000000000000005)
    assert (span.parent_id, span.key_id, span.environment) == (None, "key", "staging")


@pytest.mark.parametrize(
    ("sent", "kind"),
    [(3, 3), ("SPAN_KIND_CLIENT", 3), ("SPAN_KIND_TELEPATHY", 0), (77, 77), ("2", 2), (None, 0)],
)
def test_an_enum_is_a_number_or_a_name_known_or_not(sent: Any, kind: int) -> None:
    assert only(kind=sent).kind == kind


def test_every_kind_of_value_is_read() -> None:
    sent = [
        {"key": "text", "value": {"stringValue": "a"}},
        {"key": "whole as text", "value": {"intValue": "-9223372036854775808"}},
        {"key": "whole", "value": {"intValue": 5}},
        {"key": "real", "value": {"doubleValue": 1}},
        {"key": "endless", "value": {"doubleValue": "-Infinity"}},
        {"key": "flag", "value": {"boolValue": False}},
        {"key": "bytes", "value": {"bytesValue": "AAEC"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}},
        {"key": "empty list", "value": {"arrayValue": {}}},
        {"key": "nothing", "value": {}},
        {"key": "unheard of", "value": {"quaternionValue": [1, 2, 3, 4]}},
        {"key": "no value"},
    ]

    assert only(attributes=sent).attributes == {
        "text": "a", "whole as text": -(1 << 63), "whole": 5, "real": 1.0, "endless": float("-inf"), "flag": False,
        "bytes": b"\0\1\2", "list": [1, None], "map": {"a": "b"}, "empty list": [], "nothing": None, "unheard of": None,
        "no value": None,
    }  # fmt: skip


def test_events_links_status_scope_and_resource_are_read() -> None:
    named = [{"key": "k", "value": {"intValue": 1}}]
    span = SPAN | {
        "events": [{"name": "e", "timeUnixNano": "7", "attributes": named}],
        "links": [{"traceId": SPAN["traceId"], "spanId": SPAN["spanId"], "attributes": named}],
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "droppedEventsCount": 4,
        "somethingNew": {"deep": [1]},
    }
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": named},
                "scopeSpans": [{"scope": {"name": "s", "version": "1"}, "schemaUrl": "u", "spans": [span]}],
            }
        ]
    }

    (read,) = otlp_json.decode(json.encode(body), SENDER).spans

    assert (read.events[0].name, read.events[0].at_ns, read.events[0].attributes) == ("e", 7, {"k": 1})
    assert (read.links[0].span_id, read.links[0].attributes) == ("eee19b7ec3c1b174", {"k": 1})
    assert (read.status_code, read.status_message, read.dropped) == (2, "no", (0, 4, 0))
    assert (read.resource, read.scope) == ({"k": 1}, {"name": "s", "version": "1", "schema_url": "u"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": "xyz"}, "'xyz' is not hexadecimal"),
        ({"traceId": "W47/95gDgQPSabYzgT/GDA=="}, "is not hexadecimal"),
        ({"startTimeUnixNano": "soon"}, "its start time 'soon' is no 64-bit number"),
        ({"startTimeUnixNano": -5}, "is no 64-bit number"),
        ({"name": 5}, "Expected `str | null`, got `int`"),
        ({"attributes": [{"key": "a", "value": {"intValue": "1e400"}}]}, "'1e400' is no 64-bit number"),
        ({"attributes": [{"key": "a", "value": {"bytesValue": "?"}}]}, "no base64"),
        ({"links": [{"traceId": "00", "spanId": "00"}]}, "its trace id of a link has 1 bytes"),
    ],
)
def test_a_span_that_cannot_be_used_says_why_and_leaves_the_others(
    fields: dict[str, Any], reason: str
) -> None:
    reading = decode(SPAN | fields, SPAN)

    assert len(reading.spans) == 1
    assert reason in str(reading.refused[0])
    assert str(reading.refused[0]).startswith("resourceSpans[0].scopeSpans[0].spans[0]: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"resourceSpans": 5}',
        b"[" * 100_000,
        b'{"resourceSpans": [{"scopeSpans": [{"schemaUrl": "\xff"}]}]}',
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        otlp_json.decode(body, SENDER)


def test_an_empty_request_has_no_spans() -> None:
    assert otlp_json.decode(b"{}", SENDER).spans == []


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@patient
@given(
    st.sampled_from(["traceId", "kind", "attributes", "events", "links", "status", "startTimeUnixNano"]),
    nested,
)
def test_any_value_of_any_field_is_read_or_refused(field: str, value: Any) -> None:
    reading = decode(SPAN | {field: value})

    assert reading.count == 1
