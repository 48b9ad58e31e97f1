"""Streams that do not go as planned: before the first output another may answer, after it the truth is told."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest


def events(text: str) -> list[tuple[str, str]]:
    """(event name, data) of each server-sent event."""
    found = []
    for block in filter(None, text.split("\n\n")):
        lines = dict(line.partition(": ")[::2] for line in block.split("\n"))
        found.append((lines.get("event", "message"), lines.get("data", "")))
    return found


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"cut_at": 0}, {"cut_at": 1}, {"error_at": 1}, {"stall_at": 2}]
)
def test_before_the_first_output_the_fallback_answers(house: Any, fault: dict[str, Any]) -> None:
    house.behave(**fault)
    answer = house.chat("backed", "one two", stream=True)
    assert answer.status_code == 200
    said = [json.loads(data) for name, data in events(answer.text)[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said) == "one two"
    assert sum("role" in chunk["choices"][0]["delta"] for chunk in said) == 1, "nothing of the first is seen"
    spans = house.server.trace(answer.headers["x-assay-trace-id"])
    (call,) = [span for span in spans if span["kind"] == "model"]
    assert (call["status"], call["provider"], call["attempts"]) == ("ok", "upstream", 2)
    assert [span["provider"] for span in spans if span["kind"] == "attempt"] == ["faulty"]


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut_at": 0}, {"status": 401}])
def test_a_whole_answer_falls_back_too(house: Any, fault: dict[str, Any]) -> None:
    house.behave(**fault)
    answer = house.chat("backed", "one two")
    assert answer.json()["choices"][0]["message"]["content"] == "one two"
    assert answer.headers["x-assay-attempts"] == "2"
    assert answer.headers["x-assay-model"] == "fast", "who answered"


@pytest.mark.parametrize(
    ("fault", "status", "type"),
    [
        ({"cut_at": 3}, "cut", "upstream_cut"),
        ({"error_at": 4}, "error", None),
        ({"stall_at": 4}, "error", "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("model", ["faulty", "backed"])
def test_after_the_first_output_a_break_is_said_and_never_looks_complete(
    house: Any, model: str, fault: dict[str, Any], status: str, type: str | None
) -> None:
    if model == "backed" and "stall_at" in fault:
        pytest.skip("its time-out for silence is a minute")
    house.behave(**fault)
    asked = len(house.upstream.simulation.log)
    answer = house.chat(model, stream=True)
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    name, data = events(answer.text)[-1]
    assert name == "error"
    error = json.loads(data)["error"]
    assert {"message", "type", "code"} <= error.keys()
    if type is not None:
        assert error["type"] == type
    assert len(house.upstream.simulation.log) == asked, "no second answer follows half of a first"
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert span["status"] == status
    assert span["output"][0]["content"].split() == ["one", "two"]
    assert span["usage"]["output_source"] == "estimate"
    assert span["usage"]["output"] > 0


def test_the_official_client_raises_for_a_cut(house: Any) -> None:
    house.behave(cut_at=4)
    with house.client() as client:
        stream = client.chat.completions.create(
            model="faulty", messages=[{"role": "user", "content": "x"}], stream=True
        )
        with pytest.raises(openai.APIError, match="middle of its answer"):
            list(stream)


def test_a_malformed_line_is_left_out_and_the_answer_goes_on(house: Any) -> None:
    house.behave(malformed_at=3)
    answer = house.chat("faulty", stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    said = [json.loads(data) for name, data in events(answer.text)[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said)
    assert text.split() == ["one", "three", "four", "five", "six"]
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert span["status"] == "ok"
    assert span["attributes"]["assay.stream.malformed_events"] == 1


def test_a_malformed_whole_answer_is_a_502(house: Any) -> None:
    house.behave(malformed_at=1)
    assert house.chat("faulty").status_code == 502


def test_a_first_token_that_is_late_is_a_timeout(house: Any) -> None:
    house.behave(stall_at=1)
    answer = house.chat("faulty", stream=True)
    assert answer.status_code == 504
    assert answer.json()["error"]["type"] == "upstream_timeout"


def test_an_upstream_that_never_counts_is_estimated_and_said_to_be(house: Any) -> None:
    house.behave(usage=False)
    answer = house.chat("faulty", stream=True)
    usage = house.server.model_span(answer.headers["x-assay-trace-id"])["usage"]
    assert (usage["input_source"], usage["output_source"]) == ("estimate", "estimate")


def test_a_client_that_leaves_a_stream_stops_the_upstream_and_is_settled(
    house: Any, eventually: Callable[..., Any]
) -> None:
    house.behave(tokens_per_s=2)
    body = {"model": "faulty", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with house.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        trace_id = answer.headers["x-assay-trace-id"]
        for line in answer.iter_lines():
            if '"content":"one' in line:
                break
    call = house.faulty.simulation.log[-1]
    eventually(lambda: call.cancelled)
    eventually(lambda: house.http.get(f"/api/traces/{trace_id}").status_code == 200)
    span = house.server.model_span(trace_id)
    assert span["status"] == "cancelled"
    assert span["output"][0]["content"].startswith("one")
    assert span["usage"]["output_source"] == "estimate"


def test_a_client_that_leaves_before_a_whole_answer_is_settled(
    house: Any, eventually: Callable[..., Any]
) -> None:
    house.behave(head_s=30)
    trace_id = "1" * 31 + "a"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    with pytest.raises(Exception, match="timed out"):
        house.http.post(
            "/v1/chat/completions",
            json={"model": "stubborn", "messages": [{"role": "user", "content": "x"}]},
            headers=headers,
            timeout=0.5,
        )
    eventually(lambda: house.http.get(f"/api/traces/{trace_id}").status_code == 200)
    assert house.server.model_span(trace_id)["status"] == "cancelled"
