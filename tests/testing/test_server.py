"""The simulated server, seen by the official OpenAI client with its default settings, and by a bare socket."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from assay.errors import Unusable
from assay.testing import Change, Rule, Script, SimulatedServer

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Good morning dear world"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with SimulatedServer(
        Script(answer="echo", rules=(Rule(match="weather in (?P<city>\\w+)", tool="weather"),))
    ) as it:
        yield it


@pytest.fixture
def client(server: SimulatedServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="any", max_retries=0) as it:
        yield it


def test_models_are_listed_and_one_is_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["simulated-1"]
    assert client.models.retrieve("simulated-1").owned_by == "simulated"


def test_a_chat_answers_with_usage(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="small", messages=HELLO)
    assert answer.choices[0].message.content == "Good morning dear world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "small"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == answer.usage.total_tokens == 8


def test_a_stream_without_asking_has_no_usage(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="small", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Good morning dear world"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_that_asks_gets_usage_in_a_last_chunk_without_choices(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="s", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 8
    assert all(chunk.choices and chunk.usage is None for chunk in chunks[:-1])


def test_completions_answer_several_prompts(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt=["one two", "three"], n=2, logprobs=2, echo=True)
    assert [choice.text for choice in answer.choices] == ["one twoone two"] * 2 + ["threethree"] * 2
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["one", " two"]
    assert logprobs.text_offset == [7, 10]


def test_completions_stream(client: openai.OpenAI) -> None:
    chunks = list(client.completions.create(model="small", prompt="one two three", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "one two three"


def test_a_demanded_tool_is_called_with_arguments_of_its_shape(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="small", messages=HELLO, tools=[WEATHER], tool_choice="required"
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"
    arguments = json.loads(calls[0].function.arguments)
    assert isinstance(arguments["city"], str)
    assert 1 <= arguments["days"] <= 7


def test_a_rule_calls_a_tool_in_a_stream_and_the_result_ends_it(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "the weather in Rome"}]
    with client.chat.completions.stream(model="small", messages=messages, tools=[WEATHER]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    call = message.tool_calls[0]
    assert set(json.loads(call.function.arguments)) == {"city", "days"}
    said = {"role": "assistant", "tool_calls": [call.model_dump(exclude={"function": {"parsed_arguments"}})]}
    messages += [said, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answer = client.chat.completions.create(model="small", messages=messages, tools=[WEATHER])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == "the weather in Rome"


def test_a_rate_limit_raises_and_says_when_to_come_back(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(
            model="s", messages=HELLO, extra_headers={"x-simulate": "status=429;retry_after_s=7"}
        )
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("steering", "expected"),
    [
        ("cut_at=3", openai.APIConnectionError),
        ("error_at=3", openai.APIError),
        ("malformed_at=2", json.JSONDecodeError),
    ],
)
def test_a_stream_that_breaks_raises(client: openai.OpenAI, steering: str, expected: type[Exception]) -> None:
    stream = client.chat.completions.create(
        model="s", messages=HELLO, stream=True, extra_headers={"x-simulate": steering}
    )
    with pytest.raises(expected):
        list(stream)


def test_nobody_answering_is_a_connection_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="s", messages=HELLO, extra_body={"simulate": {"refuse": 1}})


def test_the_clients_own_retry_gets_through_when_the_failure_ends() -> None:
    script = Script(answer="echo", status=503, then=(Change(after_calls=1, set={"status": 200}),))
    with SimulatedServer(script) as server:
        with openai.OpenAI(base_url=server.url, api_key="any", max_retries=1) as client:
            assert client.chat.completions.create(model="s", messages=HELLO).choices[0].message.content
        assert [call.status for call in server.simulation.log] == [503, 200]


def test_a_wrong_key_and_an_unknown_model_are_refused() -> None:
    with SimulatedServer(Script(api_key="sk-right", models=("known",))) as server:
        with openai.OpenAI(base_url=server.url, api_key="sk-wrong") as client:
            with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
                client.models.list()
        with openai.OpenAI(base_url=server.url, api_key="sk-right") as client:
            assert [model.id for model in client.models.list()] == ["known"]
            with pytest.raises(openai.NotFoundError, match="unknown"):
                client.chat.completions.create(model="unknown", messages=HELLO)


def test_a_client_that_leaves_stops_the_answer(server: SimulatedServer, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="s",
        messages=[{"role": "user", "content": "word " * 400}],
        stream=True,
        extra_headers={"x-simulate": "tokens_per_s=100"},
    )
    for read, _ in enumerate(stream):
        if read == 3:
            break
    stream.close()
    call = server.simulation.log[-1]
    assert eventually(lambda: call.cancelled)
    assert call.chunks_sent < 200


def test_a_client_that_leaves_before_the_head_is_noticed(server: SimulatedServer) -> None:
    body = json.dumps({"model": "s", "messages": HELLO, "simulate": {"head_s": 60}}).encode()
    with socket.create_connection((server.host, server.port)) as bare:
        bare.sendall(post(body))
        assert eventually(lambda: server.simulation.log[-1].outcome == "running")
    assert eventually(lambda: server.simulation.log[-1].cancelled)


def test_a_cut_closes_the_socket_inside_the_chunked_body(server: SimulatedServer) -> None:
    body = json.dumps({"model": "s", "messages": HELLO, "stream": True, "simulate": {"cut_at": 2}}).encode()
    with socket.create_connection((server.host, server.port), timeout=5) as bare:
        bare.sendall(post(body))
        received = b"".join(iter(lambda: bare.recv(65536), b""))
    assert received.count(b"data: ") == 2
    assert not received.endswith(b"0\r\n\r\n")


def test_pipelined_requests_are_answered_in_order_on_one_connection(server: SimulatedServer) -> None:
    bodies = [json.dumps({"model": f"m{n}", "messages": HELLO}).encode() for n in range(3)]
    with socket.create_connection((server.host, server.port), timeout=5) as bare:
        bare.sendall(b"".join(post(body) for body in bodies[:2]) + post(bodies[2], close=True))
        received = b"".join(iter(lambda: bare.recv(65536), b""))
    assert re.findall(rb'"model":"(\w+)"', received) == [b"m0", b"m1", b"m2"]


def test_what_is_no_http_is_refused_and_the_server_lives_on(
    server: SimulatedServer, client: openai.OpenAI
) -> None:
    with socket.create_connection((server.host, server.port), timeout=5) as bare:
        bare.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        assert bare.recv(100).startswith(b"HTTP/1.1 400")
    assert client.models.list().data


def test_a_taken_port_is_named(server: SimulatedServer) -> None:
    with pytest.raises(Unusable, match=str(server.port)):
        SimulatedServer(port=server.port).start()


def test_the_command_serves_what_its_options_say() -> None:
    command = [sys.executable, "-m", "assay.testing", "--port", "0", "-s", "answer=fixed", "-s", "text=hi"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().rpartition("=")[2]
        with openai.OpenAI(base_url=url, api_key="any") as client:
            assert (
                client.chat.completions.create(model="s", messages=HELLO).choices[0].message.content == "hi"
            )
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_the_command_names_an_option_that_does_not_exist() -> None:
    command = [sys.executable, "-m", "assay.testing", "--port", "0", "-s", "anwser=echo"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 64
    assert "anwser" in ended.stderr
    assert "Traceback" not in ended.stderr


def post(body: bytes, *, close: bool = False) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + (b"connection: close\r\n" if close else b"") + b"\r\n" + body


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
