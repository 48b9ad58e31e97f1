"""What is asked twice under one `Idempotency-Key` is asked of the model once."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import pytest

REPLAY = "x-assay-idempotent-replay"
QUESTION = {"model": "fast", "messages": [{"role": "user", "content": "one two three"}]}


@pytest.fixture
def key() -> str:
    """A key that no other test has."""
    return f"key-{uuid4()}"


def asked(house: Any) -> int:
    """Requests that upstreams have had."""
    return len(house.upstream.simulation.log) + len(house.faulty.simulation.log)


def keyed(house: Any, key: str, body: Any = QUESTION, path: str = "chat/completions", **headers: str) -> Any:
    return house.http.post(f"/v1/{path}", json=body, headers={"idempotency-key": key, **headers})


def test_a_second_request_is_answered_with_the_first_ones_bytes(house: Any, key: str) -> None:
    before = asked(house)
    first, second = keyed(house, key), keyed(house, key)
    assert asked(house) == before + 1
    assert second.content == first.content
    assert REPLAY not in first.headers
    assert second.headers[REPLAY] == "true"
    for name in ("x-assay-trace-id", "x-assay-cost-usd", "x-assay-model", "content-type"):
        assert second.headers[name] == first.headers[name]
    assert "x-assay-overhead-ms" in first.headers
    assert "x-assay-overhead-ms" not in second.headers, "it would be the other's time"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("completions", {"model": "fast", "prompt": "one two"}),
        ("embeddings", {"model": "unpriced", "input": ["one", "two"]}),
        ("messages", {**QUESTION, "max_tokens": 20}),
        ("chat/completions", {**QUESTION, "model": "task:polish"}),
    ],
)
def test_every_endpoint_that_calls_a_model_replays(house: Any, key: str, path: str, body: Any) -> None:
    before = asked(house)
    first, second = keyed(house, key, body, path), keyed(house, key, body, path)
    assert (first.status_code, second.headers[REPLAY]) == (200, "true")
    assert second.content == first.content
    assert asked(house) == before + 1


def test_without_the_header_and_with_another_key_the_model_is_asked(house: Any, key: str) -> None:
    before = asked(house)
    keyed(house, key)
    keyed(house, key + "-other")
    house.chat()
    house.chat()
    assert asked(house) == before + 4


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
def test_another_body_under_the_same_key_is_refused_in_the_formats_words(
    house: Any, key: str, path: str
) -> None:
    body = {**QUESTION, "max_tokens": 20}
    keyed(house, key, body, path).raise_for_status()
    before = asked(house)
    refused = keyed(house, key, {**body, "temperature": 0.5}, path)
    assert refused.status_code == 422
    assert asked(house) == before
    error = refused.json()["error"]
    assert "idempotency key" in error["message"]
    if path == "messages":
        assert refused.json()["type"] == "error"
    else:
        assert (error["type"], error["param"]) == ("idempotency_error", "Idempotency-Key")
    assert keyed(house, key, body, path).headers[REPLAY] == "true", "the first stays as it was"


@pytest.mark.parametrize("steering", ["x-assay-environment", "x-assay-inputs", "anthropic-beta"])
def test_a_header_that_makes_it_another_question_is_part_of_the_request(
    house: Any, key: str, steering: str
) -> None:
    said = '{"text": "hello"}' if steering == "x-assay-inputs" else "staging"
    keyed(house, key)
    assert keyed(house, key, **{steering: said}).status_code == 422


def test_another_endpoint_under_the_same_key_is_refused(house: Any, key: str) -> None:
    body = {**QUESTION, "max_tokens": 20}
    keyed(house, key, body)
    assert keyed(house, key, body, "messages").status_code == 422


def test_another_project_has_its_own_keys(house: Any, key: str) -> None:
    made = house.http.post("/api/projects", json={"id": "elsewhere", "admin_key": True})
    theirs = keyed(house, key, authorization=f"Bearer {made.raise_for_status().json()['key']}")
    first = keyed(house, key)
    assert (theirs.status_code, first.status_code) == (200, 200)
    assert REPLAY not in first.headers
    assert theirs.headers["x-assay-trace-id"] != first.headers["x-assay-trace-id"]


def test_a_key_that_calls_no_models_hears_no_answer_of_another(house: Any, key: str) -> None:
    keyed(house, key).raise_for_status()
    viewer = house.key(role="viewer")
    assert keyed(house, key, authorization=f"Bearer {viewer}").status_code == 403


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "ключ".encode()])
def test_a_key_that_cannot_be_one_is_a_400(house: Any, bad: Any) -> None:
    refused = house.http.post("/v1/chat/completions", json=QUESTION, headers=[(b"idempotency-key", bad)])
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "Idempotency-Key"


def test_a_stream_is_told_again_event_by_event(house: Any, key: str) -> None:
    body = {**QUESTION, "stream": True}
    before = asked(house)
    first, second = keyed(house, key, body), keyed(house, key, body)
    assert asked(house) == before + 1
    assert first.text.endswith("data: [DONE]\n\n")
    assert second.content == first.content
    assert second.headers["content-type"].startswith("text/event-stream")
    assert second.headers[REPLAY] == "true"


def test_duplicates_at_the_same_time_share_one_call(house: Any, key: str) -> None:
    house.behave(head_s=0.3)
    body = {**QUESTION, "model": "faulty"}
    before = asked(house)

    def call(_: int) -> Any:
        with httpx.Client(base_url=house.server.url, timeout=30) as client:
            authorization = f"Bearer {house.server.key}"
            headers = {"idempotency-key": key, "authorization": authorization}
            return client.post("/v1/chat/completions", json=body, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(8)))
    assert asked(house) == before + 1
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sorted(answer.headers.get(REPLAY, "first") for answer in answers) == ["first"] + ["true"] * 7


class Listener(threading.Thread):
    """Reads a stream and notes when each event came."""

    def __init__(self, house: Any, key: str, *, leaves_after: int | None = None) -> None:
        super().__init__()
        self.house, self.key_, self.leaves_after = house, key, leaves_after
        self.came: list[float] = []
        self.said = b""
        self.headers: Any = {}

    def run(self) -> None:
        body = {**QUESTION, "model": "faulty", "stream": True}
        headers = {"idempotency-key": self.key_, "authorization": f"Bearer {self.house.server.key}"}
        url = f"{self.house.server.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as answer:
            self.headers = answer.headers
            for piece in answer.iter_raw():
                self.came.append(time.monotonic())
                self.said += piece
                if self.leaves_after is not None and len(self.came) >= self.leaves_after:
                    return


def test_a_duplicate_follows_a_running_stream_live_and_survives_the_first_ones_departure(
    house: Any, key: str, eventually: Callable[..., Any]
) -> None:
    house.behave(tokens_per_s=8.0)
    before = asked(house)
    first = Listener(house, key, leaves_after=2)
    first.start()
    eventually(lambda: len(first.came) >= 1)
    second = Listener(house, key)
    second.start()
    first.join()
    second.join()
    assert second.headers[REPLAY] == "true"
    assert second.said.endswith(b"data: [DONE]\n\n")
    assert second.said.startswith(first.said[:20])
    assert second.came[-1] - second.came[0] > 0.2, "the events came one by one"
    assert asked(house) == before + 1
    third = Listener(house, key)
    third.run()
    assert third.said == second.said
    assert asked(house) == before + 1


def test_an_answer_that_nobody_waited_for_is_there_when_the_client_comes_back(
    house: Any, key: str, eventually: Callable[..., Any]
) -> None:
    house.behave(head_s=0.4)
    body = {**QUESTION, "model": "faulty"}
    before = asked(house)
    headers = {"idempotency-key": key, "authorization": f"Bearer {house.server.key}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{house.server.url}/v1/chat/completions", json=body, headers=headers, timeout=0.2)
    again = keyed(house, key, body)
    assert (again.status_code, again.headers[REPLAY]) == (200, "true")
    assert asked(house) == before + 1
    span = house.server.model_span(again.headers["x-assay-trace-id"])
    assert span["status"] == "ok"


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 429}, {"status": 401}, {"cut_at": 3}, {"error_at": 4}]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_that_may_pass_is_not_kept(
    house: Any, key: str, fault: dict[str, Any], stream: bool
) -> None:
    if not stream and "error_at" in fault:
        pytest.skip("an error inside a whole answer is no such thing")
    body = {**QUESTION, "model": "faulty", "stream": stream}
    house.behave(**fault)
    failed = keyed(house, key, body)
    assert failed.status_code >= 400 or "event: error" in failed.text
    house.behave()
    mended = keyed(house, key, body)
    assert mended.status_code == 200
    assert REPLAY not in mended.headers
    assert "event: error" not in mended.text


def test_what_never_reached_an_upstream_is_not_kept(house: Any, key: str) -> None:
    assert keyed(house, key, {**QUESTION, "model": "nothing"}).status_code == 404
    assert keyed(house, key).status_code == 200, "so the key is free"


def test_a_refusal_that_would_come_again_is_kept(house: Any, key: str) -> None:
    body = {**QUESTION, "model": "faulty"}
    house.behave(status=400)
    first = keyed(house, key, body)
    before = asked(house)
    second = keyed(house, key, body)
    assert (first.status_code, second.status_code) == (400, 400)
    assert second.content == first.content
    assert second.headers[REPLAY] == "true"
    assert asked(house) == before


def test_it_means_nothing_where_no_model_is_called(house: Any, key: str) -> None:
    headers = {"idempotency-key": key}
    assert REPLAY not in house.http.get("/v1/models", headers=headers).headers
    body = {**QUESTION, "max_tokens": 1}
    for _ in range(2):
        counted = house.http.post("/v1/messages/count_tokens", json=body, headers=headers)
        assert REPLAY not in counted.headers


def test_the_official_anthropic_client_can_send_one(house: Any, key: str) -> None:
    with anthropic.Anthropic(base_url=house.server.url, api_key=house.server.key, max_retries=0) as client:
        said = [
            client.messages.create(
                model="fast",
                max_tokens=20,
                messages=[{"role": "user", "content": "one two"}],
                extra_headers={"idempotency-key": key},
            )
            for _ in range(2)
        ]
    assert said[0].id == said[1].id


def test_a_killed_server_still_knows_what_it_answered(
    house: Any, key: str, start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    config = house.server.config.read_text()
    (tmp_path / "faulty.key").write_text("sk-upstream\n")
    server = start_assay(config, folder=tmp_path).ready()
    headers = {"idempotency-key": key}
    whole = server.http.post("/v1/chat/completions", json=QUESTION, headers=headers)
    stream = {**QUESTION, "stream": True}
    told = server.http.post("/v1/chat/completions", json=stream, headers={"idempotency-key": key + "s"})
    server.kill()
    before = asked(house)
    server = start_assay(config, folder=tmp_path, data=server.data).ready()
    again = server.http.post("/v1/chat/completions", json=QUESTION, headers=headers)
    retold = server.http.post("/v1/chat/completions", json=stream, headers={"idempotency-key": key + "s"})
    assert asked(house) == before
    assert (again.content, retold.content) == (whole.content, told.content)
    assert again.headers["x-assay-trace-id"] == whole.headers["x-assay-trace-id"]
    assert json.loads(again.content)["choices"][0]["message"]["content"] == "one two three"
    server.stop()
