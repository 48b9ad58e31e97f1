"""The cache as clients meet it: opt-in, said in headers, the same for the official clients."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import anthropic
import openai
import pytest


def asked(house: Any) -> int:
    return len(house.upstream.simulation.log)


@pytest.fixture
def text() -> str:
    """A question that no other test asks."""
    return f"what is {uuid4()}"


def test_a_call_says_what_the_cache_did(house: Any, text: str) -> None:
    assert house.chat(text=text).headers["x-assay-cache"] == "none"
    before = asked(house)
    use = {"x-assay-cache": "use"}
    first, second = house.chat(text=text, headers=use), house.chat(text=text, headers=use)
    assert [first.headers["x-assay-cache"], second.headers["x-assay-cache"]] == ["miss", "hit"]
    assert asked(house) == before + 1
    assert second.content == first.content
    assert (second.headers["x-assay-cost-usd"], second.headers["x-assay-attempts"]) == ("0", "0")
    assert float(first.headers["x-assay-cost-usd"]) > 0
    span = house.server.model_span(second.headers["x-assay-trace-id"])
    assert (span["cache"], span["cost_usd"], span["usage"]) == ("hit", 0, None)
    assert span["attributes"]["assay.cache.saved_usd"] == first.headers["x-assay-cost-usd"]


def test_a_model_with_a_policy_caches_without_being_asked(house: Any, text: str) -> None:
    first, second = house.chat("cached", text), house.chat("cached", text)
    assert (first.headers["x-assay-cache"], second.headers["x-assay-cache"]) == ("miss", "hit")
    off = house.chat("cached", text, headers={"x-assay-cache": "off"})
    assert off.headers["x-assay-cache"] == "none"
    salted = house.chat("cached", text, headers={"x-assay-cache-salt": "2"})
    assert salted.headers["x-assay-cache"] == "miss"
    renewed = house.chat("cached", text, headers={"x-assay-cache": "refresh"})
    assert renewed.headers["x-assay-cache"] == "miss"


def test_a_stream_of_a_cached_answer_is_a_stream_for_the_official_client(house: Any, text: str) -> None:
    house.chat("cached", text)
    before = asked(house)
    with house.client() as client:
        chunks = list(
            client.chat.completions.create(
                model="cached",
                messages=[{"role": "user", "content": text}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert asked(house) == before
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    raw = house.chat("cached", text, stream=True)
    assert raw.headers["x-assay-cache"] == "hit"
    assert raw.text.endswith("data: [DONE]\n\n")


def test_a_completed_stream_answers_a_whole_call(house: Any, text: str) -> None:
    with house.client() as client:
        for chunk in client.chat.completions.create(
            model="cached", messages=[{"role": "user", "content": text}], stream=True
        ):
            assert chunk.object == "chat.completion.chunk"
        before = asked(house)
        whole = client.chat.completions.create(model="cached", messages=[{"role": "user", "content": text}])
    assert asked(house) == before
    assert whole.choices[0].message.content == text
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0


def test_the_official_anthropic_client_reads_a_cached_answer_both_ways(house: Any, text: str) -> None:
    message: Any = {"model": "cached", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    with anthropic.Anthropic(base_url=house.server.url, api_key=house.server.key, max_retries=0) as client:
        first = client.messages.create(**message)
        before = asked(house)
        with client.messages.stream(**message) as stream:
            told = stream.get_final_message()
        assert asked(house) == before
    assert [block.text for block in told.content if block.type == "text"] == [text]
    assert told.usage.output_tokens == first.usage.output_tokens


def test_a_tool_call_comes_out_of_the_cache_whole_and_streamed(house: Any, text: str) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    ask: Any = {
        "model": "cached",
        "messages": [{"role": "user", "content": f"weather in Rome, {text}"}],
        "tools": [tool],
    }
    with house.client() as client:
        first = client.chat.completions.create(**ask).choices[0].message.tool_calls
        before = asked(house)
        with client.chat.completions.stream(**ask) as stream:
            told = stream.get_final_completion().choices[0].message.tool_calls
    assert asked(house) == before
    assert first is not None
    assert told is not None
    assert [call.id for call in told] == [call.id for call in first]
    assert [call.function.arguments for call in told if call.type == "function"] == ['{"city":"Rome"}']


def test_one_project_never_hears_another(house: Any, text: str) -> None:
    house.chat("cached", text)
    made = house.http.post("/api/projects", json={"id": f"p{uuid4().hex[:8]}", "admin_key": True})
    theirs = {"authorization": f"Bearer {made.raise_for_status().json()['key']}"}
    assert house.chat("cached", text, headers=theirs).headers["x-assay-cache"] == "miss"
    assert house.chat("cached", text, headers=theirs).headers["x-assay-cache"] == "hit"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-assay-cache", "yes"),
        ("x-assay-cache-ttl", "0"),
        ("x-assay-cache-ttl", "soon"),
        ("x-assay-cache-ttl", "nan"),
        ("x-assay-cache-ttl", "99999999"),
        ("x-assay-cache-salt", "x" * 257),
    ],
)
def test_a_header_that_cannot_be_read_is_named(house: Any, header: str, value: str) -> None:
    refused = house.chat(headers={header: value})
    assert refused.status_code == 400
    assert header in refused.json()["error"]["param"]


def test_a_restarted_server_still_has_it(
    house: Any, text: str, start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "faulty.key").write_text("sk-upstream\n")
    config = house.server.config.read_text()
    server = start_assay(config, folder=tmp_path).ready()
    body = {"model": "cached", "messages": [{"role": "user", "content": text}]}
    first = server.http.post("/v1/chat/completions", json=body)
    server.kill()
    server = start_assay(config, folder=tmp_path, data=server.data).ready()
    again = server.http.post("/v1/chat/completions", json=body)
    assert again.headers["x-assay-cache"] == "hit"
    assert again.content == first.content
    server.stop()


def test_embeddings_are_cached(house: Any, text: str) -> None:
    with openai.OpenAI(base_url=f"{house.server.url}/v1", api_key=house.server.key, max_retries=0) as client:
        vectors = [client.embeddings.create(model="cached", input=text).data[0].embedding for _ in range(2)]
    assert vectors[0] == vectors[1]
    raw = house.http.post(
        "/v1/embeddings", json={"model": "cached", "input": text, "encoding_format": "base64"}
    )
    assert raw.headers["x-assay-cache"] == "hit"


def answered(house: Any, question: str, language: str = "English", **more: Any) -> Any:
    body = {
        "model": "task:faq",
        "messages": [],
        "assay": {"inputs": {"question": question, "language": language}},
        **more,
    }
    return house.http.post("/v1/chat/completions", json=body).raise_for_status()


def test_a_task_answers_a_question_in_other_words_from_the_cache(house: Any) -> None:
    mark = uuid4().hex
    first = answered(house, f"how do I send back a parcel that was broken when it came to me {mark}x")
    again = answered(house, f"how do I send back the parcel that was broken when it came to me {mark}x")
    assert [each.headers["x-assay-cache"] for each in (first, again)] == ["miss", "hit"]
    assert 0.7 <= float(again.headers["x-assay-cache-similarity"]) < 1
    assert "x-assay-cache-similarity" not in first.headers
    assert again.content == first.content
    spans = house.server.trace(again.headers["x-assay-trace-id"])
    kinds = {span["kind"]: span for span in spans}
    assert kinds["embedding"]["parent_id"] == kinds["model"]["span_id"]
    assert kinds["model"]["attributes"]["assay.cache.question"].endswith("x")
    french = answered(
        house, f"how do I send back a parcel that was broken when it came to me {mark}x", "French"
    )
    assert french.headers["x-assay-cache"] == "miss", "the other inputs must be equal"
    stream = answered(
        house, f"how do I send back my parcel that was broken when it came to me {mark}x", stream=True
    )
    assert stream.headers["x-assay-cache"] == "hit"
    assert stream.text.endswith("data: [DONE]\n\n")


def test_the_cache_of_a_task_is_changed_while_it_runs(house: Any) -> None:
    before = house.http.get("/api/tasks/polish").json()
    assert before["cache"] is None
    changed = house.http.patch("/api/tasks/polish", json={"cache": {"ttl_s": 60, "sampled": True}})
    assert changed.json()["cache"] == {"ttl_s": 60.0, "sampled": True}
    text = f"polish {uuid4()}"
    said = [house.chat("task:polish", text).headers["x-assay-cache"] for _ in range(2)]
    assert said == ["miss", "hit"]
    assert house.http.patch("/api/tasks/polish", json={"allow_system": False}).json()["cache"] is not None
    assert house.http.patch("/api/tasks/polish", json={"cache": None}).json()["cache"] is None
    assert house.chat("task:polish", text).headers["x-assay-cache"] == "none"


@pytest.mark.parametrize(
    ("task", "policy", "param"),
    [
        ("faq", {"ttl_s": 60, "similarity": 0.9, "encoder": "unpriced"}, "cache.input"),
        ("faq", {"ttl_s": 60, "similarity": 0.9, "encoder": "unpriced", "input": "langage"}, "cache.input"),
        ("faq", {"ttl_s": 60, "similarity": 0.9, "encoder": "nobody", "input": "question"}, "cache.encoder"),
        ("polish", {"ttl_s": -1}, "cache.ttl_s"),
        ("polish", {"similarity": 0.9}, "cache.ttl_s"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_field(
    house: Any, task: str, policy: Any, param: str
) -> None:
    refused = house.http.patch(f"/api/tasks/{task}", json={"cache": policy})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


def test_the_api_says_what_it_saved_and_forgets_a_project(house: Any, text: str) -> None:
    made = house.http.post("/api/projects", json={"id": f"p{uuid4().hex[:8]}", "admin_key": True}).json()
    theirs = {"authorization": f"Bearer {made['key']}"}
    first = house.chat("cached", text, headers=theirs)
    for _ in range(2):
        house.chat("cached", text, headers=theirs)
    found: Any = None
    for _ in range(200):
        found = house.http.get("/api/cache", params={"days": 1}, headers=theirs).raise_for_status().json()
        if found["hits"] == 2:
            break
        time.sleep(0.05)
    cost = float(first.headers["x-assay-cost-usd"])
    assert (found["entries"], found["misses"], found["unpriced"]) == (1, 1, 0)
    assert found["saved_usd"] == pytest.approx(2 * cost)
    (model,) = found["models"]
    assert (model["model"], model["hits"]) == ("cached", 2)
    assert model["saved_output_tokens"] > 0
    assert house.http.delete("/api/cache", headers=theirs).json() == {"removed": 1}
    assert house.http.get("/api/cache", headers=theirs).json()["entries"] == 0
    assert house.chat("cached", text, headers=theirs).headers["x-assay-cache"] == "miss"
    assert house.http.get("/api/cache", params={"days": 0}, headers=theirs).status_code == 400


def test_a_viewer_sees_the_cache_and_cannot_clear_it(house: Any) -> None:
    viewer = {"authorization": f"Bearer {house.key(role='viewer')}"}
    assert house.http.get("/api/cache", headers=viewer).status_code == 200
    assert house.http.delete("/api/cache", headers=viewer).status_code == 403


def test_the_page_shows_what_was_saved_and_clears_the_cache(house: Any, text: str) -> None:
    for _ in range(2):
        house.chat("cached", text)
    page = house.http.get("/settings/cache").raise_for_status().text
    assert "cached" in page
    assert "/settings/cache/clear" in page
