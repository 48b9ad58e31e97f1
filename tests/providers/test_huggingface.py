"""The Hugging Face providers against the simulated one: the router, feature extraction, text-generation-inference."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from assay.errors import BadRequest, Untranslatable, Upstream, UpstreamCut, UpstreamRefused
from assay.providers.embeddings import LARGE_BODY_BYTES
from assay.providers.huggingface import BASE_URL, RouterProvider, TgiProvider, build
from assay.providers.simulated import Script, SimulatedTransport, Simulation
from assay.providers.types import EmbeddingProvider, Endpoint, ProviderConfig, ProviderRequest, Timeouts
from assay.wire.embeddings import decode_embedding
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.requests import CompletionRequest, ModelRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.tgi import decode_generated
from assay.wire.usage import Usage, UsageSource


class Desk:
    """A provider of either kind that leads to a simulation."""

    def __init__(self, *, api: str = "router", **script: Any) -> None:
        self.simulation = Simulation(Script(**{"answer": "echo", **script}))
        base_url = None if api == "router" else "http://any.invalid/v1"
        config = ProviderConfig(
            name="h", type="huggingface", base_url=base_url, api_key="hf", options={"api": api}
        )
        self.provider = build(config, SimulatedTransport(self.simulation))

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body

    @property
    def path(self) -> str:
        return self.simulation.log[-1].path

    def complete(self, request: ProviderRequest) -> Response:
        return asyncio.run(self.provider.complete(request))

    def stream(self, request: ProviderRequest) -> list[StreamEvent]:
        async def scenario() -> list[StreamEvent]:
            async with aclosing(self.provider.stream(request)) as events:
                return [event async for event in events]

        return asyncio.run(scenario())


def asked(request: ModelRequest, endpoint: Endpoint) -> ProviderRequest:
    return ProviderRequest(endpoint, request, "org/model", Timeouts())


def chat(**body: Any) -> ProviderRequest:
    sent = {"model": "m", "messages": [{"role": "user", "content": "one two"}], **body}
    return asked(decode_chat(json.dumps(sent).encode()), "chat")


def completion(**body: Any) -> ProviderRequest:
    sent = {"model": "m", "prompt": "one two three", **body}
    return asked(decode_completion(json.dumps(sent).encode()), "completions")


# --- The router ---


def test_the_router_chats_in_openais_format() -> None:
    desk = Desk(api_key="hf")
    assert BASE_URL == "https://router.huggingface.co/v1"
    assert desk.complete(chat(seed=1)).text == "one two"
    assert (desk.path, desk.asked["model"]) == ("/v1/chat/completions", "org/model")
    assert "".join(event.text for event in desk.stream(chat(stream=True))) == "one two"
    assert desk.asked["stream_options"] == {"include_usage": True}
    assert json.loads(desk.complete(completion()).raw)["choices"][0]["text"] == "one two three"
    assert desk.path == "/v1/chat/completions"
    assert "".join(event.text for event in desk.stream(completion(stream=True))) == "one two three"


def embedding(**body: Any) -> ProviderRequest:
    sent = decode_embedding(json.dumps({"model": "m", "input": ["one", "two"], **body}).encode())
    return ProviderRequest("embeddings", sent, "org/model", Timeouts())


def test_vectors_come_from_feature_extraction() -> None:
    desk = Desk(dimensions=16)
    provider = desk.provider
    assert isinstance(provider, RouterProvider)
    answer = asyncio.run(provider.embed(embedding(normalize=True)))
    assert desk.path == "/hf-inference/models/org/model/pipeline/feature-extraction"
    assert desk.asked == {"inputs": ["one", "two"], "normalize": True}
    assert (answer.count, answer.dimensions, answer.usage) == (2, 16, None)
    packed = asyncio.run(provider.embed(embedding(encoding_format="base64")))
    assert packed.vectors() == answer.vectors()
    for body, param in (({"input": [[1, 2]]}, "input[0]"), ({"task": "x"}, "task")):
        with pytest.raises(Untranslatable) as refused:
            asyncio.run(provider.embed(embedding(**body)))
        assert refused.value.param == param
    with pytest.raises(BadRequest, match="16 numbers"):
        asyncio.run(provider.embed(embedding(dimensions=8)))
    desk.simulation.change(dimensions=1024)
    many = asyncio.run(provider.embed(embedding(input=[f"text {at}" for at in range(64)])))
    assert len(many.raw) > LARGE_BODY_BYTES
    assert (many.count, many.dimensions) == (64, 1024)
    desk.simulation.change(dimensions=16)
    desk.simulation.change(malformed_at=1)
    with pytest.raises(Upstream, match="no vector a text"):
        asyncio.run(provider.embed(embedding()))
    desk.simulation.change(status=503)
    with pytest.raises(UpstreamRefused, match="h answered 503: The engine"):
        asyncio.run(provider.embed(embedding()))


# --- text-generation-inference ---


def test_a_completion_is_generated_by_the_servers_own_endpoint() -> None:
    desk = Desk(api="tgi")
    response = desk.complete(
        completion(
            max_tokens=2, temperature=0, top_p=1, seed=4, stop="zzz", top_k=5, n=1, user="u", echo=False
        )
    )
    assert desk.path == "/generate"
    assert desk.asked == {
        "inputs": "one two three",
        "parameters": {"details": True, "seed": 4, "top_k": 5, "max_new_tokens": 2, "stop": ["zzz"]},
    }
    answer = json.loads(response.raw)
    assert (answer["object"], answer["model"]) == ("text_completion", "org/model")
    assert answer["choices"] == [{"index": 0, "text": "one two", "logprobs": None, "finish_reason": "length"}]
    assert response.usage == Usage(input=3, output=2)
    assert answer["usage"]["total_tokens"] == 5


def test_a_stream_of_tokens_says_and_counts_the_same() -> None:
    desk = Desk(api="tgi")
    events = desk.stream(completion(stream=True, stream_options={"include_usage": True}))
    assert desk.path == "/generate_stream"
    assert "".join(event.text for event in events) == "one two three"
    assert [event.finish_reason for event in events if event.finish_reason] == ["stop"]
    assert [event.usage for event in events if event.usage] == [Usage(input=3, output=3)]
    told = [json.loads(event.raw) for event in events if event.raw is not None]
    assert told[-1]["usage"]["prompt_tokens"] == 3
    assert b"</s>" not in b"".join(event.raw or b"" for event in events)
    bare = desk.stream(completion(stream=True, stop=["two"]))
    assert all(b"usage" not in (event.raw or b"") for event in bare)
    assert bare[-1].finish_reason == "stop"
    assert "".join(event.text for event in bare) == "one "


def test_a_prompt_that_nobody_counted_is_estimated() -> None:
    desk = Desk(api="tgi", usage=False)
    assert desk.complete(completion()).usage is None
    body = b'{"generated_text": "x", "details": {"finish_reason": "eos_token", "generated_tokens": 1}}'
    request = completion().request
    assert isinstance(request, CompletionRequest)
    made = decode_generated(body, request, {}, id="c", model="m", created=0)
    assert made.usage == Usage(input=4, output=1, input_source=UsageSource.ESTIMATE)


def test_chat_goes_to_the_route_of_openais_format() -> None:
    desk = Desk(api="tgi")
    assert desk.complete(chat(max_completion_tokens=9)).text == "one two"
    assert (desk.path, desk.asked["max_tokens"]) == ("/v1/chat/completions", 9)
    assert "max_completion_tokens" not in desk.asked
    assert "".join(event.text for event in desk.stream(chat(stream=True))) == "one two"
    assert not isinstance(desk.provider, EmbeddingProvider)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"n": 2}, "n"),
        ({"logprobs": 3}, "logprobs"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"presence_penalty": 1}, "presence_penalty"),
    ],
)
def test_what_the_server_does_not_know_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    desk = Desk(api="tgi")
    for ask in (desk.complete, desk.stream):
        with pytest.raises(Untranslatable) as refused:
            ask(completion(**body))
        assert refused.value.param == param
    assert not desk.simulation.log


def test_failures_are_told_apart() -> None:
    with pytest.raises(UpstreamRefused, match="Rate limit") as limited:
        Desk(api="tgi", status=429, retry_after_s=7).complete(completion())
    assert limited.value.retry_after_s == 7
    events = Desk(api="tgi", malformed_at=2).stream(completion())
    assert [event.malformed for event in events].count(True) == 1
    with pytest.raises(UpstreamCut):
        Desk(api="tgi", cut_at=2).stream(completion())
    with pytest.raises(UpstreamRefused, match="overloaded"):
        Desk(api="tgi", error_at=2).stream(completion())
    with pytest.raises(Upstream, match="no text"):
        Desk(api="tgi", malformed_at=1).complete(completion())


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"api": "tgi"}, "providers.h.base_url"),
        ({"api": "other"}, "providers.h"),
        ({"nonsense": 1}, "providers.h"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(options: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        build(ProviderConfig(name="h", type="huggingface", options=options), SimulatedTransport(Simulation()))
    assert refused.value.param == param


def test_a_server_is_probed_where_it_tells_of_itself() -> None:
    desk = Desk(api="tgi")
    assert isinstance(desk.provider, TgiProvider)
    assert asyncio.run(desk.provider.probe()).status == 404
    assert desk.path == "/info"
    assert asyncio.run(Desk().provider.probe()).status == 200
