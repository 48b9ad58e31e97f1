"""A column's call: streamed, kept, stopped, refused; and what was good is kept as a case."""

import json
import time
from typing import Any

import httpx
import pytest


def test_an_answer_comes_in_pieces_and_then_its_figures(house: Any) -> None:
    events = house.ask(text="one two three four", parameters={"temperature": 0.1, "max_tokens": 20})

    names = [name for name, _ in events]
    assert names[:2] == ["asked", "start"]
    assert names[-1] == "done"
    chunks = [said for name, said in events if name == "chunk"]
    assert (
        "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
        == "one two three four"
    )
    done = events[-1][1]
    assert done["trace_id"] == events[0][1]["trace_id"]
    assert (done["status"], done["finish_reason"], done["is_estimated"]) == ("ok", "stop", False)
    assert done["cost_usd"] > 0
    assert done["shown"]["cost"].startswith("$0.0")
    assert 0 <= done["first_output_ms"] <= done["latency_ms"]
    assert (house.asked["temperature"], house.asked["max_tokens"]) == (0.1, 20)


def test_every_call_is_a_kept_span_of_who_asked_and_none_of_production(house: Any) -> None:
    done = house.ask()[-1][1]

    span = house.server.model_span(done["trace_id"])
    who = house.http.get("/api/whoami").json()["name"]
    assert (span["user"], span["environment"], span["tags"]) == (who, "playground", ["playground"])
    assert span["span_id"] == done["span_id"]


def test_a_variant_is_asked_as_it_is_released(house: Any) -> None:
    events = house.ask(
        "task:polish/v1", parameters={"temperature": 1}, inputs={"text": "me was late"}, messages=[]
    )

    assert events[-1][1]["variant"] == "v1"
    assert house.asked["messages"] == [{"role": "user", "content": "Correct this:\nme was late"}]
    assert house.asked["temperature"] == 0.5, "a variant's own parameters win: it is them that were evaluated"
    house.ask("task:polish/v1", text="by its only input")
    assert house.asked["messages"][-1]["content"] == "Correct this:\nby its only input"


def test_tools_and_schemas_go_along(house: Any) -> None:
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    events = house.ask(text="weather in Rome", parameters={"tools": [tool]})

    calls = [
        part
        for name, said in events
        if name == "chunk" and said["choices"]
        for part in said["choices"][0]["delta"].get("tool_calls") or ()
    ]
    assert calls[0]["function"]["name"] == "weather"
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
    house.ask(parameters={"response_format": shape})
    assert house.asked["response_format"] == shape


def test_an_upstream_that_fails_is_told_in_its_column_with_its_trace(house: Any) -> None:
    events = house.ask("down")

    assert [name for name, _ in events] == ["asked", "error"]
    error = events[-1][1]
    assert "cannot be reached" in error["message"]
    assert error["hint"]
    assert house.server.model_span(error["trace_id"])["status"] == "error"


def test_an_answer_that_breaks_off_keeps_what_came(house: Any) -> None:
    events = house.ask(text="a b c d e f", parameters={"simulate": {"cut_at": 3}})

    names = [name for name, _ in events]
    assert names[-2:] == ["error", "done"]
    assert "chunk" in names
    assert events[-1][1]["status"] == "cut"


def test_who_leaves_stops_the_upstream_at_once(house: Any, stranger: httpx.Client) -> None:
    body = {
        "target": "fast",
        "messages": [{"role": "user", "content": "many words " * 200}],
        "parameters": {"simulate": {"tokens_per_s": 20}},
    }
    headers = {"authorization": f"Bearer {house.server.key}"}
    with stranger.stream("POST", "/api/playground/calls", json=body, headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: asked"
        trace_id = json.loads(next(lines).removeprefix("data: "))["trace_id"]
        while next(lines) != "event: chunk":
            pass

    until = time.monotonic() + 10
    while house.upstream.simulation.log[-1].outcome != "cancelled":
        assert time.monotonic() < until, house.upstream.simulation.log[-1].outcome
        time.sleep(0.01)
    span = house.server.model_span(trace_id)
    assert span["status"] == "cancelled"
    assert 0 < span["usage"]["output"] < 200, "what came is counted"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"target": "nothing"}, 404, "target"),
        ({"target": "task:polish"}, 400, "target"),
        ({"target": "task:polish/v9"}, 404, "target"),
        ({"target": "task:nothing/v1"}, 404, "model"),
        ({"target": "task:polish/v1", "messages": [], "inputs": {}}, 400, "messages"),
        ({"target": "fast", "messages": []}, 400, "messages"),
        ({"target": "fast", "parameters": {"model": "x"}}, 400, "parameters.model"),
        ({"target": "fast", "parameters": {"stream": False}}, 400, "parameters.stream"),
        ({"target": "fast", "messages": [{"role": "dog", "content": "x"}]}, 400, "messages[0].role"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    house: Any, body: dict[str, Any], status: int, param: str
) -> None:
    sent = {"messages": [{"role": "user", "content": "x"}], **body}

    answer = house.http.post("/api/playground/calls", json=sent)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_a_case_is_kept_beside_the_others_and_replaced_by_its_own_input(house: Any) -> None:
    def keep(**fields: Any) -> Any:
        return house.http.post("/api/playground/cases", json={"dataset": "good", **fields})

    first = keep(input="two plus two", reference="4", trace_id="t1", span_id="s1").json()
    second = keep(input={"text": "x"}, reference={"a": 1}).json()
    again = keep(input="two plus two", reference="four").json()
    same = keep(input="two plus two", reference="four").json()

    assert [each["version"] for each in (first, second, again, same)] == [1, 2, 3, 3]
    assert [each["is_new"] for each in (first, second, again, same)] == [True, True, True, False]
    cases = house.http.get("/api/datasets/good/cases").json()["items"]
    assert [(case["input"], case.get("reference")) for case in cases] == [
        ("two plus two", "four"),
        ({"text": "x"}, {"a": 1}),
    ]
    old = house.http.get("/api/datasets/good/cases?version=1").json()["items"]
    assert old[0]["provenance"] == {"source": "playground", "trace_id": "t1", "span_id": "s1"}
    assert keep(input="").status_code == 400
    assert keep(input="x", dataset="not a name").status_code == 400


def test_only_editors_ask_and_keep(house: Any, stranger: httpx.Client) -> None:
    ask = {"target": "fast", "messages": [{"role": "user", "content": "x"}]}
    for role, status in (("app", 403), ("viewer", 403), ("editor", 200)):
        headers = house.key(role)
        assert stranger.post("/api/playground/calls", json=ask, headers=headers).status_code == status
        case = {"dataset": "roles", "input": "x"}
        assert stranger.post("/api/playground/cases", json=case, headers=headers).status_code == status
        assert stranger.get("/playground", headers=headers).status_code == status
    assert 'href="/playground"' not in stranger.get("/traces", headers=house.key("viewer")).text
