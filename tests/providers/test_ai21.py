"""The AI21 provider against the simulated one."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from assay.errors import BadRequest, Untranslatable, Upstream, UpstreamCut, UpstreamRefused
from assay.providers.ai21 import BASE_URL, AI21Provider, build
from assay.providers.simulated import Rule, Script, SimulatedTransport, Simulation
from assay.providers.types import Endpoint, ProviderConfig, ProviderRequest, Timeouts
from assay.testing import FakeClock
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.openai_stream import assemble
from assay.wire.requests import ModelRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import Usage

HELLO = [{"role": "user", "content": "one two three"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


class Desk:
    """A provider that leads to a simulation."""

    def __init__(self, **script: Any) -> None:
        clock = FakeClock(runs_ahead=True)
        self.simulation = Simulation(Script(**{"answer": "echo", **script}), clock=clock)
        self.ai21 = AI21Provider(
            name="a",
            base_url="http://any.invalid/studio/v1/",
            api_key="sk",
            transport=SimulatedTransport(self.simulation),
            clock=clock,
        )

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body

    def complete(self, request: ProviderRequest) -> Response:
        return asyncio.run(self.ai21.complete(request))

    def stream(self, request: ProviderRequest) -> list[StreamEvent]:
        async def scenario() -> list[StreamEvent]:
            async with aclosing(self.ai21.stream(request)) as events:
                return [event async for event in events]

        return asyncio.run(scenario())


def asked(request: ModelRequest, endpoint: Endpoint = "chat") -> ProviderRequest:
    return ProviderRequest(endpoint, request, "jamba-large", Timeouts())


def chat(**body: Any) -> ProviderRequest:
    return asked(decode_chat(json.dumps({"model": "m", "messages": HELLO, **body}).encode()))


def test_an_answer_has_what_ai21_leaves_out() -> None:
    desk = Desk()
    response = desk.complete(chat(max_completion_tokens=20, user="u", n=1, tool_choice="auto"))
    answer = json.loads(response.raw)
    assert (answer["object"], answer["model"]) == ("chat.completion", "jamba-large")
    assert answer["choices"][0]["message"]["content"] == "one two three"
    assert response.usage == Usage(input=3, output=3)
    assert desk.asked == {
        "model": "jamba-large",
        "messages": HELLO,
        "max_tokens": 20,
        "n": 1,
        "stream": False,
    }


def test_a_stream_counts_in_its_last_chunk_and_tells_only_those_who_asked() -> None:
    desk = Desk()
    events = desk.stream(chat(stream=True, stream_options={"include_usage": True}))
    assert desk.asked == {"model": "jamba-large", "messages": HELLO, "stream": True}
    told = [json.loads(event.raw) for event in events if event.raw is not None]
    assert "".join(event.text for event in events) == "one two three"
    assert [chunk["choices"] for chunk in told][-1] == []
    assert told[-1]["usage"]["total_tokens"] == 6
    assert all(chunk["usage"] is None for chunk in told[:-1])
    (usage,) = [event.usage for event in events if event.usage is not None]
    assert usage == Usage(input=3, output=3)
    bare = desk.stream(chat(stream=True))
    assert all(b'"usage"' not in (event.raw or b"") for event in bare)
    assert [event.usage for event in bare if event.usage is not None] == [usage]
    assert json.loads(bare[0].raw or b"{}")["object"] == "chat.completion.chunk"


def test_tools_are_called_and_messages_become_plain() -> None:
    rule = Rule(match="weather", tool="weather", arguments={"city": "Rome"})
    desk = Desk(rules=(rule,))
    question = {
        "role": "user",
        "content": [{"type": "text", "text": "weather "}, {"type": "text", "text": "?"}],
    }
    told = {"role": "developer", "content": "be kind"}
    request = chat(messages=[told, question], tools=[TOOL])
    message = json.loads(desk.complete(request).raw)["choices"][0]["message"]
    assert desk.asked["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "weather ?"},
    ]
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Rome"}'}
    (streamed,) = assemble([event.raw for event in desk.stream(request) if event.raw is not None])
    assert json.loads(streamed)["tool_calls"][0]["function"] == message["tool_calls"][0]["function"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
            "response_format.type",
        ),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    ],
)
def test_what_jamba_leaves_unread_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    desk = Desk()
    with pytest.raises(Untranslatable) as refused:
        desk.complete(chat(**body))
    assert refused.value.param == param
    assert not desk.simulation.log


def test_completions_are_made_of_the_chat() -> None:
    desk = Desk()
    request = asked(decode_completion(b'{"model": "m", "prompt": "one two"}'), "completions")
    assert json.loads(desk.complete(request).raw)["choices"][0]["text"] == "one two"
    assert "".join(event.text for event in desk.stream(request)) == "one two"


def test_failures_are_told_apart() -> None:
    for ask in (Desk(status=429, retry_after_s=7).complete, Desk(status=429, retry_after_s=7).stream):
        with pytest.raises(UpstreamRefused, match="a answered 429: Rate limit") as refused:
            ask(chat())
        assert refused.value.retry_after_s == 7
    events = Desk(malformed_at=3).stream(chat())
    assert [event.malformed for event in events].count(True) == 1
    with pytest.raises(UpstreamCut):
        Desk(cut_at=2).stream(chat())
    with pytest.raises(UpstreamRefused, match="overloaded"):
        Desk(error_at=2).stream(chat())
    with pytest.raises(Upstream):
        Desk(malformed_at=1).complete(chat())


def test_a_provider_is_built_from_its_table() -> None:
    desk = Desk(api_key="sk-right")
    transport = SimulatedTransport(desk.simulation)
    provider = build(ProviderConfig(name="a", type="ai21", api_key="sk-right"), transport)
    asyncio.run(provider.complete(chat()))
    assert desk.simulation.log[-1].path == "/studio/v1/chat/completions"
    assert BASE_URL == "https://api.ai21.com/studio/v1"
    with pytest.raises(BadRequest, match=r"providers\.a"):
        build(ProviderConfig(name="a", type="ai21", options={"nonsense": 1}), transport)
