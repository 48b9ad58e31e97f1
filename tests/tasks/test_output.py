"""A variant with an output schema: its answers fit, whoever asks and however."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{upstream}"
[models.m]
route = [{{ provider = "upstream", model = "u" }}]
structured = {{ attempts = 2, native = false }}
[tasks.person]
release = {{ v1 = 1.0 }}
[tasks.person.variants.v1]
model = "m"
prompt = "Who is it? {{{{ text }}}}"
output = {{ type = "object", required = ["name"], properties = {{ name = {{ type = "string" }} }} }}
"""
GOOD, BAD = '{"name": "Jane"}', '{"name": 7}'


class House:
    """The server and its upstream."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.server = server
        self.http = server.http
        self.upstream = upstream


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with SimulatedServer(Script(answer="fixed", text=GOOD)) as upstream:
        server = start_assay(
            CONFIG.format(upstream=upstream.url), folder=tmp_path_factory.mktemp("o")
        ).ready()
        yield House(server, upstream)
        server.stop()


@pytest.fixture(scope="module")
def stubborn(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with SimulatedServer(Script(answer="fixed", text=BAD)) as upstream:
        server = start_assay(
            CONFIG.format(upstream=upstream.url), folder=tmp_path_factory.mktemp("b")
        ).ready()
        yield House(server, upstream)
        server.stop()


def test_a_call_of_the_task_answers_what_fits(house: House) -> None:
    answer = house.http.post("/api/tasks/person/calls", json={"inputs": {"text": "she"}}).json()
    assert answer["output"] == GOOD
    asked = house.upstream.simulation.log[-1].body
    assert '"required":["name"]' in asked["messages"][0]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_what_does_not_fit_is_a_422_with_its_attempts_in_the_trace(stream: bool, stubborn: Any) -> None:
    body = {"model": "task:person", "messages": [{"role": "user", "content": "she"}], "stream": stream}
    answer = stubborn.http.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (422, "invalid_output")
    assert 'name: 7 is not of type "string"' in error["message"]
    spans = stubborn.server.trace(answer.headers["x-assay-trace-id"])
    (call,) = [span for span in spans if span["kind"] == "model"]
    tried = [span for span in spans if span["kind"] == "attempt"]
    assert (call["attempts"], len(tried)) == (2, 2)
    assert {span["parent_id"] for span in tried} == {call["span_id"]}
    assert {span["error"]["type"] for span in tried} == {"invalid_output"}


def test_every_format_and_a_stream_answer_what_fits(house: House) -> None:
    server = house.server
    message: Any = [{"role": "user", "content": "she"}]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        chunks = client.chat.completions.create(model="task:person", messages=message, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == GOOD
        assert client.responses.create(model="task:person", input="she", store=False).output_text == GOOD
        assert client.completions.create(model="task:person", prompt="she").choices[0].text == GOOD
    body = {"model": "task:person", "max_tokens": 50, "messages": message}
    assert house.http.post("/v1/messages", json=body).json()["content"][0]["text"] == GOOD


def test_the_schema_is_part_of_what_a_variant_is(house: House) -> None:
    variant = house.http.get("/api/tasks/person").json()["variants"][0]
    assert variant["output"]["required"] == ["name"]
    same = {"model": "m", "prompt": "Who is it? {{ text }}"}
    conflict = house.http.put("/api/tasks/person/variants/v1", json=same)
    assert conflict.status_code == 409
    wrong = house.http.put("/api/tasks/person/variants/v2", json={**same, "output": {"type": "thing"}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "output")
    both = {**same, "output": {}, "parameters": {"response_format": {"type": "json_object"}}}
    twice = house.http.put("/api/tasks/person/variants/v2", json=both)
    assert twice.json()["error"]["param"] == "parameters.response_format"
