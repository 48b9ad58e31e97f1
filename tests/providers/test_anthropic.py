"""The Anthropic provider against the simulated one, for clients of either format."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from assay.errors import (
    BadRequest,
    Untranslatable,
    Upstream,
    UpstreamCut,
    UpstreamDown,
    UpstreamRefused,
)
from assay.providers.anthropic import AnthropicOptions, AnthropicProvider, build, most_tokens
from assay.providers.messages import MessagesOverChat
from assay.providers.openai import OpenAIProvider
from assay.providers.simulated import Rule, Script, SimulatedTransport, Simulation, ToolUse
from assay.providers.types import (
    Endpoint,
    HttpRequest,
    HttpResponse,
    MessagesProvider,
    ProviderConfig,
    ProviderRequest,
    Timeouts,
)
from assay.testing import FakeClock
from assay.wire.anthropic import decode_counted, decode_messages
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.requests import ModelRequest
from assay.wire.responses import Response, StreamEvent

HELLO = [{"role": "user", "content": "one two three"}]
WEATHER = Rule(
    match="weather",
    tool="weather",
    arguments={"city": "Rome"},
    also=(ToolUse(tool="time", arguments={}),),
    saying="Let me look.",
)
SCHEMA = {"type": "object", "properties": {}}


class Desk:
    """Two providers that lead to the same simulation: one in Anthropic's format, one in OpenAI's."""

    def __init__(self, options: AnthropicOptions | None = None, **script: Any) -> None:
        clock = FakeClock(runs_ahead=True)
        self.simulation = Simulation(Script(**{"answer": "echo", **script}), clock=clock)
        transport = SimulatedTransport(self.simulation)
        self.anthropic = AnthropicProvider(
            name="a",
            base_url="http://any.invalid",
            api_key="sk",
            transport=transport,
            options=options,
            clock=clock,
        )
        chat = OpenAIProvider(
            name="o", base_url="http://any.invalid/v1", api_key=None, transport=transport, clock=clock
        )
        self.translated = MessagesOverChat(chat)

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body

    @property
    def headers(self) -> dict[str, str]:
        return self.simulation.log[-1].headers


def asked(request: ModelRequest, endpoint: Endpoint, model: str = "upstream") -> ProviderRequest:
    return ProviderRequest(endpoint, request, model, Timeouts())


def chat(model: str = "upstream", **body: Any) -> ProviderRequest:
    return asked(decode_chat(json.dumps({"model": "m", "messages": HELLO, **body}).encode()), "chat", model)


def messages(**body: Any) -> ProviderRequest:
    sent = {"model": "m", "max_tokens": 2048, "messages": HELLO, **body}
    return asked(decode_messages(json.dumps(sent).encode()), "messages")


def complete(provider: Any, request: ProviderRequest) -> Response:
    answer = asyncio.run(provider.complete(request))
    assert isinstance(answer, Response)
    return answer


def stream(provider: Any, request: ProviderRequest) -> list[StreamEvent]:
    async def scenario() -> list[StreamEvent]:
        async with aclosing(provider.stream(request)) as events:
            return [event async for event in events]

    return asyncio.run(scenario())


# --- A client of the same format ---


def test_a_clients_own_json_goes_out_and_the_answer_comes_back_as_it_is() -> None:
    desk = Desk()
    sent = {
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "top_k": 4,
        "metadata": {"user_id": "u"},
        "later": {"x": 1.5},
    }
    answer = complete(desk.anthropic, messages(**sent))
    assert desk.asked == {"model": "upstream", "max_tokens": 2048, "messages": HELLO, **sent}
    body = json.loads(answer.raw)
    assert (body["type"], body["content"][0]["text"]) == ("message", "one two three")
    assert answer.text == "one two three"
    assert (desk.headers["x-api-key"], desk.headers["anthropic-version"]) == ("sk", "2023-06-01")
    assert "anthropic-beta" not in desk.headers


def test_the_clients_version_and_betas_go_along() -> None:
    desk = Desk(AnthropicOptions(version="2026-10-21"))
    complete(desk.anthropic, messages())
    assert desk.headers["anthropic-version"] == "2026-10-21"
    request = decode_messages(json.dumps({"model": "m", "max_tokens": 9, "messages": HELLO}).encode())
    complete(
        desk.anthropic,
        asked(
            type(request)(
                **{name: getattr(request, name) for name in ("model", "messages", "fields")},
                version="2023-06-01",
                beta="one-2026-01-01,two",
            ),
            "messages",
        ),
    )
    assert desk.headers["anthropic-version"] == "2023-06-01"
    assert desk.headers["anthropic-beta"] == "one-2026-01-01,two"


def test_events_come_through_as_they_are() -> None:
    desk = Desk(cached_share=0.4)
    events = stream(desk.anthropic, messages(stream=True))
    kinds = [json.loads(event.raw or b"")["type"] for event in events]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert "".join(event.text for event in events) == "one two three"
    whole = complete(desk.anthropic, messages())
    assert [event.usage for event in events if event.usage][-1] == whole.usage
    assert [event.finish_reason for event in events if event.finish_reason] == ["stop"]


def test_thinking_is_signed_and_taken_back() -> None:
    desk = Desk(rules=(WEATHER,), reasoning_tokens=5)
    tools = [{"name": name, "input_schema": SCHEMA} for name in ("weather", "time")]
    options = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": tools}
    ask = {"role": "user", "content": "the weather"}
    answer = complete(desk.anthropic, messages(messages=[ask], **options))
    content = json.loads(answer.raw)["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use", "tool_use"]
    assert answer.usage is not None
    assert answer.usage.reasoning == 5
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "fine"}
        for block in content
        if block["type"] == "tool_use"
    ]
    history = [ask, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    assert complete(desk.anthropic, messages(messages=history, **options)).text
    content[0]["thinking"] += "!"
    with pytest.raises(UpstreamRefused, match="signature"):
        complete(desk.anthropic, messages(messages=history, **options))


# --- A chat client ---


def test_a_chat_is_translated_there_and_back() -> None:
    desk = Desk(cached_share=0.4, cache_write_1h_share=0.3)
    answer = complete(
        desk.anthropic, chat(messages=[{"role": "system", "content": "s"}, *HELLO], temperature=0.5)
    )
    assert desk.asked == {
        "model": "upstream",
        "max_tokens": 4096,
        "system": "s",
        "messages": HELLO,
        "temperature": 0.5,
    }
    body = json.loads(answer.raw)
    assert (body["object"], body["choices"][0]["message"]["content"]) == ("chat.completion", "one two three")
    assert body["usage"]["prompt_tokens"] == 4
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.cache_read, answer.usage.cache_write_1h) == (2, 1, 1)


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-sonnet-latest", 8_192),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-opus-4-5", 64_000),
        ("claude-opus-4-8", 128_000),
        ("claude-opus-5-5", 128_000),
        ("claude-sonnet-4-5", 64_000),
        ("claude-haiku-4-5", 64_000),
        ("some-other-model", 4_096),
    ],
)
def test_a_client_that_sets_no_limit_gets_what_the_model_can(model: str, most: int) -> None:
    assert most_tokens(model) == most
    desk = Desk()
    complete(desk.anthropic, chat(model))
    assert desk.asked["max_tokens"] == most
    complete(desk.anthropic, chat(model, max_completion_tokens=5))
    assert desk.asked["max_tokens"] == 5
    configured = Desk(AnthropicOptions(max_tokens=77))
    complete(configured.anthropic, chat(model))
    assert configured.asked["max_tokens"] == 77


def chat_tools() -> list[Any]:
    return [
        {"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("weather", "time")
    ]


def test_a_streamed_chat_says_what_a_whole_one_says() -> None:
    desk = Desk(rules=(WEATHER,), cache_write_share=0.5)
    ask = [{"role": "user", "content": "the weather in Rome please"}]
    whole = complete(desk.anthropic, chat(messages=ask, tools=chat_tools()))
    events = stream(
        desk.anthropic,
        chat(messages=ask, tools=chat_tools(), stream=True, stream_options={"include_usage": True}),
    )
    chunks = [json.loads(event.raw) for event in events if event.raw]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    said = json.loads(whole.raw)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Let me look."
    fragments = [call for delta in deltas for call in delta.get("tool_calls", ())]
    arguments = ["".join(f["function"]["arguments"] for f in fragments if f["index"] == at) for at in (0, 1)]
    calls = said["choices"][0]["message"]["tool_calls"]
    assert arguments == [call["function"]["arguments"] for call in calls] == ['{"city":"Rome"}', "{}"]
    assert [f["function"]["name"] for f in fragments if "id" in f] == ["weather", "time"]
    assert chunks[-1]["usage"] == said["usage"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert [event.usage for event in events if event.usage][-1] == whole.usage


def test_usage_is_kept_from_a_client_that_did_not_ask_and_still_counted() -> None:
    events = stream(Desk().anthropic, chat(stream=True))
    assert all("usage" not in json.loads(event.raw) for event in events if event.raw)
    assert events[-1].raw is None or json.loads(events[-1].raw)["choices"]
    assert [event.usage for event in events if event.usage]


def test_a_completion_is_asked_as_a_message() -> None:
    desk = Desk()
    request = asked(decode_completion(b'{"model":"m","prompt":"one two"}'), "completions")
    assert complete(desk.anthropic, request).text == "one two"
    streamed = asked(decode_completion(b'{"model":"m","prompt":"one two","stream":true}'), "completions")
    texts = [
        json.loads(event.raw)["choices"][0]["text"] for event in stream(desk.anthropic, streamed) if event.raw
    ]
    assert "".join(texts) == "one two"


def test_a_chat_that_cannot_be_said_never_leaves() -> None:
    desk = Desk()
    with pytest.raises(Untranslatable, match="seed"):
        complete(desk.anthropic, chat(seed=1))
    with pytest.raises(Untranslatable, match="seed"):
        stream(desk.anthropic, chat(seed=1, stream=True))
    assert not desk.simulation.log


# --- An Anthropic client at an OpenAI-compatible upstream ---


def test_a_message_is_translated_there_and_back() -> None:
    desk = Desk(cached_share=0.4, cache_write_share=0.3)
    answer = complete(desk.translated, messages(system="s", stop_sequences=["three"]))
    assert desk.asked == {
        "model": "upstream",
        "messages": [{"role": "system", "content": "s"}, *HELLO],
        "max_tokens": 2048,
        "stop": ["three"],
    }
    body = json.loads(answer.raw)
    assert body["content"] == [{"type": "text", "text": "one two "}]
    assert body["usage"]["input_tokens"] == 2
    assert body["usage"]["cache_read_input_tokens"] == 1
    assert body["usage"]["cache_creation_input_tokens"] == 1


def test_a_streamed_message_says_what_a_whole_one_says() -> None:
    desk = Desk(rules=(WEATHER,), reasoning_tokens=3, show_reasoning=True)
    tools = [{"name": name, "input_schema": SCHEMA} for name in ("weather", "time")]
    ask = {"messages": [{"role": "user", "content": "the weather"}], "tools": tools}
    whole = complete(desk.translated, messages(**ask))
    events = [
        json.loads(event.raw) for event in stream(desk.translated, messages(**ask, stream=True)) if event.raw
    ]
    content = json.loads(whole.raw)["content"]
    kinds = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert kinds == [block["type"] for block in content] == ["thinking", "text", "tool_use", "tool_use"]
    usage = json.loads(whole.raw)["usage"]
    del usage["cache_creation"]
    assert events[-2]["usage"] == usage
    assert events[-2]["delta"]["stop_reason"] == json.loads(whole.raw)["stop_reason"] == "tool_use"


def test_only_what_speaks_anthropics_format_is_asked_in_it() -> None:
    desk = Desk()
    assert isinstance(desk.anthropic, MessagesProvider)
    assert not isinstance(desk.translated, MessagesProvider)


# --- Counting ---


def test_tokens_are_counted_by_the_vendor() -> None:
    desk = Desk()
    request = decode_counted(json.dumps({"model": "m", "messages": HELLO, "later": 1}).encode())
    assert asyncio.run(desk.anthropic.count_tokens(asked(request, "messages"))) == 3
    assert desk.simulation.log[-1].path == "/v1/messages/count_tokens"
    assert desk.asked == {"model": "upstream", "messages": HELLO, "later": 1}
    task = asked(chat(temperature=0.5).request, "messages")  # type: ignore[arg-type]
    assert asyncio.run(desk.anthropic.count_tokens(task)) == 3
    assert set(desk.asked) == {"model", "messages"}


# --- Failures ---


@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_an_overload_is_a_refusal_with_its_status(kind: str) -> None:
    desk = Desk(status=529, retry_after_s=3)
    request = chat() if kind == "chat" else messages()
    with pytest.raises(UpstreamRefused, match="Overloaded") as caught:
        complete(desk.anthropic, request)
    assert (caught.value.status, caught.value.retry_after_s) == (529, 3)
    with pytest.raises(UpstreamRefused) as caught:
        stream(desk.anthropic, chat(stream=True) if kind == "chat" else messages(stream=True))
    assert caught.value.status == 529


@pytest.mark.parametrize("kind", ["chat", "messages"])
def test_faults_in_a_stream_are_what_they_are(kind: str) -> None:
    request = chat(stream=True) if kind == "chat" else messages(stream=True)
    with pytest.raises(UpstreamCut):
        stream(Desk(cut_at=5).anthropic, request)
    with pytest.raises(UpstreamRefused, match="Overloaded") as caught:
        stream(Desk(error_at=5).anthropic, request)
    assert caught.value.status == 529
    events = stream(Desk(malformed_at=5).anthropic, request)
    assert sum(event.malformed for event in events) == 1
    assert "".join(event.text for event in events) == "one three"


def test_faults_in_a_whole_answer_are_what_they_are() -> None:
    with pytest.raises(UpstreamCut):
        complete(Desk(cut_at=1).anthropic, messages())
    faults: list[dict[str, Any]] = [{"malformed_at": 1}, {"error_at": 1}]
    for fault in faults:
        with pytest.raises(Upstream, match="not a message"):
            complete(Desk(**fault).anthropic, messages())


# --- Configuration ---


class Noting(SimulatedTransport):
    """Remembers where requests go, and sends none."""

    def __init__(self) -> None:
        super().__init__(Simulation())
        self.urls: list[str] = []

    async def send(self, request: HttpRequest, timeouts: Timeouts, *, stream: bool) -> HttpResponse:
        self.urls.append(request.url)
        raise UpstreamDown("nobody")


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.anthropic.com/v1/messages"),
        ("http://x.invalid/anthropic", "http://x.invalid/anthropic/v1/messages"),
        ("http://x.invalid/anthropic/v1/", "http://x.invalid/anthropic/v1/messages"),
    ],
)
def test_the_address_may_end_in_v1_or_before(base_url: str | None, url: str) -> None:
    transport = Noting()
    with pytest.raises(UpstreamDown):
        complete(build(ProviderConfig(name="a", type="anthropic", base_url=base_url), transport), messages())
    assert transport.urls == [url]


@pytest.mark.parametrize(
    ("options", "named"),
    [({"max_token": 5}, "max_token"), ({"max_tokens": 0}, "max_tokens"), ({"version": 5}, "version")],
)
def test_an_option_that_it_has_not_is_refused(options: dict[str, Any], named: str) -> None:
    config = ProviderConfig(name="a", type="anthropic", options=options)
    with pytest.raises(BadRequest, match=named):
        build(config, SimulatedTransport(Desk().simulation))
