"""What is known of the servers of OpenAI's format, and what of a request reaches them."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from assay.catalog.config import parse_config
from assay.errors import BadRequest, Untranslatable
from assay.providers.openai import OpenAIProvider, build
from assay.providers.profiles import PROFILES, known_address
from assay.providers.simulated import Script, SimulatedTransport, Simulation
from assay.providers.types import Endpoint, ProviderConfig, ProviderRequest, Timeouts
from assay.wire.embeddings import decode_embedding
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.requests import ModelRequest
from assay.wire.rerank import decode_rerank
from assay.wire.responses import StreamEvent

HELLO = [{"role": "user", "content": "one two"}]
AZURE = "https://desk.openai.azure.com"


class Desk:
    """A provider with a profile that leads to a simulation."""

    def __init__(self, profile: str, *, base_url: str | None = None, **options: Any) -> None:
        self.simulation = Simulation(Script(answer="echo"))
        config = ProviderConfig(
            name="p",
            type="openai",
            base_url=base_url or f"http://any.invalid{self._below(profile)}",
            api_key="sk",
            options={"profile": profile, **options},
        )
        self.provider: OpenAIProvider = build(config, SimulatedTransport(self.simulation))

    @staticmethod
    def _below(profile: str) -> str:
        return "" if profile == "azure" else "/v1"

    @property
    def asked(self) -> Any:
        return self.simulation.log[-1].body

    @property
    def path(self) -> str:
        return self.simulation.log[-1].path

    def complete(self, request: ProviderRequest) -> Any:
        return json.loads(asyncio.run(self.provider.complete(request)).raw)

    def stream(self, request: ProviderRequest) -> list[StreamEvent]:
        async def scenario() -> list[StreamEvent]:
            async with aclosing(self.provider.stream(request)) as events:
                return [event async for event in events]

        return asyncio.run(scenario())


def asked(request: ModelRequest, endpoint: Endpoint) -> ProviderRequest:
    return ProviderRequest(endpoint, request, "up stream", Timeouts())


def chat(**body: Any) -> ProviderRequest:
    return asked(decode_chat(json.dumps({"model": "m", "messages": HELLO, **body}).encode()), "chat")


def completion(**body: Any) -> ProviderRequest:
    return asked(
        decode_completion(json.dumps({"model": "m", "prompt": "x y", **body}).encode()), "completions"
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_answers_whole_and_streamed(profile: str) -> None:
    desk = Desk(profile)
    assert desk.complete(chat())["choices"][0]["message"]["content"] == "one two"
    events = desk.stream(chat(stream=True))
    assert "".join(event.text for event in events) == "one two"
    assert desk.complete(completion())["choices"][0]["text"] == "x y"
    assert "".join(event.text for event in desk.stream(completion(stream=True))) == "x y"


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "azure"])
def test_every_profile_but_azures_knows_an_address(profile: str) -> None:
    assert known_address("openai", profile) == PROFILES[profile].base_url
    made = build(
        ProviderConfig(name="p", type="openai", options={"profile": profile}),
        SimulatedTransport(Simulation()),
    )
    assert made.limit_field == PROFILES[profile].limit_field
    found = parse_config(f'[providers.p]\ntype = "openai"\nprofile = "{profile}"')
    assert found.providers["p"].base_url == PROFILES[profile].base_url


def test_azure_has_the_deployment_in_the_path_and_the_key_in_a_header_of_its_own() -> None:
    desk = Desk("azure", base_url=f"{AZURE}/")
    desk.complete(chat(max_tokens=9))
    call = desk.simulation.log[-1]
    assert (call.path, call.query) == (
        "/openai/deployments/up%20stream/chat/completions",
        "api-version=2024-10-21",
    )
    assert call.headers["api-key"] == "sk"
    assert "authorization" not in call.headers
    assert desk.provider.limit_field == "max_completion_tokens"
    desk.stream(chat(stream=True))
    assert desk.asked["stream_options"] == {"include_usage": True}
    sent = decode_embedding(b'{"model": "m", "input": "x"}')
    answer = asyncio.run(desk.provider.embed(ProviderRequest("embeddings", sent, "emb", Timeouts())))
    assert (desk.path, answer.count) == ("/openai/deployments/emb/embeddings", 1)
    asyncio.run(desk.provider.probe())
    assert (desk.path, desk.simulation.log[-1].query) == ("/openai/models", "api-version=2024-10-21")
    older = Desk("azure", base_url=f"{AZURE}/openai", api_version="2025-04-01-preview")
    older.complete(chat())
    assert older.simulation.log[-1].query == "api-version=2025-04-01-preview"


def test_azures_newer_api_has_the_usual_paths() -> None:
    desk = Desk("azure", base_url=f"{AZURE}/openai/v1")
    assert desk.provider.has_responses
    with pytest.raises(Exception, match="Invalid URL"):
        desk.complete(chat())
    assert (desk.path, desk.simulation.log[-1].query) == ("/openai/v1/chat/completions", "")
    assert desk.simulation.log[-1].headers["api-key"] == "sk"
    assert desk.asked["model"] == "up stream"


@pytest.mark.parametrize(
    ("profile", "body", "param"),
    [
        ("groq", {"n": 2}, "n"),
        ("groq", {"logprobs": True}, "logprobs"),
        ("groq", {"logit_bias": {"1": 1}}, "logit_bias"),
        ("groq", {"messages": [*HELLO, {"role": "user", "content": "x", "name": "ada"}]}, "messages[1].name"),
        ("deepseek", {"seed": 0}, "seed"),
        ("deepseek", {"response_format": {"type": "json_schema"}}, "response_format.type"),
        ("deepseek", {"parallel_tool_calls": False}, "parallel_tool_calls"),
        ("tgi", {"n": 2}, "n"),
        ("ollama", {"logit_bias": {"1": 1}}, "logit_bias"),
        ("ollama", {"tool_choice": "none"}, "tool_choice"),
    ],
)
def test_what_a_server_would_not_honour_is_refused_by_name(
    profile: str, body: dict[str, Any], param: str
) -> None:
    desk = Desk(profile)
    for ask in (desk.complete, desk.stream):
        with pytest.raises(Untranslatable, match="not honoured by p") as refused:
            ask(chat(**body))
        assert refused.value.param == param
    assert not desk.simulation.log


@pytest.mark.parametrize(("profile", "param"), [("tgi", "echo"), ("ollama", "best_of"), ("ollama", "n")])
def test_what_a_server_leaves_unread_in_completions_is_refused_too(profile: str, param: str) -> None:
    desk = Desk(profile)
    with pytest.raises(Untranslatable) as refused:
        desk.complete(completion(**{param: True if param == "echo" else 2}))
    assert refused.value.param == param


def test_what_asks_for_nothing_is_left_out_and_the_rest_goes_as_it_came() -> None:
    desk = Desk("groq")
    desk.complete(chat(n=1, logprobs=False, later={"a": None}, max_tokens=5, seed=1))
    assert desk.asked == {
        "model": "up stream",
        "messages": HELLO,
        "later": {"a": None},
        "max_tokens": 5,
        "seed": 1,
    }


@pytest.mark.parametrize("profile", ["deepseek", "tgi", "ollama"])
def test_a_limit_is_called_what_the_server_calls_it(profile: str) -> None:
    desk = Desk(profile)
    desk.complete(chat(max_completion_tokens=1))
    assert desk.asked == {"model": "up stream", "messages": HELLO, "max_tokens": 1}


def test_a_server_that_counts_unasked_is_not_asked() -> None:
    desk = Desk("openrouter")
    desk.stream(chat(stream=True, stream_options={"include_usage": True}))
    assert "stream_options" not in desk.asked


@pytest.mark.parametrize("profile", ["groq", "deepseek"])
def test_completions_of_a_server_that_only_chats_are_made_of_its_chat(profile: str) -> None:
    desk = Desk(profile)
    desk.complete(completion())
    assert desk.path == "/v1/chat/completions"


def test_text_embeddings_inference_ranks_in_a_shape_of_its_own() -> None:
    desk = Desk("tei")
    body = {"model": "m", "query": "parcel", "documents": ["cake", "a parcel"], "top_n": 1, "truncate": True}
    sent = decode_rerank(json.dumps(body).encode())
    answer = asyncio.run(desk.provider.rerank(ProviderRequest("rerank", sent, "any", Timeouts())))
    assert desk.path == "/rerank"
    assert desk.asked == {"query": "parcel", "texts": ["cake", "a parcel"], "truncate": True}
    assert [result.index for result in answer.results] == [1]
    sent = decode_rerank(json.dumps({**body, "priority": 1}).encode())
    with pytest.raises(Untranslatable, match="priority"):
        asyncio.run(desk.provider.rerank(ProviderRequest("rerank", sent, "any", Timeouts())))


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"profile": "other"}, "providers.p.profile"),
        ({"profile": "azure"}, "providers.p.base_url"),
        ({"profile": "groq", "api_version": "1"}, "providers.p.api_version"),
        ({"limit_field": "most"}, "providers.p.limit_field"),
        ({"limitfield": "max_tokens"}, "providers.p.limitfield"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(options: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        build(ProviderConfig(name="p", type="openai", options=options), SimulatedTransport(Simulation()))
    assert refused.value.param == param
