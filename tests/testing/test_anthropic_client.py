"""The simulated server in Anthropic's format, with the official client as the judge."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from assay.testing import Rule, Script, SimulatedServer, ToolUse

SCRIPT = Script(
    answer="echo",
    rules=(
        Rule(
            match="weather in (?P<city>\\w+)",
            tool="weather",
            arguments={"city": "Rome"},
            saying="One moment.",
            also=(ToolUse(tool="clock", arguments={}), ToolUse(tool="unknown")),
        ),
    ),
    api_key="sk-right",
    models=("small",),
)
TOOLS: list[Any] = [
    {"name": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    for name in ("weather", "clock")
]


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with SimulatedServer(SCRIPT) as server:
        yield server


@pytest.fixture
def client(server: SimulatedServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.root, api_key="sk-right", max_retries=0) as client:
        yield client


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


def ask(client: anthropic.Anthropic, text: str = "one two three", **more: Any) -> anthropic.types.Message:
    body: dict[str, Any] = {"model": "small", "max_tokens": 2000, "messages": user(text), **more}
    message = client.messages.create(**body)
    assert isinstance(message, anthropic.types.Message)
    return message


def test_a_message_and_its_stream_say_the_same(client: anthropic.Anthropic) -> None:
    whole = ask(client, system="be kind")
    with client.messages.stream(
        model="small", max_tokens=2000, system="be kind", messages=user("one two three")
    ) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert whole.content[0].to_dict()["text"] == text == "one two three"
    assert streamed.usage.to_dict() == whole.usage.to_dict()
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (5, 3)
    assert whole.stop_reason == streamed.stop_reason == "end_turn"


def test_tools_are_called_at_once_and_their_results_taken(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="small", max_tokens=2000, tools=TOOLS, messages=user("weather in Rome")
    ) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["text", "tool_use", "tool_use"]
    uses = [block for block in message.content if isinstance(block, anthropic.types.ToolUseBlock)]
    assert [(use.name, use.input) for use in uses] == [("weather", {"city": "Rome"}), ("clock", {})]
    assert message.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "fine"} for use in uses]
    said = [block.to_dict() for block in message.content]
    history = [*user("weather in Rome"), {"role": "assistant", "content": _plain(said)}]
    answer = ask(client, messages=[*history, {"role": "user", "content": results}], tools=TOOLS)
    assert answer.stop_reason == "end_turn"
    with pytest.raises(anthropic.BadRequestError, match=uses[1].id):
        ask(client, messages=[*history, {"role": "user", "content": results[:1]}], tools=TOOLS)


def _plain(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in block.items() if name != "parsed_output" and value is not None}
        for block in blocks
    ]


def test_one_tool_at_a_time_if_that_is_asked(client: anthropic.Anthropic) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    message = ask(client, "weather in Rome", tools=TOOLS, tool_choice=choice)
    assert [block.type for block in message.content] == ["text", "tool_use"]
    forced = ask(client, tools=TOOLS, tool_choice={"type": "tool", "name": "clock"})
    assert [block.type for block in forced.content] == ["tool_use"]
    assert ask(client, "weather in Rome", tools=TOOLS, tool_choice={"type": "none"}).stop_reason == "end_turn"


def test_thinking_is_shown_to_who_asks(client: anthropic.Anthropic) -> None:
    message = ask(client, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens == 3 + message.usage.output_tokens_details.thinking_tokens
    assert len(ask(client, thinking={"type": "disabled"}).content) == 1


def test_stops_limits_and_schemas_are_met(client: anthropic.Anthropic) -> None:
    stopped = ask(client, stop_sequences=["x", "three"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "three")
    assert ask(client, max_tokens=2).stop_reason == "max_tokens"
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    shaped = ask(client, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert isinstance(json.loads(str(shaped.content[0].to_dict()["text"]))["n"], int)


def test_cached_tokens_are_not_part_of_the_input(
    server: SimulatedServer, client: anthropic.Anthropic
) -> None:
    simulate = {"cached_share": 0.5, "cache_write_share": 0.2, "cache_write_1h_share": 0.1}
    usage = ask(client, "a b c d e f g h i j", extra_body={"simulate": simulate}).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (2, 5, 3)
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens == 1
    count = client.messages.count_tokens(model="small", messages=user("a b c d e f g h i j"))
    assert count.input_tokens == 10


@pytest.mark.parametrize(
    ("simulate", "error"),
    [
        ({"status": 429, "retry_after_s": 7}, anthropic.RateLimitError),
        ({"status": 500}, anthropic.InternalServerError),
        ({"status": 529}, anthropic.OverloadedError),
    ],
)
def test_errors_are_what_the_client_expects(
    client: anthropic.Anthropic, simulate: dict[str, Any], error: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        ask(client, extra_body={"simulate": simulate})
    assert caught.value.status_code == simulate["status"]
    assert caught.value.response.headers.get("retry-after") == (
        f"{simulate['retry_after_s']:g}" if "retry_after_s" in simulate else None
    )


def test_an_error_in_a_stream_is_raised(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(
            client.messages.create(
                model="small",
                max_tokens=9,
                messages=user("x"),
                stream=True,
                extra_body={"simulate": {"error_at": 4}},
            )
        )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "messages.0.content.0.text",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
            "unexpected `tool_use_id`",
        ),
        ({"tools": [{"name": "x"}]}, "tools.0.custom.input_schema"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, "budget_tokens"),
        ({"extra_body": {"temperature": 0.5}}, "temperature"),
        ({"extra_body": {"simulate": {"sttus": 1}}}, "sttus"),
        ({"model": "large"}, "large"),
    ],
)
def test_what_anthropic_refuses_is_refused(
    client: anthropic.Anthropic, change: dict[str, Any], named: str
) -> None:
    with pytest.raises((anthropic.BadRequestError, anthropic.NotFoundError)) as caught:
        ask(client, **change)
    assert named in str(caught.value)
    assert caught.value.body["type"] == "error"  # type: ignore[index]


def test_the_older_version_takes_what_the_newer_one_dropped(client: anthropic.Anthropic) -> None:
    older = {"anthropic-version": "2023-06-01"}
    assert ask(client, extra_headers=older, extra_body={"temperature": 0.5, "top_k": 1}).content
    with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
        ask(client, extra_headers={"anthropic-version": "2020-01-01"})


def test_the_key_goes_in_either_header_and_a_wrong_one_is_refused(server: SimulatedServer) -> None:
    body: Any = {"model": "small", "max_tokens": 9, "messages": user("x")}
    for header in ({"x-api-key": "sk-right"}, {"authorization": "Bearer sk-right"}):
        with anthropic.Anthropic(base_url=server.root, api_key="unused", default_headers=header) as client:
            assert client.messages.create(**body).content
    with anthropic.Anthropic(base_url=server.root, api_key="sk-wrong", max_retries=0) as wrong:
        with pytest.raises(anthropic.AuthenticationError):
            wrong.messages.create(**body)


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").display_name == "small"
