"""The official OpenAI and Anthropic clients through the server to vendors with a format of their own."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from assay.testing import Rule, Script, SimulatedServer, ToolUse

CONFIG = """
[providers.google]
type = "gemini"
base_url = "{root}/v1beta"
api_key = "k"
[providers.aws]
type = "bedrock"
base_url = "{root}"
region = "us-east-1"
access_key_id = "k"
secret_access_key = "s"
[providers.aws-key]
type = "bedrock"
base_url = "{root}"
region = "us-east-1"
api_key = "k"

[models.gemini]
route = [{{ provider = "google", model = "gemini-3-pro" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, cached_input_usd_per_mtok = 0.1, output_usd_per_mtok = 5 }}
[models.claude]
route = [{{ provider = "aws", model = "us.anthropic.claude-x-v1:0" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, cached_input_usd_per_mtok = 0.1, output_usd_per_mtok = 5 }}
[models.nova]
route = [{{ provider = "aws-key", model = "amazon.nova-lite-v1:0" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, cached_input_usd_per_mtok = 0.1, output_usd_per_mtok = 5 }}
[models.vectors]
route = [{{ provider = "google", model = "gemini-embedding-001" }}]
"""
VENDORS = ["gemini", "claude", "nova"]

WEATHER = Rule(
    match="weather",
    tool="weather",
    arguments={"city": "Rome", "days": [1, 2.5, None]},
    saying="One moment.",
    also=(ToolUse(tool="clock", arguments={}), ToolUse(tool="weather", arguments={"city": "Oslo"})),
)
SCRIPT = Script(
    answer="echo", rules=(WEATHER,), cached_share=0.4, reasoning_tokens=2, api_key="k", dimensions=8
)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTIONS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": SCHEMA}}
    for name in ("weather", "clock")
]
TOOLS: list[Any] = [
    {"name": name, "description": name, "input_schema": SCHEMA} for name in ("weather", "clock")
]
CITY = [{"city": "Rome", "days": [1, 2.5, None]}, {}, {"city": "Oslo"}]


class House:
    """The server, the vendor and clients."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.server = server
        self.upstream = upstream
        self.openai = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=server.url, api_key=server.key, max_retries=0)

    def span(self, headers: Any) -> Any:
        """The span of an answer."""
        trace = headers["x-assay-trace-id"]
        found = self.server.http.get(f"/api/traces/{trace}").raise_for_status().json(parse_float=Decimal)
        return found["spans"][0]


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("vendors")
    with SimulatedServer(SCRIPT) as upstream:
        server = start_assay(CONFIG.format(root=upstream.root), folder=folder).ready()
        yield House(server, upstream)
        server.stop()


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("model", VENDORS)
def test_a_chat_is_answered_counted_and_priced(house: House, model: str) -> None:
    raw = house.openai.chat.completions.with_raw_response.create(
        model=model, messages=user("one two three four five")
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "one two three four five"
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (5, 2)
    thought = 2 if model == "gemini" else 0  # Bedrock counts thinking with the words
    assert (usage.completion_tokens, usage.completion_tokens_details.reasoning_tokens) == (7, thought)
    span = house.span(raw.headers)
    assert span["cost_usd"] == Decimal("0.0000382"), "3 at 1, 2 at 0.1, 7 at 5 dollars a million"


@pytest.mark.parametrize("model", VENDORS)
def test_a_stream_says_and_counts_what_a_whole_answer_does(house: House, model: str) -> None:
    ask: Any = {"model": model, "messages": user("the weather"), "tools": FUNCTIONS}
    whole = house.openai.chat.completions.create(**ask)
    with house.openai.chat.completions.stream(**ask, stream_options={"include_usage": True}) as events:
        for _ in events:
            pass
        told = events.get_final_completion()
    assert told.usage == whole.usage
    said, heard = whole.choices[0], told.choices[0]
    assert heard.finish_reason == said.finish_reason == "tool_calls"
    assert heard.message.content == said.message.content == "One moment."
    for message in (heard.message, said.message):
        calls: Any = message.tool_calls
        assert [call.function.name for call in calls] == ["weather", "clock", "weather"]
        assert [json.loads(call.function.arguments) for call in calls] == CITY
        assert len({call.id for call in calls}) == 3


@pytest.mark.parametrize("model", VENDORS)
def test_a_conversation_with_tools_goes_on_for_both_clients(house: House, model: str) -> None:
    message = (
        house.openai.chat.completions.create(model=model, messages=user("the weather"), tools=FUNCTIONS)
        .choices[0]
        .message
    )
    calls: Any = message.tool_calls
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {at}"} for at, call in enumerate(calls)
    ]
    history: Any = [*user("the weather"), message, *results]
    ended = house.openai.chat.completions.create(model=model, messages=history, tools=FUNCTIONS)
    assert ended.choices[0].finish_reason == "stop"

    first = house.anthropic.messages.create(
        model=model, max_tokens=900, messages=user("the weather"), tools=TOOLS
    )
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [block.input for block in uses] == CITY
    assert first.stop_reason == "tool_use"
    answers: Any = [{"type": "tool_result", "tool_use_id": block.id, "content": "fine"} for block in uses]
    turns: Any = [
        *user("the weather"),
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": answers},
    ]
    last = house.anthropic.messages.create(model=model, max_tokens=900, messages=turns, tools=TOOLS)
    assert last.stop_reason == "end_turn"


@pytest.mark.parametrize("model", VENDORS)
def test_an_anthropic_stream_says_and_counts_what_a_whole_message_does(house: House, model: str) -> None:
    ask: Any = {"model": model, "max_tokens": 900, "messages": user("one two three four five")}
    whole = house.anthropic.messages.create(**ask)
    with house.anthropic.messages.stream(**ask) as events:
        told = events.get_final_message()
    assert [block.text for block in told.content if block.type == "text"] == ["one two three four five"]
    counts = [
        (m.usage.input_tokens, m.usage.cache_read_input_tokens, m.usage.output_tokens) for m in (told, whole)
    ]
    assert counts == [(3, 2, 7)] * 2


@pytest.mark.parametrize("model", VENDORS)
def test_tokens_are_counted_by_the_vendor(house: House, model: str) -> None:
    raw = house.anthropic.messages.with_raw_response.count_tokens(model=model, messages=user("one two three"))
    assert raw.parse().input_tokens == 3
    assert raw.headers["x-assay-usage-source"] == "provider"


@pytest.mark.parametrize("model", VENDORS)
def test_a_schema_is_kept_to(house: House, model: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    answer = house.openai.chat.completions.create(model=model, messages=user("x"), response_format=form)
    assert isinstance(json.loads(answer.choices[0].message.content or "")["n"], int)


@pytest.mark.parametrize("model", VENDORS)
def test_what_cannot_be_said_is_a_400_that_names_it(house: House, model: str) -> None:
    with pytest.raises(openai.BadRequestError, match="logit_bias") as caught:
        house.openai.chat.completions.create(model=model, messages=user("x"), logit_bias={"5": 1})
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize("model", VENDORS)
def test_a_vendors_error_keeps_its_status_and_words(house: House, model: str) -> None:
    house.upstream.simulation.change(status=429, retry_after_s=7)
    try:
        with pytest.raises(openai.RateLimitError, match="Rate limit") as caught:
            house.openai.chat.completions.create(model=model, messages=user("x"))
        assert caught.value.response.headers["retry-after"] == "7"
    finally:
        house.upstream.simulation.change(status=200, retry_after_s=None)


def test_thinking_and_marks_of_an_anthropic_client_reach_claude_at_bedrock(house: House) -> None:
    mark: Any = {"type": "ephemeral"}
    text: Any = [{"type": "text", "text": "the weather", "cache_control": mark}]
    ask: Any = {
        "model": "claude",
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": TOOLS,
    }
    first = house.anthropic.messages.create(messages=[{"role": "user", "content": text}], **ask)
    assert house.upstream.simulation.log[-1].body["messages"][0]["content"][1] == {
        "cachePoint": {"type": "default"}
    }
    assert [block.type for block in first.content] == ["thinking", "text", *["tool_use"] * 3]
    results: Any = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "fine"}
        for block in first.content
        if block.type == "tool_use"
    ]
    turns: Any = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    with house.anthropic.messages.stream(messages=turns, **ask) as events:
        last = events.get_final_message()
    assert last.stop_reason == "end_turn"


def test_what_only_converse_knows_goes_along_from_a_chat_client(house: House) -> None:
    own = {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}, "top_k": 5}
    house.openai.chat.completions.create(model="nova", messages=user("x"), extra_body=own)
    asked = house.upstream.simulation.log[-1].body
    assert asked["guardrailConfig"] == own["guardrailConfig"]
    assert asked["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}


def test_vectors_of_gemini(house: House) -> None:
    answer = house.openai.embeddings.create(model="vectors", input=["one two", "three"], dimensions=4)
    assert [len(each.embedding) for each in answer.data] == [4, 4]
    assert answer.usage.prompt_tokens == 3
