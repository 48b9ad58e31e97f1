"""Batches with the official OpenAI client against a real server, through kills, mistakes, cancellation and expiry."""

import collections
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{url}"
[models.fast]
route = [{{ provider = "upstream", model = "m" }}]
retries = 0
breaker = {{ failures = 0 }}
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }}
[tasks.polish]
variants.v1 = {{ model = "fast", prompt = "Correct: {{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""
CHAT: Any = "/v1/chat/completions"


@pytest.fixture(scope="module")
def upstream() -> Iterator[SimulatedServer]:
    with SimulatedServer(Script(answer="echo")) as server:
        yield server


@pytest.fixture(scope="module")
def server(
    start_assay: Callable[..., Any], upstream: SimulatedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("batches")
    server = start_assay(CONFIG.format(url=upstream.url), folder=folder).ready()
    yield server
    server.stop()


@pytest.fixture
def client(server: Any) -> Iterator[openai.OpenAI]:
    with client_of(server) as client:
        yield client


def client_of(server: Any, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key or server.key, max_retries=0)


def line(id: str, text: str, *, url: str = CHAT, model: str = "fast", **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return {"custom_id": id, "method": "POST", "url": url, "body": body}


def start(client: openai.OpenAI, lines: list[Any], *, endpoint: Any = CHAT, **more: Any) -> Any:
    content = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines).encode()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


def ended(client: openai.OpenAI, batch_id: str, *, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while True:
        batch = client.batches.retrieve(batch_id)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
        assert time.monotonic() < end, batch
        time.sleep(0.05)


def read(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    assert file_id is not None
    return [json.loads(text) for text in client.files.content(file_id).text.splitlines()]


def test_a_batch_is_answered_line_by_line(client: openai.OpenAI, server: Any) -> None:
    lines = [line(f"q-{at}", f"question {at}") for at in range(30)]
    made = start(client, lines, metadata={"night": "one"})
    assert (made.status, made.object, made.endpoint) == ("validating", "batch", CHAT)
    done = ended(client, made.id)
    assert (done.status, done.model, done.metadata) == ("completed", "fast", {"night": "one"})
    assert done.request_counts == openai.types.BatchRequestCounts(total=30, completed=30, failed=0)
    assert done.error_file_id is None
    output = read(client, done.output_file_id)
    assert [each["custom_id"] for each in output] == [f"q-{at}" for at in range(30)]
    answers = [each["response"]["body"]["choices"][0]["message"]["content"] for each in output]
    assert answers == [f"question {at}" for at in range(30)]
    assert {each["response"]["status_code"] for each in output} == {200}
    assert len({each["id"] for each in output}) == 30
    usage = [each["response"]["body"]["usage"] for each in output]
    assert done.usage is not None
    assert done.usage.input_tokens == sum(each["prompt_tokens"] for each in usage)
    assert done.usage.output_tokens == sum(each["completion_tokens"] for each in usage)
    span = server.model_span(output[3]["response"]["request_id"])
    assert span["attributes"]["assay.batch.id"] == made.id
    assert span["attributes"]["assay.batch.custom_id"] == "q-3"
    shown = server.http.get(f"/api/batches/{made.id}").raise_for_status().json()
    exact = (Decimal(done.usage.input_tokens) + 2 * Decimal(done.usage.output_tokens)) / 1_000_000
    assert Decimal(str(shown["cost_usd"])) == exact


@pytest.mark.parametrize(
    ("url", "body", "answer"),
    [
        (CHAT, {"model": "task:polish", "messages": [{"role": "user", "content": "hi"}]}, "Correct: hi"),
        (CHAT, {"model": "task:polish", "messages": [], "assay": {"inputs": {"text": "yo"}}}, "Correct: yo"),
        ("/v1/completions", {"model": "fast", "prompt": "go on"}, "go on"),
        ("/v1/responses", {"model": "fast", "input": "hello"}, "hello"),
        ("/v1/responses", {"model": "task:polish", "input": "hello"}, "Correct: hello"),
        ("/v1/embeddings", {"model": "fast", "input": "hello", "dimensions": 8}, 8),
        ("/v1/moderations", {"model": "fast", "input": "violence"}, True),
    ],
)
def test_every_endpoint_is_served(client: openai.OpenAI, url: Any, body: Any, answer: Any) -> None:
    made = start(client, [{"custom_id": "a", "method": "POST", "url": url, "body": body}], endpoint=url)
    done = ended(client, made.id)
    (said,) = read(client, done.output_file_id or done.error_file_id)
    assert said["response"]["status_code"] == 200, said
    got = said["response"]["body"]
    found: dict[str, Callable[[], Any]] = {
        CHAT: lambda: got["choices"][0]["message"]["content"],
        "/v1/completions": lambda: got["choices"][0]["text"],
        "/v1/responses": lambda: got["output"][0]["content"][0]["text"],
        "/v1/embeddings": lambda: len(got["data"][0]["embedding"]),
        "/v1/moderations": lambda: got["results"][0]["flagged"],
    }
    assert found[url]() == answer
    if url == "/v1/responses":
        assert got["store"] is False


def test_a_line_that_cannot_be_asked_is_in_the_error_file(client: openai.OpenAI) -> None:
    lines = [
        line("good", "hello"),
        line("bad", "hello", temperature="hot"),
        {**line("worse", ""), "body": {"model": "fast", "messages": []}},
    ]
    done = ended(client, start(client, lines).id)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 1, 2)
    assert [each["custom_id"] for each in read(client, done.output_file_id)] == ["good"]
    bad, worse = read(client, done.error_file_id)
    assert (bad["response"]["status_code"], bad["error"]) == (400, None)
    assert bad["response"]["body"]["error"]["param"] == "temperature"
    assert worse["response"]["body"]["error"]["param"] == "messages"


def test_mistakes_of_the_input_are_told_by_line_and_nothing_is_asked(
    client: openai.OpenAI, upstream: SimulatedServer
) -> None:
    before = len(upstream.simulation.log)
    lines = [
        line("a", "fine"),
        "{nonsense",
        line("a", "again"),
        line("b", "x", url="/v1/embeddings"),
        line("c", "x", model="nobody"),
        line("d", "x", stream=True),
        {**line("e", "x"), "method": "GET"},
        {"custom_id": "f", "method": "POST", "url": CHAT},
        {"method": "POST", "url": CHAT, "body": {"model": "fast"}},
        line("", "x"),
        line("g", "x", model="task:none"),
    ]
    failed = ended(client, start(client, lines).id)
    assert failed.status == "failed"
    assert failed.errors is not None
    told = [(each.line, each.code, each.param) for each in failed.errors.data or []]
    assert told == [
        (2, "invalid_json_line", None),
        (3, "duplicate_custom_id", "custom_id"),
        (4, "invalid_request", "url"),
        (5, "model_not_found", "body.model"),
        (6, "invalid_request", "body.stream"),
        (7, "invalid_request", "method"),
        (8, "invalid_request", "body"),
        (9, "invalid_request", "custom_id"),
        (10, "invalid_request", "custom_id"),
        (11, "model_not_found", "body.model"),
    ]
    assert len(upstream.simulation.log) == before
    empty = ended(client, start(client, ["", "  "]).id)
    assert [each.code for each in empty.errors.data] == ["empty_file"]


@pytest.mark.parametrize(
    ("wanted", "status", "param"),
    [
        ({"endpoint": "/v1/images/generations"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"input_file_id": "file-none"}, 404, "file_id"),
        ({"assay": {"concurrency": 0}}, 400, "assay.concurrency"),
        ({"metadata": {"a": 1}}, 400, "metadata[...]"),
        ({"metadata": {str(at): "" for at in range(17)}}, 400, "metadata"),
        ({"input_file_id": None}, 400, "input_file_id"),
    ],
)
def test_what_cannot_be_started_is_named(
    client: openai.OpenAI, server: Any, wanted: Any, status: int, param: str
) -> None:
    file = client.files.create(file=("in.jsonl", json.dumps(line("a", "b")).encode()), purpose="batch")
    body = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **wanted}
    answer = server.http.post("/v1/batches", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    other = client.files.create(file=("in.jsonl", b"x"), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="user_data"):
        client.batches.create(input_file_id=other.id, endpoint=CHAT, completion_window="24h")


def test_a_cancelled_batch_keeps_what_is_done(client: openai.OpenAI, upstream: SimulatedServer) -> None:
    upstream.simulation.change(head_s=0.05)
    try:
        made = start(
            client,
            [line(f"q-{at}", f"q {at}") for at in range(400)],
            extra_body={"assay": {"concurrency": 2}},
        )
        while (counts := client.batches.retrieve(made.id).request_counts) is None or counts.completed < 3:
            time.sleep(0.02)
        assert client.batches.cancel(made.id).status in ("cancelling", "cancelled")
        done = ended(client, made.id)
    finally:
        upstream.simulation.change(head_s=0.0)
    assert done.status == "cancelled"
    assert done.cancelled_at >= done.cancelling_at >= done.in_progress_at
    output, errors = read(client, done.output_file_id), read(client, done.error_file_id)
    assert 3 <= len(output) == done.request_counts.completed < 400
    assert len(output) + len(errors) == 400
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    assert {each["response"] for each in errors} == {None}
    with pytest.raises(openai.ConflictError, match="cancelled"):
        client.batches.cancel(made.id)


def test_cancelling_its_job_cancels_a_batch(
    client: openai.OpenAI, server: Any, upstream: SimulatedServer
) -> None:
    upstream.simulation.change(head_s=0.05)
    try:
        lines = [line(f"q-{at}", f"q {at}") for at in range(400)]
        made = start(client, lines, extra_body={"assay": {"concurrency": 2}})
        job_id = server.http.get(f"/api/batches/{made.id}").json()["job_id"]
        while (counts := client.batches.retrieve(made.id).request_counts) is None or counts.completed < 3:
            time.sleep(0.02)
        server.http.post(f"/api/jobs/{job_id}/cancel").raise_for_status()
        done = ended(client, made.id)
    finally:
        upstream.simulation.change(head_s=0.0)
    assert done.status == "cancelled"
    assert len(read(client, done.output_file_id)) + len(read(client, done.error_file_id)) == 400


def test_a_line_whose_upstream_was_away_is_asked_again(
    client: openai.OpenAI, upstream: SimulatedServer
) -> None:
    upstream.simulation.change(status=503)
    try:
        made = start(client, [line("a", "patience")])
        before = len(upstream.simulation.log)
        while len(upstream.simulation.log) == before:
            time.sleep(0.01)
    finally:
        upstream.simulation.change(status=200)
    done = ended(client, made.id)
    (said,) = read(client, done.output_file_id)
    assert said["response"]["body"]["choices"][0]["message"]["content"] == "patience"


def test_batches_are_listed_in_pages(client: openai.OpenAI) -> None:
    made = [start(client, [line("a", str(at))]).id for at in range(3)]
    first = client.batches.list(limit=2)
    assert ([batch.id for batch in first.data], first.has_more) == ([made[2], made[1]], True)
    second = client.batches.list(limit=2, after=made[1])
    assert second.data[0].id == made[0]
    for id in made:
        ended(client, id)


def test_another_project_finds_nothing(client: openai.OpenAI, server: Any) -> None:
    mine = start(client, [line("a", "secret")])
    made = server.http.post("/api/projects", json={"id": "apart", "admin_key": True}).raise_for_status()
    with client_of(server, made.json()["key"]) as theirs:
        assert list(theirs.batches.list()) == []
        for gone in (theirs.batches.retrieve, theirs.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                gone(mine.id)
        with pytest.raises(openai.NotFoundError):
            theirs.batches.create(input_file_id=mine.input_file_id, endpoint=CHAT, completion_window="24h")
        headers = {"authorization": f"Bearer {theirs.api_key}"}
        for path in ("", "/output", "/errors"):
            assert server.http.get(f"/api/batches/{mine.id}{path}", headers=headers).status_code == 404
        assert server.http.post(f"/api/batches/{mine.id}/cancel", headers=headers).status_code == 404
        assert server.http.get(f"/batches/{mine.id}", headers=headers).status_code == 404
    ended(client, mine.id)


def test_a_kill_in_the_middle_loses_and_repeats_nothing(
    start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    at_once, count = 4, 200
    with SimulatedServer(Script(answer="echo", head_s=0.02)) as upstream:
        config = CONFIG.format(url=upstream.url)
        server = start_assay(config, folder=tmp_path).ready()
        with client_of(server) as client:
            lines = [line(f"q-{at}", f"question {at}") for at in range(count)]
            made = start(client, lines, extra_body={"assay": {"concurrency": at_once}})
        kills, finished = 0, 0
        while kills < 3:
            with client_of(server) as client:
                while True:
                    counts = client.batches.retrieve(made.id).request_counts
                    if counts is not None and counts.completed >= finished + 20:
                        break
                    time.sleep(0.01)
                finished = counts.completed
            server.kill()
            kills += 1
            server = start_assay(config, folder=tmp_path).ready()
        with client_of(server) as client:
            done = ended(client, made.id, seconds=60)
            output = read(client, done.output_file_id)
        server.stop()
        asked = collections.Counter(
            call.body["messages"][0]["content"] for call in upstream.simulation.log if call.body is not None
        )
    assert done.status == "completed"
    assert [each["custom_id"] for each in output] == [f"q-{at}" for at in range(count)]
    assert len(asked) == count
    twice = [text for text, times in asked.items() if times > 1]
    assert len(twice) <= kills * at_once, "only what was in flight at a kill is asked again"
