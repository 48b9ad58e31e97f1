"""`POST /v1/traces`: what is kept, what is refused and in which words, in both encodings."""

import gzip
from typing import Any

from assay.access import Role
from assay.kit import ids, json

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


def test_a_span_sent_in_json_is_shown(house: Any) -> None:
    span = a_span(attributes=[{"key": "http.method", "value": {"stringValue": "GET"}}])

    answer = house.client(Role.APP).post("/v1/traces", json=a_request(span))

    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json"
    (shown,) = house.client().get(f"/api/traces/{span['traceId']}").json()["spans"]
    assert (shown["span_id"], shown["name"], shown["duration_ms"]) == (span["spanId"], "work", 250.0)
    assert shown["attributes"]["http.method"] == "GET"


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
    assert house.client().get(f"/api/traces/{good['traceId']}").status_code == 200
    (kept,) = house.client().get("/api/quarantine").json()["items"]
    assert "its trace id has 1 bytes" in kept["reason"]


def test_a_body_may_be_compressed(house: Any) -> None:
    span = a_span()
    body = gzip.compress(json.encode(a_request(span)))

    answer = house.client().post("/v1/traces", content=body, headers={**JSON, "content-encoding": "gzip"})

    assert answer.status_code == 200
    assert house.client().get(f"/api/traces/{span['traceId']}").status_code == 200
