"""Anthropic's format as Converse and back: what both have survives the way, and what Converse has not is named."""

import json
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages_forms import requests
from tests.wire.test_converse import answer, blocks, told

from assay.errors import Untranslatable
from assay.providers.simulated.asking import Refused
from assay.providers.simulated.converse_asking import parse_converse
from assay.wire.anthropic import decode_messages
from assay.wire.anthropic_answers import AnswerEvents, decode_answer
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.as_messages_answer import as_messages_answer
from assay.wire.converse_answers import NoAnswer, decode_converse
from assay.wire.messages_as_converse import ConverseMessages, messages_as_converse
from assay.wire.responses import StreamEvent
from assay.wire.usage import Usage

CLAUDE = "us.anthropic.claude-x-v1:0"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
MARK = {"type": "ephemeral"}
POINT = {"cachePoint": {"type": "default"}}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}


def body(*, upstream: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    sent = {"model": "m", "max_tokens": 9, "messages": HELLO, **fields}
    read = json.loads(messages_as_converse(decode_messages(json.dumps(sent).encode()), model=upstream))
    assert isinstance(read, dict)
    return read


# --- Requests ---


def test_every_field_has_its_place() -> None:
    schema = {"type": "object"}
    made = body(
        system=[{"type": "text", "text": "s", "cache_control": MARK}],
        temperature=0.5,
        top_p=0.25,
        top_k=7,
        stop_sequences=["x"],
        thinking={"type": "adaptive"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
        metadata={"user_id": "u"},
        service_tier="standard_only",
        stream=True,
        tools=[{**TOOL, "cache_control": MARK, "strict": True}],
        tool_choice={"type": "any"},
        cache_control=MARK,
    )
    text_format = made["outputConfig"].pop("textFormat")
    assert json.loads(text_format["structure"]["jsonSchema"]["schema"]) == schema
    spec = {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}, "strict": True}
    assert made == {
        "system": [{"text": "s"}, POINT],
        "messages": [{"role": "user", "content": [{"text": "hello"}, POINT]}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25, "stopSequences": ["x"]},
        "additionalModelRequestFields": {"top_k": 7, "thinking": {"type": "adaptive"}},
        "outputConfig": {"effort": "high"},
        "serviceTier": {"type": "default"},
        "toolConfig": {"tools": [{"toolSpec": spec}, POINT], "toolChoice": {"any": {}}},
    }


def test_blocks_of_one_turn_keep_their_order_marks_and_failures() -> None:
    turns = [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "AAAA"},
                {"type": "text", "text": "one moment", "citations": None},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}, "cache_control": MARK},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": "no",
                    "is_error": True,
                    "cache_control": MARK,
                },
                {"type": "text", "text": "and?"},
                {
                    "type": "document",
                    "title": "My paper.pdf",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                },
            ],
        },
    ]
    made = body(messages=turns, tools=[TOOL])["messages"]
    assert made[1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "one moment"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": 1}}},
        POINT,
    ]
    assert made[2]["content"] == [
        {"toolResult": {"toolUseId": "t", "content": [{"text": "no"}], "status": "error"}},
        POINT,
        {"text": "and?"},
        {"document": {"format": "pdf", "name": "My paper", "source": {"bytes": "AA=="}}},
    ]


@pytest.mark.parametrize(
    ("choice", "said"),
    [({"type": "auto"}, {"auto": {}}), ({"type": "tool", "name": "f"}, {"tool": {"name": "f"}})],
)
def test_choices_of_a_tool(choice: Any, said: Any) -> None:
    assert body(tools=[TOOL], tool_choice=choice)["toolConfig"]["toolChoice"] == said
    assert "toolConfig" not in body(tools=[TOOL], tool_choice={"type": "none"})


def test_another_vendors_model_thinks_as_it_thinks() -> None:
    made = body(upstream="amazon.nova-lite-v1:0", thinking={"type": "disabled"})
    assert "additionalModelRequestFields" not in made


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"context_management": {}}, "context_management"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"output_config": {"later": 1}}, "output_config.later"),
        ({"tools": [{"name": "w", "type": "web_search_20250305"}]}, "tools[0].type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "upstream": "amazon.nova"}, "thinking"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "search_result", "source": "s", "content": []}]}
                ]
            },
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "later": 1}]}]},
            "messages[0].later",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(fields: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        body(**fields)
    assert caught.value.param == param


@given(requests())
def test_a_strict_vendor_takes_what_is_not_refused(body: dict[str, Any]) -> None:
    for turn in body["messages"]:
        if isinstance(turn["content"], list):
            turn["content"] = [block for block in turn["content"] if block["type"] != "thinking"] or "x"
    refused = ""
    with suppress(Untranslatable):
        sent = messages_as_converse(decode_messages(json.dumps(body).encode()), model="anthropic.claude")
        try:
            parse_converse("/model/anthropic.claude/converse", sent)
        except Refused as error:
            refused = str(error)
    assert not refused or "toolConfig field must be defined" in refused or "is not in toolConfig" in refused


# --- Answers ---


def stream(events: list[tuple[str, Any]]) -> tuple[list[StreamEvent], ConverseMessages]:
    reader = ConverseMessages(id="r", model="upstream")
    made = [event for kind, said in events for event in reader.of(kind, json.dumps(said).encode())]
    return [*made, *(reader.end() if reader.is_complete else ())], reader


@given(blocks, st.integers(0, 10**6))
def test_a_stream_in_any_pieces_says_what_the_whole_message_says(made: list[Any], seed: int) -> None:
    events, reader = stream(told(made, Random(seed)))
    assert reader.is_complete
    whole = as_messages_answer(decode_converse(answer(*made), id="r", model="upstream"))
    official = AnswerEvents()
    raws = [event.raw for event in events if event.raw]
    for raw in raws:
        official.decode(raw)
    assert official.is_complete
    told_message = assemble_messages(raws)
    said = decode_converse(answer(*made), id="r", model="upstream").choices[0].message
    assert (told_message.parts, told_message.tool_calls) == (said.parts, said.tool_calls)
    assert decode_answer(whole.raw).choices[0].message.tool_calls == said.tool_calls


def test_redacted_thinking_and_counts_are_told() -> None:
    redacted = {"delta": {"reasoningContent": {"redactedContent": "AAAA"}}, "contentBlockIndex": 0}
    counted = {"usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 2}, "metrics": {}}
    events, _ = stream(
        [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", redacted),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "max_tokens"}),
            ("metadata", counted),
        ]
    )
    bodies = [json.loads(event.raw) for event in events if event.raw]
    assert bodies[1]["content_block"] == {"type": "redacted_thinking", "data": "AAAA"}
    assert bodies[-2]["delta"]["stop_reason"] == "max_tokens"
    assert bodies[-2]["usage"]["cache_read_input_tokens"] == 2
    assert [event.usage for event in events if event.usage] == [Usage(input=3, cache_read=2, output=4)]
    whole = decode_converse(answer({"reasoningContent": {"redactedContent": "AAAA"}}), id="r", model="m")
    assert json.loads(as_messages_answer(whole).raw)["content"] == [
        {"type": "redacted_thinking", "data": "AAAA"}
    ]


def test_a_mistake_of_the_model_is_an_error() -> None:
    with pytest.raises(NoAnswer):
        stream([("messageStart", {}), ("messageStop", {"stopReason": "malformed_model_output"})])
