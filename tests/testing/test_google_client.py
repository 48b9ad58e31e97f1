"""The simulated server in Gemini's format, with the official client as the judge."""

from collections.abc import Iterator
from typing import Any

import pytest

from assay.testing import Rule, Script, SimulatedServer, ToolUse

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
genai = pytest.importorskip("google.genai", reason="needs google-genai")

SCRIPT = Script(
    answer="echo",
    rules=(Rule(match="weather", tool="weather", arguments={"city": "Rome"}, also=(ToolUse(tool="clock"),)),),
    api_key="k-right",
    reasoning_tokens=3,
    cached_share=0.5,
    dimensions=8,
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [
    {"function_declarations": [{"name": n, "parameters_json_schema": SCHEMA} for n in ("weather", "clock")]}
]


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with SimulatedServer(SCRIPT) as server:
        yield server


@pytest.fixture
def models(server: SimulatedServer) -> Iterator[Any]:
    with genai.Client(api_key="k-right", http_options={"base_url": server.root}) as client:
        yield client.models


def test_an_answer_and_its_stream_say_the_same(models: Any) -> None:
    asked = {"model": "gemini-3-pro", "contents": "one two three", "config": {"system_instruction": "s"}}
    whole = models.generate_content(**asked)
    told = list(models.generate_content_stream(**asked))
    assert whole.text == "".join(chunk.text or "" for chunk in told) == "one two three"
    assert whole.candidates[0].finish_reason == told[-1].candidates[0].finish_reason == "STOP"
    assert whole.usage_metadata == told[-1].usage_metadata
    assert whole.usage_metadata.thoughts_token_count == 3
    assert whole.usage_metadata.cached_content_token_count == 2
    assert whole.model_version == "gemini-3-pro"


def test_calls_are_answered_with_their_signatures(models: Any) -> None:
    config = {"tools": TOOLS, "automatic_function_calling": {"disable": True}}
    ask = genai.types.UserContent("the weather")
    asked = models.generate_content(model="gemini-3-pro", contents=[ask], config=config)
    assert [call.name for call in asked.function_calls] == ["weather", "clock"]
    results = [
        genai.types.Part.from_function_response(name=call.name, response={"output": "fine"})
        for call in asked.function_calls
    ]
    history = [ask, asked.candidates[0].content, genai.types.Content(role="user", parts=results)]
    assert models.generate_content(model="gemini-3-pro", contents=history, config=config).text
    history[1].parts[0].thought_signature = None
    with pytest.raises(genai.errors.ClientError, match="missing a `thought_signature`"):
        models.generate_content(model="gemini-3-pro", contents=history, config=config)


def test_thoughts_schemas_logprobs_and_candidates(models: Any) -> None:
    config = {
        "thinking_config": {"include_thoughts": True},
        "response_mime_type": "application/json",
        "response_json_schema": {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
        },
        "response_logprobs": True,
        "logprobs": 2,
        "candidate_count": 2,
    }
    answer = models.generate_content(model="g", contents="x", config=config)
    assert len(answer.candidates) == 2
    thought, said = answer.candidates[0].content.parts
    assert (thought.thought, said.text[:4]) == (True, '{"n"')
    assert len(answer.candidates[0].logprobs_result.top_candidates[0].candidates) == 2


def test_vectors(models: Any) -> None:
    answer = models.embed_content(model="e", contents=["a", "b"], config={"output_dimensionality": 4})
    assert [len(each.values) for each in answer.embeddings] == [4, 4]


def test_a_wrong_key_and_a_wrong_field_are_refused(server: SimulatedServer, models: Any) -> None:
    with genai.Client(api_key="k-wrong", http_options={"base_url": server.root}) as stranger:
        with pytest.raises(genai.errors.ClientError) as caught:
            stranger.models.generate_content(model="g", contents="x")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    with pytest.raises(genai.errors.ClientError) as caught:
        models.generate_content(model="g", contents="x", config={"temperature": 3})
    assert caught.value.code == 400
