"""The simulated server in the formats of Cohere, AI21, Hugging Face and Azure, with each vendor's official client as the judge.

The clients of Cohere, AI21 and Hugging Face are no part of the development environment: `pip install cohere ai21 huggingface_hub`.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from assay.providers.simulated.cohere_saying import PREAMBLE_TOKENS
from assay.testing import Rule, Script, SimulatedServer

SCRIPT = Script(
    answer="echo",
    api_key="sk-right",
    reasoning_tokens=3,
    rules=(Rule(match="weather", tool="weather", arguments={"city": "Rome"}, saying="One moment."),),
)
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How the weather is",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SAY: Any = [{"role": "user", "content": "one two three"}]
ASK: Any = [{"role": "user", "content": "the weather?"}]
NOT_OURS = pytest.mark.filterwarnings("ignore")
"""What the clients themselves warn of when they are imported."""


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with SimulatedServer(SCRIPT) as server:
        yield server


# --- Azure: the official OpenAI client ---


def test_azures_client_chats_streams_and_embeds(server: SimulatedServer) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=server.root, api_key="sk-right", api_version="2024-10-21", max_retries=0
    ) as client:
        answer = client.chat.completions.create(model="my-gpt", messages=SAY)
        assert (answer.choices[0].message.content, answer.model) == ("one two three", "my-gpt")
        chunks = list(client.chat.completions.create(model="my-gpt", messages=SAY, stream=True))
        assert chunks[0].choices == []
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:]) == "one two three"
        assert len(client.embeddings.create(model="emb", input="x").data[0].embedding) == 256
    with openai.AzureOpenAI(
        azure_endpoint=server.root, api_key="sk-wrong", api_version="2024-10-21", max_retries=0
    ) as client:
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="my-gpt", messages=SAY)


# --- Cohere ---


@pytest.fixture
def network() -> Iterator[httpx.Client]:
    """The connections of a client that does not close its own."""
    with httpx.Client() as network:
        yield network


@pytest.fixture
def cohere(server: SimulatedServer, network: httpx.Client) -> Any:
    client = pytest.importorskip("cohere").ClientV2
    return client(base_url=server.root, api_key="sk-right", httpx_client=network)


@pytest.fixture
def hub() -> Iterator[Any]:
    hub = pytest.importorskip("huggingface_hub")
    yield hub
    hub.close_session()


@pytest.mark.peers
@NOT_OURS
def test_coheres_client_chats(cohere: Any) -> None:
    answer = cohere.chat(
        model="command-a",
        messages=SAY,
        documents=["a source"],
        thinking={"type": "enabled", "token_budget": 100},
    )
    thought, said = answer.message.content
    assert (len(thought.thinking.split()), said.text) == (3, "one two three")
    assert answer.finish_reason == "COMPLETE"
    assert [citation.text for citation in answer.message.citations] == ["one", "two"]
    assert answer.message.citations[0].sources[0].id == "doc:0"
    assert answer.usage.tokens.input_tokens == 3 + PREAMBLE_TOKENS
    assert (answer.usage.billed_units.input_tokens, answer.usage.billed_units.output_tokens) == (3, 6)


@pytest.mark.peers
@NOT_OURS
def test_coheres_client_streams(cohere: Any) -> None:
    events = list(cohere.chat_stream(model="command-a", messages=SAY, documents=["a source"]))
    assert [event.type for event in events] == [
        "message-start",
        "content-start",
        *["content-delta"] * 3,
        *["citation-start", "citation-end"] * 2,
        "content-end",
        "message-end",
    ]
    said = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    assert "".join(said) == "one two three"
    assert events[-1].delta.finish_reason == "COMPLETE"
    assert events[-1].delta.usage.tokens.input_tokens == 3 + PREAMBLE_TOKENS


@pytest.mark.peers
@NOT_OURS
def test_coheres_client_calls_tools(cohere: Any) -> None:
    answer = cohere.chat(model="command-a", messages=ASK, tools=[TOOL])
    assert (answer.finish_reason, answer.message.tool_plan) == ("TOOL_CALL", "One moment.")
    (call,) = answer.message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Rome"}
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}
    again = cohere.chat(model="command-a", messages=[*ASK, answer.message, result], tools=[TOOL])
    assert again.message.content is not None
    events = list(cohere.chat_stream(model="command-a", messages=ASK, tools=[TOOL]))
    pieces = [
        event.delta.message.tool_calls.function.arguments
        for event in events
        if event.type == "tool-call-delta"
    ]
    assert json.loads("".join(pieces)) == {"city": "Rome"}


@pytest.mark.peers
@NOT_OURS
def test_coheres_client_embeds_and_ranks(cohere: Any, server: SimulatedServer, network: httpx.Client) -> None:
    made = cohere.embed(
        model="embed-v4.0",
        texts=["one", "two"],
        input_type="search_query",
        embedding_types=["float"],
        output_dimension=64,
    )
    assert [len(vector) for vector in made.embeddings.float_] == [64, 64]
    assert made.meta.billed_units.input_tokens == 2
    ranked = cohere.rerank(model="rerank-v4.0", query="parcel", documents=["cake", "a parcel"], top_n=1)
    assert [result.index for result in ranked.results] == [1]
    assert ranked.meta.billed_units.search_units == 1
    errors = pytest.importorskip("cohere.errors")
    with pytest.raises(errors.BadRequestError):
        cohere.embed(model="e", texts=["x"] * 97, input_type="search_query", embedding_types=["float"])
    client = pytest.importorskip("cohere").ClientV2
    stranger = client(base_url=server.root, api_key="sk-wrong", httpx_client=network)
    with pytest.raises(errors.UnauthorizedError):
        stranger.chat(model="command-a", messages=SAY)


# --- AI21 ---


@pytest.mark.peers
@NOT_OURS
def test_ai21s_client_chats_streams_and_calls_tools(server: SimulatedServer, network: httpx.Client) -> None:
    ai21 = pytest.importorskip("ai21")
    messages = pytest.importorskip("ai21.models.chat")
    client = ai21.AI21Client(
        api_key="sk-right", api_host=f"{server.root}/studio/v1", num_retries=0, http_client=network
    )
    say = [messages.UserMessage(content="one two three")]
    answer = client.chat.completions.create(model="jamba-mini", messages=say, max_tokens=20)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two three", "stop")
    assert answer.usage.prompt_tokens == 3
    chunks = list(client.chat.completions.create(model="jamba-mini", messages=say, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    assert [chunk.usage for chunk in chunks if chunk.usage][-1].prompt_tokens == 3
    ask = [messages.UserMessage(content="the weather?")]
    (call,) = (
        client.chat.completions.create(model="jamba-mini", messages=ask, tools=[TOOL])
        .choices[0]
        .message.tool_calls
    )
    assert json.loads(call.function.arguments) == {"city": "Rome"}
    with pytest.raises(pytest.importorskip("ai21.errors").UnprocessableEntity):
        client.chat.completions.create(model="jamba-mini", messages=say, seed=1)


# --- Hugging Face ---


@pytest.mark.peers
@NOT_OURS
def test_hugging_faces_client_generates(server: SimulatedServer, hub: Any) -> None:
    client = hub.InferenceClient(f"{server.root}/generate", token="sk-right")
    made = client.text_generation("one two three", details=True, max_new_tokens=2)
    assert (made.generated_text, made.details.finish_reason, made.details.generated_tokens) == (
        "one two",
        "length",
        2,
    )
    streaming = hub.InferenceClient(f"{server.root}/generate_stream", token="sk-right")
    events = list(streaming.text_generation("one two three", details=True, stream=True))
    assert "".join(event.token.text for event in events if not event.token.special) == "one two three"
    assert (events[-1].generated_text, events[-1].details.finish_reason) == ("one two three", "eos_token")
    assert events[-1].details.input_length == 3


@pytest.mark.peers
@NOT_OURS
def test_hugging_faces_client_chats_and_extracts_features(server: SimulatedServer, hub: Any) -> None:
    client = hub.InferenceClient(base_url=server.url, token="sk-right")
    answer = client.chat_completion(SAY, model="org/model")
    assert answer.choices[0].message.content == "one two three"
    chunks = client.chat_completion(SAY, model="org/model", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    address = f"{server.root}/hf-inference/models/org/model/pipeline/feature-extraction"
    vectors = hub.InferenceClient(address, token="sk-right").feature_extraction(["one", "two"])
    assert vectors.shape == (2, 256)


# --- Through Assay ---

CONFIG = """
[providers.cohere]
type = "cohere"
base_url = "{upstream.root}"
api_key = "sk-right"
[models.ranker]
route = [{{ provider = "cohere", model = "rerank-v4.0" }}]
"""


@pytest.mark.peers
@NOT_OURS
def test_coheres_own_client_ranks_at_assay(
    server: SimulatedServer, network: httpx.Client, start_assay: Callable[..., Any]
) -> None:
    cohere = pytest.importorskip("cohere")
    assay = start_assay(CONFIG.format(upstream=server)).ready()
    client = cohere.Client(base_url=assay.url, api_key=assay.key, httpx_client=network)
    answer = client.rerank(
        model="ranker", query="parcel", documents=["cake", "a parcel"], top_n=1, return_documents=True
    )
    assert [(each.index, each.document.text) for each in answer.results] == [(1, "a parcel")]
    assert answer.meta.billed_units.search_units == 1
