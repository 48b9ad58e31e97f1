"""Anthropic's format as Gemini's: what both have survives the way, and what Gemini has not is named."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from tests.wire.messages_forms import requests

from assay.errors import Untranslatable
from assay.providers.simulated.asking import Refused
from assay.providers.simulated.gemini_asking import parse_gemini
from assay.wire.anthropic import decode_messages
from assay.wire.gemini_turns import Signatures
from assay.wire.messages_as_gemini import messages_as_gemini

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
MARK = {"type": "ephemeral"}


def body(*, upstream: str = "gemini-3-pro", include_thoughts: bool = False, **fields: Any) -> dict[str, Any]:
    sent = {"model": "m", "max_tokens": 9, "messages": HELLO, **fields}
    made = messages_as_gemini(
        decode_messages(json.dumps(sent).encode()),
        model=upstream,
        signatures=Signatures(),
        include_thoughts=include_thoughts,
    )
    read = json.loads(made)
    assert isinstance(read, dict)
    return read


def thinking(**fields: Any) -> Any:
    return body(**fields)["generationConfig"].get("thinkingConfig")


def test_every_field_has_its_place() -> None:
    schema = {"type": "object"}
    made = body(
        system=[{"type": "text", "text": "s", "cache_control": MARK}],
        temperature=0.5,
        top_p=0.25,
        top_k=7,
        stop_sequences=["x"],
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": schema}},
        metadata={"user_id": "u"},
        service_tier="standard_only",
        stream=True,
        tools=[{**TOOL, "cache_control": MARK}],
        tool_choice={"type": "tool", "name": "f"},
        cache_control=MARK,
    )
    declared = {"name": "f", "description": "d", "parametersJsonSchema": schema}
    assert made == {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "tools": [{"functionDeclarations": [declared]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 9,
            "temperature": 0.5,
            "topP": 0.25,
            "topK": 7,
            "stopSequences": ["x"],
            "thinkingConfig": {"thinkingLevel": "HIGH"},
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
        },
        "serviceTier": "standard",
    }


def test_pictures_and_failures_in_results_survive() -> None:
    turns = [
        *HELLO,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "u", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True},
                {"type": "tool_result", "tool_use_id": "u", "content": [PICTURE]},
                {"type": "text", "text": "and?"},
            ],
        },
    ]
    contents = body(messages=turns, tools=[TOOL])["contents"]
    assert [part["functionCall"]["id"] for part in contents[1]["parts"]] == ["t", "u"]
    failed, pictured = [part["functionResponse"] for part in contents[2]["parts"]]
    assert failed["response"] == {"error": "no"}
    assert pictured["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    assert contents[3] == {"role": "user", "parts": [{"text": "and?"}]}


def test_thinking_is_a_budget_or_shown_as_it_is() -> None:
    budget = {"type": "enabled", "budget_tokens": 2048}
    assert thinking(thinking=budget) == {"includeThoughts": True, "thinkingBudget": 2048}
    assert thinking(thinking={"type": "adaptive"}) == {"includeThoughts": True}
    assert thinking(thinking={"type": "adaptive"}, upstream="gemini-2.0-flash") is None
    assert thinking(thinking={"type": "disabled"}) is None
    assert thinking(include_thoughts=True) == {"includeThoughts": True}
    older = thinking(output_config={"effort": "low"}, upstream="gemini-2.5-pro")
    assert older == {"thinkingBudget": 1024}


@pytest.mark.parametrize(
    ("choice", "mode"), [({"type": "auto"}, "AUTO"), ({"type": "any"}, "ANY"), ({"type": "none"}, "NONE")]
)
def test_choices_of_a_tool(choice: Any, mode: str) -> None:
    made = body(tools=[TOOL], tool_choice=choice)
    assert made["toolConfig"] == {"functionCallingConfig": {"mode": mode}}
    strict = body(tools=[{**TOOL, "strict": True}])
    assert strict["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"context_management": {}}, "context_management"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"output_config": {"later": 1}}, "output_config.later"),
        ({"thinking": {"type": "later"}}, "thinking"),
        ({"tools": [{"name": "w", "type": "web_search_20250305"}]}, "tools[0].type"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "later": 1}]}]},
            "messages[0].later",
        ),
        ({"messages": [*HELLO, {"role": "system", "content": "s"}]}, "messages[1].role"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(fields: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        body(**fields)
    assert caught.value.param == param


@given(requests())
def test_a_strict_vendor_takes_what_is_not_refused(body: dict[str, Any]) -> None:
    refused = ""
    with suppress(Untranslatable):
        sent = messages_as_gemini(
            decode_messages(json.dumps(body).encode()), model="gemini-3-pro", signatures=Signatures()
        )
        try:
            parse_gemini("/v1beta/models/gemini-3-pro:generateContent", sent)
        except Refused as error:
            refused = str(error)
    allowed = ("without function_declarations", "is not declared")
    assert not refused or any(word in refused for word in allowed), refused
