"""`POST /v1/traces`: what is kept, what is refused and in which words, in both encodings."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from assay.access import PROJECT, Role, create_key
from assay.kit import ids

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def a_span(**fields: Any) -> dict[str, Any]:
    """A span in OTLP's JSON."""
    given = {
        "traceId": ids.uuid7_hex(),
        "spanId": ids.span_id(),
        "name": "work",
        "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000000250000000",
    }
    return given | fields


def a_request(*spans: dict[str, Any]) -> dict[str, Any]:
    """An export request with these spans."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def in_protobuf(*names: str, trace_id: bytes = b"\1" * 16) -> bytes:
    """Spans of these names in protobuf."""
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for place, name in enumerate(names):
        scoped.spans.add(
            trace_id=trace_id,
            span_id=bytes([place + 1] * 8),
            name=name,
            start_time_unix_nano=1_760_000_000_000_000_000,
            end_time_unix_nano=1_760_000_000_000_000_001,
        )
    return bytes(request.SerializeToString())


def names(house: Any, trace_id: str) -> list[str]:
    """Of the spans of a trace."""
    return [span["name"] for span in house.client().get(f"/api/traces/{trace_id}").json()["spans"]]


def test_a_span_sent_in_json_is_shown(house: Any) -> None:
    span = a_span(attributes=[{"key": "http.method", "value": {"stringValue": "GET"}}])

    answer = house.client(Role.APP).post("/v1/traces", json=a_request(span))

    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json"
    (shown,) = house.client().get(f"/api/traces/{span['traceId']}").json()["spans"]
    assert (shown["span_id"], shown["name"], shown["duration_ms"]) == (span["spanId"], "work", 250.0)
    assert (shown["attributes"], shown["mapping"], shown["counted"]) == (
        {"http.method": "GET"},
        "otel/1",
        False,
    )


def test_spans_sent_in_protobuf_are_shown_and_answered_in_protobuf(house: Any) -> None:
    answer = house.client(Role.APP).post("/v1/traces", content=in_protobuf("a", "b"), headers=PROTOBUF)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert names(house, "01" * 16) == ["a", "b"]


def test_an_empty_request_is_a_request(house: Any) -> None:
    assert house.client().post("/v1/traces", content=b"", headers=PROTOBUF).status_code == 200
    assert house.client().post("/v1/traces", json={}).json() == {}


def test_a_bad_span_is_named_and_the_rest_is_kept(house: Any) -> None:
    good, bad = a_span(), a_span(traceId="00")

    answer = house.client().post("/v1/traces", json=a_request(bad, good))

    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert (
        "resourceSpans[0].scopeSpans[0].spans[0]: its trace id has 1 bytes instead of 16"
        in partial["errorMessage"]
    )
    assert names(house, good["traceId"]) == ["work"]
    (kept,) = house.client().get("/api/quarantine").json()["items"]
    assert "its trace id has 1 bytes" in kept["reason"]
    assert kept["id"] in partial["errorMessage"]


def test_a_bad_span_in_protobuf_is_named_as_the_official_classes_read_it(house: Any) -> None:
    body = in_protobuf("good", "bad").replace(bytes([2] * 8), bytes(8))

    answer = house.client().post("/v1/traces", content=body, headers=PROTOBUF)

    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 1
    assert "spans[1]: its span id is all zeros" in partial.error_message
    assert names(house, "01" * 16) == ["good"]


def test_a_request_without_one_good_span_is_refused_for_good(house: Any) -> None:
    answer = house.client().post("/v1/traces", json=a_request(*[a_span(spanId="")] * 9))

    assert answer.status_code == 400
    assert "9 of 9 spans cannot be used" in answer.json()["message"]
    assert "and 4 more" in answer.json()["message"]
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"{", JSON, 400, "no OTLP in JSON"),
        (b"\xff\xff", PROTOBUF, 400, "bytes end in the middle of a field"),
        (b"{}", {"content-type": "text/plain"}, 415, "Content-Type 'text/plain' is not OTLP's"),
        (b"{}", {}, 415, "application/x-protobuf or application/json"),
        (b"{}", JSON | {"content-encoding": "br"}, 415, "gzip, deflate, zstd"),
        (b"{}", JSON | {"content-encoding": "gzip"}, 400, "The body is no gzip"),
        (b"x" * 200_000, JSON, 413, ""),
        (b"{}", JSON | {"x-assay-environment": "no name!"}, 400, "cannot be a name"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_otlps_shape(
    house: Any, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = house.client().post("/v1/traces", content=content, headers=headers)

    assert answer.status_code == status, answer.text
    if headers.get("content-type") == PROTOBUF["content-type"]:
        assert answer.content[:1] == b"\x08"
        assert words.encode() in answer.content
    else:
        assert answer.json().keys() == {"code", "message"}
        assert words in answer.json()["message"]


def test_a_body_that_grows_beyond_the_limit_is_refused(house: Any) -> None:
    body = gzip.compress(b" " * (33 << 20))
    assert len(body) < 100_000

    answer = house.client().post("/v1/traces", content=body, headers=JSON | {"content-encoding": "gzip"})

    assert (answer.status_code, answer.json()["code"]) == (413, 8)
    assert "larger than 32 MiB once it is decompressed" in answer.json()["message"]


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_key_is_asked_for_and_taken_in_either_header(house: Any, header: str) -> None:
    client = house.client(None)
    with house.records.write() as tx:
        key = create_key(tx, PROJECT, name="an app", role=Role.APP)[1]

    refused = client.post("/v1/traces", json=a_request(a_span()))
    taken = client.post(
        "/v1/traces",
        json=a_request(a_span()),
        headers={header: f"Bearer {key}" if header == "authorization" else key},
    )

    assert (refused.status_code, refused.json()["code"], taken.status_code) == (401, 16, 200)


def test_a_viewer_sends_nothing(house: Any) -> None:
    answer = house.client(Role.VIEWER).post("/v1/traces", json=a_request(a_span()))

    assert (answer.status_code, answer.json()["code"]) == (403, 7)


def test_the_keys_environment_holds_and_a_free_key_says_its_own(house: Any) -> None:
    with house.records.write() as tx:
        bound = create_key(tx, PROJECT, name="bound", role=Role.APP, environment="staging")[1]
    client = house.client()

    def environment(**headers: str) -> str:
        span = a_span()
        client.post("/v1/traces", json=a_request(span), headers=headers).raise_for_status()
        return str(house.client().get(f"/api/spans/{span['spanId']}").json()["environment"])

    assert environment() == "production"
    assert environment(**{"x-assay-environment": "dev"}) == "dev"
    assert environment(authorization=f"Bearer {bound}") == "staging"
    refused = client.post(
        "/v1/traces",
        json=a_request(a_span()),
        headers={"authorization": f"Bearer {bound}", "x-assay-environment": "dev"},
    )
    assert refused.status_code == 403


def test_history_is_marked_as_imported_by_those_who_may_edit(house: Any) -> None:
    span, headers = a_span(), {"x-assay-imported": "true"}

    refused = house.client(Role.APP).post("/v1/traces", json=a_request(span), headers=headers)
    taken = house.client(Role.EDITOR).post("/v1/traces", json=a_request(span), headers=headers)
    house.collector.drain_now()

    assert (refused.status_code, taken.status_code) == (403, 200)
    assert house.store.get_span(PROJECT, span["spanId"]).span.imported is True


def test_what_cannot_be_kept_is_to_be_sent_again(house: Any) -> None:
    house.spool.hold_telemetry("the disk is on strike")

    answer = house.client().post("/v1/traces", content=in_protobuf("a"), headers=PROTOBUF)

    assert (answer.status_code, answer.content[:2]) == (503, b"\x08\x0e")
    assert int(answer.headers["retry-after"]) > 0
    assert b"on strike" in answer.content


def test_it_is_on_the_medium_when_it_is_answered(house: Any) -> None:
    house.client().post("/v1/traces", json=a_request(a_span())).raise_for_status()

    assert house.spool.synced.sequence == house.spool.last_sequence == 1


def test_a_span_that_is_sent_twice_is_there_once_in_its_latest_version(house: Any) -> None:
    span = a_span()
    for name in ("first", "again"):
        house.client().post("/v1/traces", json=a_request(span | {"name": name})).raise_for_status()

    assert names(house, span["traceId"]) == ["again"]


def test_children_may_come_before_their_parents_or_without(house: Any) -> None:
    root = a_span(name="root")
    child = a_span(
        traceId=root["traceId"],
        parentSpanId=root["spanId"],
        name="child",
        startTimeUnixNano="1760000000000000005",
    )
    orphan = a_span(
        traceId=root["traceId"], parentSpanId="ab" * 8, name="orphan", startTimeUnixNano="1760000000000000009"
    )
    for span in (child, orphan, root):
        house.client().post("/v1/traces", json=a_request(span)).raise_for_status()

    page = house.client().get(f"/traces/{root['traceId']}").text

    places = [page.index(f">{name}<") for name in ("root", "child", "orphan")]
    assert places == sorted(places)
    listed = house.client().get("/api/traces", params={"from": "2025-10-01T00:00:00Z"}).json()["items"]
    assert [(trace["name"], trace["spans"]) for trace in listed] == [("root", 3)]


def test_long_attributes_and_the_resource_are_with_the_span_by_its_id(house: Any) -> None:
    said = "word " * 400
    span = a_span(attributes=[{"key": "note", "value": {"stringValue": said}}], kind=3)
    request = a_request(span)
    request["resourceSpans"][0]["resource"] = {
        "attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]
    }
    house.client().post("/v1/traces", json=request).raise_for_status()

    listed = house.client().get(f"/api/traces/{span['traceId']}").json()["spans"][0]["attributes"]
    whole = house.client().get(f"/api/spans/{span['spanId']}").json()["attributes"]

    assert listed == {}
    assert whole == {"note": said, "otel": {"kind": "client", "resource": {"service.name": "shop"}}}
    page = house.client().get(f"/traces/{span['traceId']}", params={"tab": "details"}).text
    assert "service.name" in page


@pytest.mark.parametrize(
    ("signal", "variable"), [("logs", "OTEL_LOGS_EXPORTER"), ("metrics", "OTEL_METRICS_EXPORTER")]
)
def test_other_signals_are_refused_with_what_to_do(house: Any, signal: str, variable: str) -> None:
    answer = house.client(Role.APP).post(f"/v1/{signal}", json={})

    assert answer.status_code == 404
    assert f"{variable}=none" in answer.json()["message"]


# --- A real server ---


def test_what_was_answered_survives_a_kill(start_assay: Callable[..., Any], tmp_path: Path) -> None:
    server = start_assay(folder=tmp_path).ready()
    for number in range(5):
        body = in_protobuf("a", "b", trace_id=bytes([number + 1] * 16))
        server.http.post("/v1/traces", content=body, headers=PROTOBUF).raise_for_status()
    server.kill()

    again = start_assay(folder=tmp_path).ready()

    assert [len(again.trace(f"{number + 1:02x}" * 16)) for number in range(5)] == [2] * 5
    refused = again.http.post("/v1/logs", content=b"", headers=PROTOBUF)
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/x-protobuf")
    assert again.http.get("/v1/traces").status_code == 405
