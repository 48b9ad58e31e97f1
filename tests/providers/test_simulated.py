"""The simulated provider in process: OpenAI's format to the letter, faults at their place, time by the clock."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from assay.errors import BadRequest, UpstreamCut, UpstreamDown, UpstreamTimeout
from assay.providers.simulated import Change, LogNormal, Rule, Script, SimulatedTransport, Simulation, build
from assay.providers.types import HttpRequest, HttpResponse, ProviderConfig, ProviderRequest, Timeouts
from assay.testing import FakeClock
from assay.wire.messages import text_message
from assay.wire.openai_chat import chat_request

USER = [{"role": "user", "content": "one two three"}]


def simulated(clock: FakeClock | None = None, **script: Any) -> Simulation:
    return Simulation(Script(**script), clock=clock or FakeClock(runs_ahead=True))


def post(
    path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, **body: Any
) -> HttpRequest:
    body.setdefault("model", "m")
    return HttpRequest(
        "POST", f"http://any.invalid{path}", tuple((headers or {}).items()), json.dumps(body).encode()
    )


def chat(**body: Any) -> HttpRequest:
    return post(**{"messages": USER, **body})


def exchange(simulation: Simulation, request: HttpRequest) -> tuple[int, dict[str, str], bytes]:
    async def scenario() -> tuple[int, dict[str, str], bytes]:
        response = await SimulatedTransport(simulation).send(request, Timeouts(), stream=False)
        try:
            return response.status, dict(response.headers), await response.read()
        finally:
            await response.aclose()

    return asyncio.run(scenario())


def events(body: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


def said(simulation: Simulation, **body: Any) -> str:
    return str(json.loads(exchange(simulation, chat(**body))[2])["choices"][0]["message"]["content"])


# What it says.


def test_lorem_is_the_same_for_the_same_prompt_and_differs_by_prompt() -> None:
    simulation = simulated(output_tokens=12)
    first, again = said(simulation), said(simulation)
    assert first == again
    assert first != said(simulation, messages=[{"role": "user", "content": "other"}])


def test_rules_answer_from_the_last_user_message_and_fall_through() -> None:
    simulation = simulated(answer="echo", rules=[Rule(match=r"(\d+) ?\+ ?(\d+)", answer=r"\1 plus \2")])
    assert said(simulation, messages=[{"role": "user", "content": "what is 4+5?"}]) == "4 plus 5"
    assert said(simulation) == "one two three"


def test_a_rule_holds_for_its_share_of_the_calls() -> None:
    simulation = simulated(answer="fixed", text="wrong", rules=[Rule(match="", answer="right", share=0.7)])
    right = sum(said(simulation) == "right" for _ in range(400))
    assert 0.62 <= right / 400 <= 0.78


def test_text_parts_are_read() -> None:
    parts = [
        {"type": "text", "text": "a "},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "b"},
    ]
    assert said(simulated(answer="echo"), messages=[{"role": "user", "content": parts}]) == "a b"


@pytest.mark.parametrize(
    ("limit", "finish"), [({"max_tokens": 2}, "length"), ({"max_completion_tokens": 3}, "stop")]
)
def test_a_limit_on_tokens_cuts_the_answer_and_says_so(limit: dict[str, int], finish: str) -> None:
    choice = json.loads(exchange(simulated(answer="echo"), chat(**limit))[2])["choices"][0]
    assert choice["finish_reason"] == finish
    assert choice["message"]["content"] == ("one two" if finish == "length" else "one two three")


def test_a_stop_sequence_ends_the_answer_before_itself() -> None:
    assert said(simulated(answer="echo"), stop=["three", " two"]) == "one"


def test_json_mode_and_a_schema_are_met() -> None:
    simulation = simulated(answer="echo")
    assert json.loads(said(simulation, response_format={"type": "json_object"})) == {
        "answer": "one two three"
    }
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert isinstance(json.loads(said(simulation, response_format=asked))["n"], int)


def test_a_named_tool_is_called_and_none_forbids_it() -> None:
    tool = {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
    }
    simulation = simulated(answer="echo", rules=[Rule(match="two", tool="look", arguments={"at": 1})])
    free = json.loads(exchange(simulation, chat(tools=[tool]))[2])["choices"][0]
    assert free["finish_reason"] == "tool_calls"
    assert json.loads(free["message"]["tool_calls"][0]["function"]["arguments"]) == {"at": 1}
    assert free["message"]["content"] is None
    named = {"type": "function", "function": {"name": "look"}}
    forced = json.loads(exchange(simulated(), chat(tools=[tool], tool_choice=named))[2])["choices"][0]
    assert forced["message"]["tool_calls"][0]["function"]["name"] == "look"
    assert said(simulation, tools=[tool], tool_choice="none") == "one two three"


def test_logprobs_come_one_a_token_with_the_alternatives_asked_for() -> None:
    body = json.loads(exchange(simulated(answer="echo"), chat(logprobs=True, top_logprobs=3))[2])
    content = body["choices"][0]["logprobs"]["content"]
    assert [token["token"] for token in content] == ["one", " two", " three"]
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 3 for token in content)


def test_usage_counts_what_the_provider_claims() -> None:
    simulation = simulated(answer="echo", cached_share=0.5, reasoning_tokens=10)
    usage = json.loads(exchange(simulation, chat(n=2))[2])["usage"]
    assert usage["prompt_tokens"] == 3
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1
    assert usage["completion_tokens"] == 2 * (3 + 10)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 20


def test_a_provider_may_never_speak_of_usage() -> None:
    simulation = simulated(answer="echo", usage=False)
    assert "usage" not in json.loads(exchange(simulation, chat())[2])
    streamed = events(exchange(simulation, chat(stream=True, stream_options={"include_usage": True}))[2])
    assert all(chunk["choices"] for chunk in streamed[:-1])


# Its streams.


def test_a_stream_begins_with_the_role_and_ends_with_done() -> None:
    chunks = events(exchange(simulated(answer="echo"), chat(stream=True))[2])
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[1:-2]] == [
        "one",
        " two",
        " three",
    ]
    assert chunks[-2]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None}
    assert chunks[-1] == "[DONE]"
    assert all("usage" not in chunk for chunk in chunks[:-1])


def test_usage_in_a_stream_is_null_until_its_own_chunk() -> None:
    chunks = events(
        exchange(simulated(answer="echo"), chat(stream=True, stream_options={"include_usage": True}))[2]
    )
    assert [chunk["usage"] for chunk in chunks[:-2]] == [None] * 5
    assert chunks[-2]["choices"] == []
    assert chunks[-2]["usage"]["total_tokens"] == 6


def test_several_choices_take_turns() -> None:
    chunks = events(exchange(simulated(answer="echo"), chat(stream=True, n=2))[2])
    assert [chunk["choices"][0]["index"] for chunk in chunks[:-1]] == [0, 1] * 5


def test_a_tool_call_is_streamed_in_fragments() -> None:
    tool = {"type": "function", "function": {"name": "look"}}
    simulation = simulated(rules=[Rule(match="", tool="look", arguments={"what": "a long argument"})])
    chunks = events(exchange(simulation, chat(stream=True, tools=[tool]))[2])
    opening = chunks[0]["choices"][0]["delta"]["tool_calls"][0]
    assert opening["function"] == {"name": "look", "arguments": ""}
    assert opening["id"].startswith("call_")
    fragments = [
        chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for chunk in chunks[1:-2]
    ]
    assert len(fragments) > 1
    assert json.loads("".join(fragments)) == {"what": "a long argument"}


# What it refuses.


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"simulate": {"sttus": 1}}, "simulate"),
    ],
)
def test_a_bad_field_is_a_400_that_names_it(body: dict[str, Any], param: str) -> None:
    status, _, answer = exchange(simulated(), chat(**body))
    error = json.loads(answer)["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)


def test_broken_json_and_a_missing_model_are_400() -> None:
    broken = HttpRequest("POST", "http://x/v1/chat/completions", (), b'{"model": ')
    assert exchange(simulated(), broken)[0] == 400
    nameless = HttpRequest(
        "POST", "http://x/v1/chat/completions", (), b'{"messages": [{"role": "user", "content": "a"}]}'
    )
    assert "model" in json.loads(exchange(simulated(), nameless)[2])["error"]["message"]


def test_prompts_may_be_token_ids() -> None:
    answer = exchange(simulated(answer="echo"), post("/v1/completions", prompt=[[1, 2], [3]]))[2]
    assert [choice["text"] for choice in json.loads(answer)["choices"]] == ["<1> <2>", "<3>"]
    assert exchange(simulated(), post("/v1/completions", prompt=[1, "a"]))[0] == 400


def test_an_unknown_path_or_method_is_refused() -> None:
    assert exchange(simulated(), post("/v1/nowhere"))[0] == 404
    assert exchange(simulated(), HttpRequest("GET", "http://x/v1/chat/completions"))[0] == 405
    assert exchange(simulated(models=("a",)), HttpRequest("GET", "http://x/v1/models/b"))[0] == 404


# Faults and changes.


def test_retry_after_comes_in_seconds_or_as_a_date() -> None:
    clock = FakeClock()
    simulation = simulated(clock, status=429, retry_after_s=7)
    status, headers, body = exchange(simulation, chat())
    assert (status, headers["retry-after"]) == (429, "7")
    assert json.loads(body)["error"]["code"] == "rate_limit_exceeded"
    simulation.change(retry_after_as="date")
    date = parsedate_to_datetime(exchange(simulation, chat())[1]["retry-after"])
    assert date.timestamp() == clock.now_ns() / 1e9 + 7


def test_errors_come_at_their_rates() -> None:
    simulation = simulated(errors={"500": 0.2, "429": 0.1})
    statuses = [exchange(simulation, chat())[0] for _ in range(600)]
    assert 0.15 <= statuses.count(500) / 600 <= 0.25
    assert 0.06 <= statuses.count(429) / 600 <= 0.14


def test_the_same_seed_meets_the_same_fate_and_another_one_does_not() -> None:
    def fates(seed: int) -> list[int]:
        simulation = simulated(seed=seed, errors={"500": 0.5})
        return [exchange(simulation, chat())[0] for _ in range(40)]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_refusing_raises_and_is_logged() -> None:
    simulation = simulated(refuse=1.0)
    with pytest.raises(UpstreamDown):
        exchange(simulation, chat())
    assert simulation.log[0].outcome == "refused"


def broken(body: dict[str, Any], **script: Any) -> tuple[list[bytes], type[Exception] | None, Simulation]:
    simulation = simulated(answer="echo", **script)

    async def scenario() -> tuple[list[bytes], type[Exception] | None]:
        response = await SimulatedTransport(simulation).send(chat(**body), Timeouts(total_s=30), stream=True)
        received: list[bytes] = []
        try:
            async for chunk in response.chunks():
                received.append(chunk)  # noqa: PERF401 - what came before the error counts
        except (UpstreamCut, UpstreamTimeout) as error:
            return received, type(error)
        finally:
            await response.aclose()
        return received, None

    return *asyncio.run(scenario()), simulation


def test_a_cut_comes_after_its_chunks() -> None:
    received, error, simulation = broken({"stream": True}, cut_at=2)
    assert (len(received), error) == (2, UpstreamCut)
    assert (simulation.log[0].chunks_sent, simulation.log[0].outcome) == (2, "cut")


def test_a_stall_lasts_as_long_as_the_clients_patience() -> None:
    clock = FakeClock(runs_ahead=True)
    received, error, simulation = broken({"stream": True}, clock=clock, stall_at=3)
    assert (len(received), error) == (2, UpstreamTimeout)
    assert clock.monotonic() == 30
    assert simulation.log[0].cancelled


def test_a_malformed_chunk_stands_at_its_place_and_the_stream_goes_on() -> None:
    received, error, _ = broken({"stream": True}, malformed_at=2)
    assert error is None
    with pytest.raises(json.JSONDecodeError):
        json.loads(received[1].removeprefix(b"data: "))
    assert received[-1] == b"data: [DONE]\n\n"


def test_an_error_in_a_stream_is_its_last_chunk() -> None:
    received, error, _ = broken({"stream": True}, error_at=3)
    assert (len(received), error) == (3, None)
    assert events(received[2])[0]["error"]["type"] == "server_error"


def test_faults_hit_whole_answers_in_the_middle() -> None:
    received, error, _ = broken({}, cut_at=1)
    assert (len(received), error) == (1, UpstreamCut)
    received, error, _ = broken({}, stall_at=1)
    assert (len(received), error) == (1, UpstreamTimeout)
    received, error, _ = broken({}, error_at=1)
    assert (b"".join(received).startswith(b'{"error"'), error) == (True, None)


def test_faults_hit_their_share_of_the_calls() -> None:
    simulation = simulated(answer="echo", error_at=1, fault_share=0.3)
    failed = sum(exchange(simulation, chat())[2].startswith(b'{"error"') for _ in range(300))
    assert 0.22 <= failed / 300 <= 0.38


def test_behaviour_changes_after_so_many_calls_and_at_a_moment() -> None:
    clock = FakeClock()
    then = (
        Change(after_calls=2, set={"status": 500}),
        Change(at_s=60, set={"status": 200, "answer": "echo"}),
    )
    simulation = simulated(clock, then=then)
    assert [exchange(simulation, chat())[0] for _ in range(3)] == [200, 200, 500]
    clock.advance(60)
    assert said(simulation) == "one two three"


def test_a_request_steers_itself_by_header_or_field_and_leaves_the_next_alone() -> None:
    simulation = simulated(answer="echo")
    steered = post(headers={"X-Simulate": "status=503; retry-after-s=2"}, messages=USER)
    status, headers, _ = exchange(simulation, steered)
    assert (status, headers["retry-after"]) == (503, "2")
    assert said(simulation, simulate={"answer": "fixed", "text": "42"}) == "42"
    assert said(simulation) == "one two three"


# Time.


def test_a_stream_takes_the_time_its_script_says() -> None:
    clock = FakeClock(runs_ahead=True)
    simulation = simulated(clock, answer="echo", head_s=0.5, first_token_s=1.0, tokens_per_s=4)
    arrivals: list[float] = []

    async def scenario() -> None:
        response = await SimulatedTransport(simulation).send(chat(stream=True), Timeouts(), stream=True)
        arrivals.append(clock.monotonic())
        async for _ in response.chunks():
            arrivals.append(clock.monotonic())  # noqa: PERF401 - the moments are the point

    asyncio.run(scenario())
    assert arrivals == [0.5, 0.5, 1.5, 1.75, 2.0, 2.0, 2.0]


def test_a_whole_answer_takes_as_long_as_the_stream_would() -> None:
    clock = FakeClock(runs_ahead=True)
    exchange(simulated(clock, answer="echo", head_s=0.5, first_token_s=1.0, tokens_per_s=4), chat())
    assert clock.monotonic() == 2.0


def test_jitter_spreads_the_gaps_and_keeps_the_rate() -> None:
    clock = FakeClock(runs_ahead=True)
    exchange(simulated(clock, output_tokens=4001, tokens_per_s=100, jitter=0.8), chat())
    assert clock.monotonic() == pytest.approx(40, rel=0.06)
    assert clock.monotonic() != 40


def test_latencies_follow_their_distribution() -> None:
    clock = FakeClock(runs_ahead=True)
    simulation = simulated(clock, head_s=LogNormal(0.2, 0.5))
    took: list[float] = []
    for _ in range(401):
        began = clock.monotonic()
        exchange(simulation, chat())
        took.append(clock.monotonic() - began)
    assert sorted(took)[200] == pytest.approx(0.2, rel=0.12)


def test_the_head_is_late_when_patience_is_shorter() -> None:
    simulation = simulated(head_s=10)

    async def scenario() -> None:
        await SimulatedTransport(simulation).send(chat(), Timeouts(total_s=3), stream=False)

    with pytest.raises(UpstreamTimeout):
        asyncio.run(scenario())
    assert simulation.clock.monotonic() == 3
    assert simulation.log[0].cancelled


# Leaving.


def left(simulation: Simulation, leave: Callable[[HttpResponse], Awaitable[None]], **body: Any) -> None:
    async def scenario() -> None:
        response = await SimulatedTransport(simulation).send(chat(**body), Timeouts(), stream=True)
        await leave(response)
        await response.aclose()

    asyncio.run(scenario())


def test_closing_in_the_middle_of_a_stream_is_logged_as_cancelled() -> None:
    async def after_two(response: HttpResponse) -> None:
        chunks = response.chunks()
        await anext(chunks)
        await anext(chunks)

    simulation = simulated(answer="echo")
    left(simulation, after_two, stream=True)
    assert (simulation.log[0].cancelled, simulation.log[0].chunks_sent) == (True, 2)


def test_closing_before_anything_was_read_is_cancelled_too() -> None:
    async def at_once(_: HttpResponse) -> None:
        return None

    simulation = simulated()
    left(simulation, at_once, stream=True)
    assert simulation.log[0].cancelled


def test_closing_after_done_is_not_a_cancellation() -> None:
    async def after_done(response: HttpResponse) -> None:
        async for chunk in response.chunks():
            if b"[DONE]" in chunk:
                return

    simulation = simulated()
    left(simulation, after_done, stream=True)
    assert simulation.log[0].outcome == "complete"


# As a provider.


def request_for(upstream_model: str, *, stream: bool = False) -> ProviderRequest:
    request = chat_request("fast", (text_message("user", "one two three"),), stream=stream)
    return ProviderRequest("chat", request, upstream_model, Timeouts())


def test_the_provider_type_answers_through_the_real_codec() -> None:
    provider = build(ProviderConfig(name="sim", type="simulated", api_key="k", options={"answer": "echo"}))
    response = asyncio.run(provider.complete(request_for("small")))
    assert response.text == "one two three"
    assert response.usage is not None
    assert response.usage.total_input == 3
    assert provider.simulation.log[0].body["model"] == "small"
    assert provider.simulation.log[0].headers["authorization"] == "Bearer k"


def test_the_provider_streams_and_stopping_it_stops_the_simulation() -> None:
    provider = build(ProviderConfig(name="sim", type="simulated", options={"answer": "echo"}))

    async def scenario() -> None:
        stream = provider.stream(request_for("small", stream=True))
        async for event in stream:
            if event.is_output:
                break
        await stream.aclose()

    asyncio.run(scenario())
    assert provider.simulation.log[0].cancelled


def test_a_bad_option_is_named_when_the_provider_is_built() -> None:
    with pytest.raises(BadRequest, match="latency"):
        build(ProviderConfig(name="sim", type="simulated", options={"latency": 1}))
