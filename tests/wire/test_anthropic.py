"""Anthropic's requests: nothing is lost on the way in and out, and what is wrong is named by its path."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from tests.wire.messages_forms import requests

from assay.errors import BadRequest
from assay.wire.anthropic import decode_counted, decode_messages, encode_fields
from assay.wire.anthropic_turns import encode_tool, encode_turns
from assay.wire.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCall,
)
from assay.wire.openai_chat import decode_message, encode_message

ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "x"}],
}


def as_sent(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def made(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


@given(requests())
def test_a_request_goes_upstream_with_nothing_lost_or_added(body: dict[str, Any]) -> None:
    request = decode_messages(as_sent({**body, "assay": {"session": "s"}}))
    assert json.loads(encode_fields(request.fields, model="upstream")) == {**body, "model": "upstream"}
    assert request.stream is bool(body.get("stream"))
    assert (request.assay and request.assay.session) == "s"
    assert len(request.places) == len(request.messages)


def test_what_is_unknown_keeps_its_letters() -> None:
    odd = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"x":  {"b" : 1.0e2, "big":123456789012345678901234567890}}'
    sent = encode_fields(decode_messages(odd).fields, model="m")
    assert b'{"b" : 1.0e2, "big":123456789012345678901234567890}' in sent


@given(requests())
def test_messages_made_anew_say_what_they_said(body: dict[str, Any]) -> None:
    request = decode_messages(as_sent(body))
    turns = encode_turns(request.messages)
    again = {**body, "messages": turns.messages}
    again.pop("system", None)
    if turns.system is not None:
        again["system"] = turns.system
    assert decode_messages(msgspec.json.encode(again)).messages == request.messages


@given(requests())
def test_a_span_keeps_messages_as_chat_messages_and_reads_them_back(body: dict[str, Any]) -> None:
    for message in decode_messages(as_sent(body)).messages:
        kept = decode_message(encode_message(message))
        assert (kept.role, kept.text, kept.tool_call_id) == (message.role, message.text, message.tool_call_id)
        assert kept.is_error == message.is_error
        assert [(call.id, call.name, call.arguments) for call in kept.tool_calls] == [
            (call.id, call.name, call.arguments) for call in message.tool_calls
        ]
        assert [type(part) for part in kept.parts] == [type(part) for part in message.parts]
        thoughts = [part for part in message.parts if isinstance(part, ReasoningPart)]
        assert [part for part in kept.parts if isinstance(part, ReasoningPart)] == thoughts


@given(requests())
def test_tools_made_anew_say_what_they_said(body: dict[str, Any]) -> None:
    tools = decode_messages(as_sent(body)).tools
    assert [made(encode_tool(tool)) for tool in tools] == body.get("tools", [])


def test_a_turn_becomes_messages_in_its_order() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "a", "content": "first"},
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "text", "text": "second"}],
            "is_error": True,
        },
        {"type": "text", "text": "and?", "cache_control": {"type": "ephemeral"}},
    ]
    request = decode_messages(
        as_sent({**ASKED, "system": "s", "messages": [{"role": "user", "content": content}]})
    )
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "s"),
        ("tool", "first"),
        ("tool", "second"),
        ("user", "and?"),
    ]
    assert [message.is_error for message in request.messages] == [False, False, True, False]
    assert request.places == (
        "system",
        "messages[0].content[0]",
        "messages[0].content[1]",
        "messages[0]",
    )
    assert made(request.messages[3].parts[0].beside) == {"cache_control": {"type": "ephemeral"}}  # type: ignore[union-attr]


def test_blocks_become_what_they_are() -> None:
    said = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "t"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1.50}},
        {"type": "tool_use", "id": "2", "name": "g", "input": {}},
    ]
    seen = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "hologram", "depth": 3},
    ]
    body = {
        **ASKED,
        "messages": [{"role": "user", "content": seen}, {"role": "assistant", "content": said}],
    }
    user, assistant = decode_messages(as_sent(body)).messages
    assert user.parts[:2] == (ImagePart("data:image/png;base64,AAAA"), ImagePart("https://example.com/a.png"))
    assert user.parts[3] == FilePart(data="data:application/pdf;base64,AAAA", filename="T")
    opaque = [part.type for part in user.parts if isinstance(part, OpaquePart)]
    assert opaque == ["image", "document", "hologram"]
    assert assistant.parts[0] == ReasoningPart("hm", "s")
    assert assistant.text == "t"
    assert assistant.tool_calls == (ToolCall("1", "f", '{"a": 1.5}'), ToolCall("2", "g", "{}"))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages[0].content[0].source.type",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "i", "name": "n", "input": "{}"}],
                    }
                ]
            },
            "messages[0].content[0].input",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "i",
                                "content": [{"type": "tool_result", "tool_use_id": "j"}],
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0].content[0]",
        ),
        ({"system": [{"type": "text", "text": 5}]}, "system[0].text"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"assay": {"tags": 5}}, "assay.tags"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_messages(as_sent({**ASKED, **change}))
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, as_sent({"model": "m"})])
def test_what_is_no_request_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_messages(body)


def test_counting_needs_no_limit_and_making_does() -> None:
    body = {name: value for name, value in ASKED.items() if name != "max_tokens"}
    assert decode_counted(as_sent(body)).model == "m"
    with pytest.raises(BadRequest, match="max_tokens is missing"):
        decode_messages(as_sent(body))


def test_results_of_parallel_calls_stand_in_one_turn_with_the_next_words() -> None:
    turns = encode_turns(
        [
            Message(role="system", parts=(TextPart("s"),)),
            Message(role="user", parts=(TextPart("u"),)),
            Message(role="assistant", tool_calls=(ToolCall("1", "f", ""), ToolCall("2", "g", '{"x":1}'))),
            Message(role="tool", tool_call_id="1", parts=(TextPart("one"),)),
            Message(role="tool", tool_call_id="2", parts=(TextPart("two"),)),
            Message(role="user", parts=(TextPart("next"),)),
            Message(role="system", parts=(TextPart("late"),)),
        ]
    )
    assert made(turns.system) == "s"
    assert made(turns.messages) == [
        {"role": "user", "content": "u"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "2", "name": "g", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "2", "content": "two"},
                {"type": "text", "text": "next"},
            ],
        },
        {"role": "system", "content": "late"},
    ]
