"""The API's shapes, refusals and promises."""

import json
from decimal import Decimal
from typing import Any

import pytest

from assay.access import Role
from assay.spans import Spool
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage

HELLO = b'{"role":"user","content":"hello","n":1.10}'


def test_a_trace_has_the_shape_that_tools_rely_on(house: Any, make_span: Any) -> None:
    root = make_span(kind=SpanKind.TASK, name="polish", model=None)
    call = make_span(
        trace_id=root.trace_id, parent_id=root.span_id, input=(HELLO,), output=(b'{"role":"assistant","content":"hi"}',),
        usage=Usage(input=3, output=2), cost_usd=Decimal("0.00000012345678901234"), start_ns=root.start_ns + 1, user_id="ann",
        status=SpanStatus.CUT, error_type="upstream_cut", error_message="it stopped", request=b'{"temperature": 0.70}',
    )  # fmt: skip
    house.keep(call, root)

    response = house.client().get(f"/api/traces/{root.trace_id}")

    assert response.status_code == 200
    body = response.json(parse_float=Decimal)
    assert body["trace_id"] == root.trace_id
    assert [span["span_id"] for span in body["spans"]] == [root.span_id, call.span_id]
    shown = body["spans"][1]
    assert shown["parent_id"] == root.span_id
    assert (shown["kind"], shown["status"], shown["model"], shown["user"]) == ("model", "cut", "fast", "ann")
    assert shown["usage"] == {"input": 3, "output": 2}
    assert shown["cost_usd"] == Decimal("0.00000012345678901234")
    assert shown["start"].endswith("Z")
    assert shown["duration_ms"] > 0
    assert shown["error"] == {"type": "upstream_cut", "message": "it stopped"}
    assert '"content":"hello","n":1.10' in response.text
    assert body["next"] is None
    assert house.client().get(f"/api/spans/{call.span_id}").json()["span_id"] == call.span_id


def test_a_trace_can_be_read_before_it_was_collected(house: Any, make_span: Any) -> None:
    span = make_span()
    house.spool.append([span])

    assert house.client().get(f"/api/traces/{span.trace_id}").status_code == 200


def test_traces_are_listed_with_filters_and_in_pages(house: Any, make_span: Any) -> None:
    house.keep(*(make_span(name=f"{index}", model="large" if index < 3 else "fast") for index in range(5)))
    client = house.client()

    first = client.get("/api/traces", params={"model": "large", "limit": 2}).json()
    second = client.get("/api/traces", params={"model": "large", "limit": 2, "cursor": first["next"]}).json()

    assert sorted(trace["name"] for trace in first["items"] + second["items"]) == ["0", "1", "2"]
    assert second["next"] is None
    assert first["items"][0]["cost_usd"] is None
    assert (first["items"][0]["cost_known_usd"], first["items"][0]["cost_unknown"]) == (0, 1)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("color=red", "color"),
        ("last=soon", "last"),
        ("status=odd", "status"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
    ],
)
def test_a_wrong_parameter_is_named(house: Any, query: str, param: str) -> None:
    response = house.client().get(f"/api/traces?{query}")

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_an_unknown_trace_and_span_are_not_found(house: Any) -> None:
    client = house.client()

    for path in ("/api/traces/nope", "/api/spans/nope"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["error"]["hint"]


@pytest.mark.parametrize("value", [True, 0.5, "great"])
def test_feedback_is_on_disk_when_it_is_answered_and_shows_on_its_trace(
    house: Any, make_span: Any, value: bool | float | str
) -> None:
    span = make_span()
    house.keep(span)

    response = house.client(Role.APP).post(
        "/api/scores", json={"trace_id": span.trace_id, "name": "thumbs", "value": value, "comment": "why"}
    )

    assert response.status_code == 201
    assert house.spool.synced.sequence == house.spool.last_sequence
    house.collector.drain_now()
    (score,) = house.client().get(f"/api/traces/{span.trace_id}").json()["scores"]
    assert (score["id"], score["name"], score["value"], score["comment"]) == (
        response.json()["id"],
        "thumbs",
        value,
        "why",
    )
    assert type(score["value"]) is type(value)
    assert house.client().get("/api/scores", params={"trace_id": span.trace_id}).json()["items"] == [score]


def test_the_same_feedback_sent_twice_is_kept_once(house: Any) -> None:
    for _ in range(2):
        house.client(Role.APP).post(
            "/api/scores", json={"id": "f1", "session_id": "s", "name": "thumbs", "value": 1}
        )
    house.collector.drain_now()

    assert len(house.store.list_scores("default", session_id="s")) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "x", "value": 1}, "trace_id"),
        ({"name": " ", "value": 1, "trace_id": "t"}, "name"),
        ({"name": "x" * 101, "value": 1, "trace_id": "t"}, "name"),
        ({"name": "x", "value": "v" * 10_001, "trace_id": "t"}, "value"),
        ({"name": "x", "value": 1, "trace_id": "t" * 201}, "trace_id"),
    ],
)
def test_feedback_that_says_too_little_or_too_much_is_refused(
    house: Any, body: dict[str, Any], param: str
) -> None:
    response = house.client(Role.APP).post("/api/scores", json=body)

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_feedback_is_refused_with_retry_after_while_the_collector_is_stuck(house: Any) -> None:
    house.spool.hold_telemetry("the disk of the store is full")

    response = house.client(Role.APP).post("/api/scores", json={"trace_id": "t", "name": "x", "value": 1})

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert "the disk of the store is full" in response.json()["error"]["message"]


def test_feedback_that_a_stopped_spool_cannot_keep_is_refused(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spool, "append", lambda self, events: None)

    assert (
        house.client(Role.APP)
        .post("/api/scores", json={"trace_id": "t", "name": "x", "value": 1})
        .status_code
        == 503
    )


def test_the_overview_sums_up(house: Any, make_span: Any) -> None:
    house.keep(
        make_span(cost_usd=Decimal("0.1")),
        make_span(cost_usd=Decimal("0.2")),
        make_span(model="large", status=SpanStatus.ERROR),
    )

    body = house.client().get("/api/overview", params={"last": "1h"}).json(parse_float=Decimal)

    assert body["total"]["calls"] == 3
    assert body["total"]["errors"] == 1
    assert body["total"]["cost_usd"] == Decimal("0.3")
    assert body["total"]["cost_unknown"] == 1
    assert [group["value"] for group in body["by_model"]] == ["fast", "large"]
    assert sum(point["traffic"]["calls"] for point in body["over_time"]) == 3


def test_the_quarantine_can_be_seen_by_an_admin(house: Any, make_span: Any) -> None:
    house.keep(make_span(cost_usd=Decimal("1e30")))

    (entry,) = house.client().get("/api/quarantine").json()["items"]

    assert "does not fit" in entry["reason"]
    assert house.client(Role.VIEWER).get("/api/quarantine").status_code == 403


@pytest.mark.parametrize(
    "path", ["/api/traces", "/api/traces/x", "/api/spans/x", "/api/overview", "/api/scores?trace_id=x"]
)
def test_an_applications_key_reads_no_traces(house: Any, path: str) -> None:
    assert house.client(Role.APP).get(path).status_code == 403
    assert house.client(None).get(path).status_code == 401


def test_a_viewer_adds_no_scores(house: Any) -> None:
    assert (
        house.client(Role.VIEWER)
        .post("/api/scores", content=json.dumps({"trace_id": "t", "name": "x", "value": 1}))
        .status_code
        == 403
    )
