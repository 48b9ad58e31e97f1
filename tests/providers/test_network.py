"""The OpenAI provider over real sockets, against the simulated provider's server."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from assay.errors import (
    Upstream,
    UpstreamCut,
    UpstreamDown,
    UpstreamRefused,
)
from assay.providers.completions import CompletionsOverChat
from assay.providers.openai import OpenAIProvider
from assay.providers.transport import NetworkTransport
from assay.providers.types import Endpoint, ProviderRequest, Timeouts
from assay.testing import Script, SimulatedServer
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.responses import StreamEvent

Scenario = Callable[[OpenAIProvider], Awaitable[Any]]


def asked(endpoint: Endpoint = "chat", *, timeouts: Timeouts | None = None, **fields: Any) -> ProviderRequest:
    body: dict[str, Any] = {"model": "client-name", **fields}
    if endpoint == "chat":
        body.setdefault("messages", [{"role": "user", "content": "one two three four"}])
    decode = decode_chat if endpoint == "chat" else decode_completion
    return ProviderRequest(
        endpoint, decode(msgspec.json.encode(body)), "upstream-name", timeouts or Timeouts()
    )


def against(script: Script, scenario: Scenario) -> SimulatedServer:
    async def run(url: str) -> None:
        transport = NetworkTransport()
        try:
            await scenario(OpenAIProvider(name="sim", base_url=url, api_key="k", transport=transport))
        finally:
            await transport.aclose()

    with SimulatedServer(script) as server:
        asyncio.run(run(server.url))
    return server


async def collect(provider: OpenAIProvider, into: list[StreamEvent], **fields: Any) -> None:
    async for event in provider.stream(asked(stream=True, **fields)):
        into.append(event)  # noqa: PERF401 - what came before an error is kept


def test_only_the_models_name_is_edited_in_what_goes_upstream() -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        await provider.complete(asked(temperature=0.5, x_unknown={"deep": [1, None]}))

    call = against(Script(answer="echo"), scenario).simulation.log[0]
    assert call.headers["authorization"] == "Bearer k"
    assert call.body == {
        "model": "upstream-name",
        "messages": [{"role": "user", "content": "one two three four"}],
        "temperature": 0.5,
        "x_unknown": {"deep": [1, None]},
    }


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_is_always_heard_and_shown_only_to_who_asked(wanted: bool) -> None:
    events: list[StreamEvent] = []

    async def scenario(provider: OpenAIProvider) -> None:
        options = {"stream_options": {"include_usage": True}} if wanted else {}
        await collect(provider, events, **options)

    against(Script(answer="echo"), scenario)
    assert "".join(event.text for event in events) == "one two three four"
    counted = [event for event in events if event.usage is not None]
    assert len(counted) == 1
    assert (counted[0].raw is not None) is wanted
    assert any(b'"usage":{' in (event.raw or b"") for event in events) is wanted


def test_a_refusal_brings_the_vendors_words_and_its_patience() -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        for request in (provider.complete(asked()), anext(provider.stream(asked(stream=True)))):
            with pytest.raises(UpstreamRefused, match="429") as caught:
                await request
            assert caught.value.status == 429
            assert caught.value.retry_after_s == 7
            assert b"error" in caught.value.body

    against(Script(status=429, retry_after_s=7), scenario)


def test_patience_may_be_said_as_a_date() -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        with pytest.raises(UpstreamRefused) as caught:
            await provider.complete(asked())
        assert caught.value.retry_after_s == pytest.approx(90, abs=5)

    against(Script(status=503, retry_after_s=90, retry_after_as="date"), scenario)


def test_a_cut_is_an_error_after_what_came_before_it() -> None:
    events: list[StreamEvent] = []

    async def scenario(provider: OpenAIProvider) -> None:
        with pytest.raises(UpstreamCut):
            await collect(provider, events)
        with pytest.raises(Upstream):
            await provider.complete(asked())

    against(Script(answer="echo", cut_at=3), scenario)
    assert any(event.is_output for event in events)


def test_a_line_that_cannot_be_read_is_marked_and_the_answer_goes_on() -> None:
    events: list[StreamEvent] = []

    async def scenario(provider: OpenAIProvider) -> None:
        await collect(provider, events)

    against(Script(answer="echo", malformed_at=3), scenario)
    assert [event.malformed for event in events].count(True) == 1
    assert events[-1].usage is not None


def test_an_error_inside_a_stream_is_an_error() -> None:
    events: list[StreamEvent] = []

    async def scenario(provider: OpenAIProvider) -> None:
        with pytest.raises(UpstreamRefused, match="middle of its answer"):
            await collect(provider, events)

    against(Script(answer="echo", error_at=3), scenario)
    assert any(event.is_output for event in events)


def test_nobody_there_and_nobody_answering_are_down() -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        with pytest.raises(UpstreamDown):
            await provider.complete(asked())
        transport = NetworkTransport()
        gone = OpenAIProvider(
            name="gone", base_url="http://127.0.0.1:1/v1", api_key=None, transport=transport
        )
        with pytest.raises(UpstreamDown, match="cannot be reached"):
            await gone.complete(asked())
        await transport.aclose()

    against(Script(refuse=1.0), scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_head_stops_the_upstream(stream: bool) -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        request = asked(stream=stream)
        answer = anext(provider.stream(request)) if stream else provider.complete(request)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await answer

    call = against(Script(head_s=30), scenario).simulation.log[0]
    assert call.cancelled


@pytest.mark.linux
def test_a_host_that_takes_no_connection_is_down() -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        with suppress(BlockingIOError):
            each.connect(full.getsockname())

    async def scenario() -> None:
        transport = NetworkTransport()
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        provider = OpenAIProvider(name="full", base_url=url, api_key=None, transport=transport)
        with pytest.raises(UpstreamDown, match="cannot be reached"):
            await provider.complete(asked(timeouts=Timeouts(connect_s=0.2, total_s=20)))
        await transport.aclose()

    asyncio.run(scenario())
    for each in (*waiting, full):
        each.close()


def test_closing_a_stream_stops_the_upstream() -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        stream = provider.stream(asked(stream=True))
        async for event in stream:
            if event.is_output:
                break
        await stream.aclose()

    server = against(Script(output_tokens=1000, tokens_per_s=50), scenario)
    call = server.simulation.log[0]
    assert call.cancelled
    assert call.chunks_sent < 100


def test_a_chat_model_can_serve_completions() -> None:
    async def scenario(provider: OpenAIProvider) -> None:
        over = CompletionsOverChat(provider)
        whole = await over.complete(asked("completions", prompt="say this back"))
        body = msgspec.json.decode(whole.raw)
        assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "say this back")
        parts = [
            msgspec.json.decode(event.raw)
            async for event in over.stream(asked("completions", prompt="say this back", stream=True))
            if event.raw is not None
        ]
        assert {part["object"] for part in parts} == {"text_completion"}
        texts = [choice["text"] for part in parts for choice in part["choices"]]
        assert "".join(texts) == "say this back"

    server = against(Script(answer="echo"), scenario)
    assert {call.path for call in server.simulation.log} == {"/v1/chat/completions"}
