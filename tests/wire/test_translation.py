"""From one chat format to the other: there and back nothing that both can say is lost, and what one cannot say is named."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.wire.messages_forms import names, requests, spoiled, text, values

from assay.errors import BadRequest, Untranslatable
from assay.wire.anthropic import decode_messages
from assay.wire.anthropic_answers import AnswerEvents, StreamError, decode_answer
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.as_chat_answer import ChatEvents, as_chat_answer
from assay.wire.as_chat_request import FAILED, as_chat_request
from assay.wire.as_messages_answer import MessagesEvents, UnusableCalls, as_messages_answer
from assay.wire.as_messages_request import as_messages_fields
from assay.wire.messages import FilePart, ImagePart, Message, OpaquePart, ReasoningPart, TextPart
from assay.wire.openai_chat import (
    UNREADABLE,
    decode_chat,
    decode_chunk,
    decode_message,
    decode_response,
    encode_message,
    encode_request,
)
from assay.wire.openai_stream import assemble
from assay.wire.responses import StreamEvent


def as_sent(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """An Anthropic body as the OpenAI body that goes upstream."""
    request = as_chat_request(decode_messages(as_sent(body)))
    sent = json.loads(encode_request(request.fields, model=request.model, stream=False))
    assert isinstance(sent, dict)
    return sent


def as_messages(body: dict[str, Any]) -> dict[str, Any]:
    """An OpenAI body as the Anthropic body that goes upstream."""
    made = as_messages_fields(decode_chat(as_sent(body)), max_tokens=77)
    read = json.loads(msgspec.json.encode(made))
    assert isinstance(read, dict)
    return read


# --- Requests ---


def bare(message: Message) -> Message:
    """Without what a chat request leaves behind."""
    kept: list[Any] = []
    for part in message.parts:
        if isinstance(part, TextPart | ImagePart | FilePart):
            kept.append(replace(part, beside=None))
        elif not isinstance(part, ReasoningPart | OpaquePart):
            kept.append(part)
    if message.is_error:
        first = kept[0].text if kept else ""
        kept[:1] = [TextPart(FAILED + first if kept else FAILED.strip(": "))]
    return replace(message, parts=tuple(kept), is_error=False, beside=None)


@given(requests(sayable=True))
def test_a_request_comes_back_from_the_chat_format_with_all_that_it_can_say(body: dict[str, Any]) -> None:
    chat = as_chat(body)
    back = as_messages(chat)
    asked, returned = (
        decode_messages(as_sent(body)),
        decode_messages(as_sent({**back, "model": body["model"]})),
    )
    assert returned.messages == tuple(bare(message) for message in asked.messages)
    unmarked = [
        {name: value for name, value in tool.items() if name != "cache_control"}
        for tool in body.get("tools", [])
    ]
    assert back.get("tools", []) == unmarked
    same = ("max_tokens", "temperature", "top_p", "stop_sequences", "metadata")
    assert {name: back.get(name) for name in same} == {name: body.get(name) for name in same}
    choice = dict(body.get("tool_choice") or {})
    assert back.get("tool_choice", {}) == choice
    assert bool(back.get("stream")) is bool(body.get("stream"))


def test_a_chat_request_as_an_anthropic_client_would_send_it() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "developer", "content": [{"type": "text", "text": "and brief"}]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
                    },
                    {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    },
                    {"type": "search_result", "source": "s", "title": "t", "content": []},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": ' {"x":1.0} '}},
                    {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "one"},
            {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "go on"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
            {"type": "function", "function": {"name": "g"}, "cache_control": {"type": "ephemeral"}},
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_completion_tokens": 5,
        "max_tokens": None,
        "temperature": 0.5,
        "stop": "END",
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        "n": 1,
        "logprobs": False,
        "presence_penalty": 0,
        "prompt_cache_key": "k",
        "top_k": 4,
    }
    image = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    assert as_messages(body) == {
        "max_tokens": 5,
        "system": [{"type": "text", "text": "be kind"}, {"type": "text", "text": "and brief"}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
                    {"type": "image", "source": image},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}},
                    {"type": "document", "source": pdf, "title": "a.pdf"},
                    {"type": "search_result", "source": "s", "title": "t", "content": []},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1.0}},
                    {"type": "tool_use", "id": "2", "name": "g", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "2", "content": "two"},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": schema},
            {
                "name": "g",
                "input_schema": {"type": "object", "properties": {}},
                "cache_control": {"type": "ephemeral"},
            },
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "stream": True,
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": schema}},
        "top_k": 4,
    }


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({}, {"max_tokens": 77}),
        ({"max_tokens": 3}, {"max_tokens": 3}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
        ({"parallel_tool_calls": True}, {}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"stop": []}, {}),
        ({"safety_identifier": "s"}, {"metadata": {"user_id": "s"}}),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_fields_of_a_chat_in_anthropics_words(change: dict[str, Any], made: dict[str, Any]) -> None:
    said = as_messages({"model": "m", "messages": [{"role": "user", "content": "x"}], **change})
    assert said == {"max_tokens": 77, "messages": [{"role": "user", "content": "x"}], **made}


def chat_message(**message: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x"}, message]}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"store": True}, "store"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"functions": []}, "functions"),
        ({"some_vendors_own": 1}, "some_vendors_own"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        (chat_message(role="function", name="f", content="x"), "messages[1].role"),
        (
            chat_message(
                role="user", content=[{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]
            ),
            "messages[1].content[0]",
        ),
        (chat_message(role="user", content=[{"type": "hologram"}]), "messages[1].content[0]"),
        (
            chat_message(role="user", content=[{"type": "file", "file": {"file_id": "f"}}]),
            "messages[1].content[0].file.file_id",
        ),
        (
            chat_message(
                role="user", content=[{"type": "file", "file": {"file_data": "data:text/csv;base64,QQ=="}}]
            ),
            "messages[1].content[0].file.file_data",
        ),
        (
            chat_message(
                role="user", content=[{"type": "image_url", "image_url": {"url": "data:image/png,AAAA"}}]
            ),
            "messages[1].content[0].image_url.url",
        ),
        (
            chat_message(
                role="assistant",
                tool_calls=[
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{broken"}}
                ],
            ),
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            chat_message(
                role="assistant",
                tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "[1]"}}],
            ),
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_anthropics_format_cannot_say_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        as_messages({"model": "m", "messages": [{"role": "user", "content": "x"}], **change})
    assert caught.value.status == 400
    assert caught.value.param == param
    assert param.rpartition(".")[0] in caught.value.message


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"reasoning_effort": "low"}),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}),
        ({"service_tier": "auto", "speed": "standard"}, {}),
        (
            {"tool_choice": {"type": "tool", "name": "f"}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        ({"cache_control": {"type": "ephemeral"}, "metadata": {"user_id": None}, "top_k": None}, {}),
        (
            {"system": [{"type": "text", "text": "a"}]},
            {"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "x"}]},
        ),
    ],
)
def test_fields_of_a_message_in_openais_words(change: dict[str, Any], made: dict[str, Any]) -> None:
    said = as_chat({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **change})
    expected = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    assert said == {**expected, **made}


def test_the_upstreams_name_for_the_limit_is_used() -> None:
    asked = decode_messages(
        as_sent({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})
    )
    fields = as_chat_request(asked, limit="max_completion_tokens").fields
    assert json.loads(bytes(fields["max_completion_tokens"])) == 5
    assert "max_tokens" not in fields


def blocks(*content: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x"}, {"role": role, "content": list(content)}]}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"top_k": 5}, "top_k"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "thinking"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"some_beta": 1}, "some_beta"),
        ({"speed": "fast"}, "speed"),
        ({"service_tier": "later"}, "service_tier"),
        ({"metadata": {"user_id": "u", "other": 1}}, "metadata.other"),
        ({"output_config": {"later": 1}}, "output_config.later"),
        ({"tool_choice": {"type": "later"}}, "tool_choice.type"),
        ({"tools": [{"type": "web_search_20260209", "name": "web_search"}]}, "tools[0].type"),
        (
            {"tools": [{"name": "f", "input_schema": {}, "input_examples": [{}]}]},
            "tools[0].input_examples",
        ),
        (blocks({"type": "search_result", "source": "s", "title": "t", "content": []}), "messages[1]"),
        (blocks({"type": "document", "source": {"type": "url", "url": "u"}}), "messages[1]"),
        (blocks({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[1]"),
        (
            blocks(
                {
                    "type": "tool_result",
                    "tool_use_id": "1",
                    "content": [{"type": "image", "source": {"type": "url", "url": "u"}}],
                }
            ),
            "messages[1].content[0]",
        ),
        (
            blocks({"type": "server_tool_use", "id": "1", "name": "n", "input": {}}, role="assistant"),
            "messages[1]",
        ),
        (
            blocks({"type": "text", "text": "x", "some_mark": 1}),
            "messages[1].some_mark",
        ),
    ],
)
def test_what_the_chat_format_cannot_say_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        as_chat({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **change})
    assert caught.value.status == 400
    assert caught.value.param == param


# --- Answers ---

usages = st.fixed_dictionaries(
    {name: st.integers(0, 10**6) for name in ("input_tokens", "cache_read_input_tokens", "output_tokens")}
)
contents = st.tuples(
    st.lists(st.builds(lambda said: {"type": "text", "text": said}, text), max_size=1),
    st.lists(
        st.builds(
            lambda name, given: {"type": "tool_use", "name": name, "input": given},
            names,
            st.dictionaries(names, values, max_size=3),
        ),
        max_size=3,
    ),
).map(lambda both: [*both[0], *({**call, "id": f"call_{at}"} for at, call in enumerate(both[1]))])


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """A whole answer of Anthropic's."""
    content = draw(contents)
    has_calls = any(block["type"] == "tool_use" for block in content)
    thoughts = [
        {"type": "thinking", "thinking": said, "signature": "s"} for said in draw(st.lists(text, max_size=1))
    ]
    written = {"ephemeral_5m_input_tokens": draw(st.integers(0, 999)), "ephemeral_1h_input_tokens": 0}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [*thoughts, *content],
        "stop_reason": "tool_use"
        if has_calls
        else draw(st.sampled_from(["end_turn", "max_tokens", "refusal"])),
        "stop_sequence": None,
        "usage": {
            **draw(usages),
            "cache_creation": written,
            "cache_creation_input_tokens": written["ephemeral_5m_input_tokens"],
        },
    }


@given(answers())
def test_an_answer_comes_back_from_the_chat_format_as_it_was(body: dict[str, Any]) -> None:
    original = decode_answer(as_sent(body))
    chat = as_chat_answer(original, created=1)
    read = decode_response(chat.raw)
    assert read.usage == original.usage
    message, said = original.choices[0].message, read.choices[0].message
    assert (said.text, said.tool_calls) == (message.text, message.tool_calls)
    assert read.choices[0].finish_reason == original.choices[0].finish_reason
    spoken = json.loads(chat.raw)["choices"][0]["message"]
    thoughts = [block for block in body["content"] if block["type"] == "thinking"]
    assert spoken.get("thinking_blocks", []) == thoughts
    unsigned = [
        block | ({"signature": ""} if block["type"] == "thinking" else {}) for block in body["content"]
    ]
    back = json.loads(as_messages_answer(read).raw)
    assert back["content"] == unsigned
    assert {name: back[name] for name in ("id", "model", "stop_reason", "role", "type")} == {
        name: body[name] for name in ("id", "model", "stop_reason", "role", "type")
    }
    assert decode_answer(as_sent(back)).usage == original.usage


def pieces(draw: st.DrawFn, whole: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    edges = [0, *cuts, len(whole)]
    return [whole[start:end] for start, end in pairwise(edges)]


@st.composite
def event_streams(draw: st.DrawFn) -> tuple[dict[str, Any], list[bytes]]:
    """A whole answer, and the same as events cut anywhere."""
    body = draw(answers())
    start = {**body, "content": [], "stop_reason": None, "usage": {**body["usage"], "output_tokens": 1}}
    events: list[Any] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(body["content"]):
        empty: dict[str, dict[str, Any]] = {
            "text": {"text": ""},
            "thinking": {"thinking": "", "signature": ""},
            "tool_use": {"input": {}},
        }
        events.append(
            {
                "type": "content_block_start",
                "index": index,
                "content_block": {**block, **empty[block["type"]]},
            }
        )
        if block["type"] == "tool_use":
            told = [
                ("input_json_delta", "partial_json", piece)
                for piece in pieces(draw, json.dumps(block["input"]))
            ]
            told = told if block["input"] or draw(st.booleans()) else []
        else:
            name = block["type"]
            told = [(f"{name}_delta", name, piece) for piece in pieces(draw, block[name])]
        if block["type"] == "thinking":
            told.append(("signature_delta", "signature", block["signature"]))
        events += [
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece}}
            for kind, name, piece in told
        ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": body["usage"]["output_tokens"]}
    events += [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]
    return body, [as_sent(event) for event in events]


def chunks_of(events: list[bytes]) -> Iterator[StreamEvent]:
    reader, chat = AnswerEvents(), ChatEvents(created=1, include_usage=True)
    for event in events:
        yield from chat.of(reader.decode(event))


@given(event_streams())
def test_a_stream_in_either_format_amounts_to_the_whole_answer(
    stream: tuple[dict[str, Any], list[bytes]],
) -> None:
    body, events = stream
    original = decode_answer(as_sent(body))
    message = original.choices[0].message
    chunks = [chunk for chunk in chunks_of(events) if chunk.raw is not None]
    raws = [chunk.raw for chunk in chunks if chunk.raw is not None]
    said = decode_message(msgspec.Raw(assemble(raws)[0]))
    assert said.text == message.text
    assert [(call.id, call.name, json.loads(call.arguments)) for call in said.tool_calls] == [
        (call.id, call.name, json.loads(call.arguments)) for call in message.tool_calls
    ]
    read = [decode_chunk(raw, hide_usage=False) for raw in raws]
    assert [chunk.usage for chunk in read if chunk.usage] == [original.usage]
    assert [chunk.finish_reason for chunk in read if chunk.finish_reason] == [
        original.choices[0].finish_reason
    ]
    assert json.loads(raws[0])["choices"][0]["delta"]["role"] == "assistant"

    back = MessagesEvents()
    told = [event for chunk in read for event in back.of(chunk)] + list(back.end())
    again = [event.raw for event in told if event.raw is not None]
    returned = assemble_messages(again)
    assert (returned.text, len(returned.tool_calls)) == (message.text, len(message.tool_calls))
    assert [call.id for call in returned.tool_calls] == [call.id for call in message.tool_calls]
    reader = AnswerEvents()
    last = [reader.decode(event) for event in again]
    assert [event.usage for event in last if event.usage][-1] == original.usage
    assert [event.finish_reason for event in last if event.finish_reason] == [
        original.choices[0].finish_reason
    ]
    assert reader.is_complete
    assert_well_formed([json.loads(event) for event in again])


def assert_well_formed(events: list[dict[str, Any]]) -> None:
    """One block after the other, each begun, told and ended."""
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    open_block: int | None = None
    seen = 0
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (None, seen)
            open_block, seen = event["index"], seen + 1
        else:
            assert event["index"] == open_block
            if event["type"] == "content_block_stop":
                open_block = None
    assert open_block is None


def chunk(delta: dict[str, Any], **more: Any) -> StreamEvent:
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, **more}]}
    return decode_chunk(as_sent(body), hide_usage=False)


def test_what_is_output_there_is_output_here() -> None:
    events = MessagesEvents()
    assert not any(event.is_output for event in events.of(chunk({"role": "assistant", "content": ""})))
    assert any(event.is_output for event in events.of(chunk({"content": "x"})))
    call = {"index": 0, "id": "1", "function": {"name": "f"}}
    assert any(event.is_output for event in MessagesEvents().of(chunk({"tool_calls": [call]})))
    assert any(event.is_output for event in MessagesEvents().of(chunk({"reasoning_content": "hm"})))


def test_calls_that_are_told_in_turns_are_refused_and_not_mixed_up() -> None:
    events = MessagesEvents()
    for at in (0, 1):
        part = {"index": at, "id": str(at), "function": {"name": "f", "arguments": "{"}}
        list(events.of(chunk({"tool_calls": [part]})))
    with pytest.raises(UnusableCalls, match="in turns"):
        list(events.of(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]})))


def test_a_forced_call_ends_with_tool_use_whatever_the_upstream_calls_it() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    whole = decode_response(as_sent({"choices": [{"message": message, "finish_reason": "stop"}]}))
    assert json.loads(as_messages_answer(whole).raw)["stop_reason"] == "tool_use"
    events = MessagesEvents()
    list(events.of(chunk({"tool_calls": [{**call, "index": 0}]}, finish_reason="stop")))
    assert [json.loads(event.raw or b"") for event in events.end()][-2]["delta"]["stop_reason"] == "tool_use"


def test_arguments_that_are_no_object_are_refused() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"cut'}}
    whole = decode_response(as_sent({"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]}))
    with pytest.raises(UnusableCalls, match="'f'"):
        as_messages_answer(whole)


def test_an_answer_without_words_is_an_empty_one() -> None:
    events = list(MessagesEvents().end())
    assert [json.loads(event.raw or b"")["type"] for event in events] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    empty = decode_answer(as_sent({"type": "message", "content": [], "stop_reason": "end_turn"}))
    body = json.loads(as_chat_answer(empty, created=1).raw)
    assert body["choices"][0]["message"]["content"] == ""
    assert "usage" not in body


# --- What has gone wrong on the way ---


@given(requests(), st.randoms(use_true_random=False))
def test_whatever_a_client_sends_is_taken_or_is_a_bad_request(body: dict[str, Any], random: Random) -> None:
    try:
        request = decode_messages(as_sent(spoiled(body, random)))
    except BadRequest:
        return
    for message in request.messages:
        assert decode_message(encode_message(message)).role == message.role
    try:
        chat = as_chat_request(request)
    except BadRequest:
        return
    again = decode_chat(encode_request(chat.fields, model="m", stream=True))
    with suppress(BadRequest):
        as_messages_fields(again, max_tokens=1)


@given(requests(sayable=True), st.randoms(use_true_random=False))
def test_whatever_a_chat_client_sends_is_taken_or_is_a_bad_request(
    body: dict[str, Any], random: Random
) -> None:
    with suppress(BadRequest):
        as_messages_fields(decode_chat(as_sent(spoiled(as_chat(body), random))), max_tokens=1)


@given(event_streams(), st.randoms(use_true_random=False))
def test_whatever_an_upstream_sends_is_told_passed_over_or_an_error(
    stream: tuple[dict[str, Any], list[bytes]], random: Random
) -> None:
    body, events = stream
    with suppress(BadRequest, *UNREADABLE):
        chat = as_chat_answer(decode_answer(as_sent(spoiled(body, random))), created=1)
        with suppress(UnusableCalls):
            as_messages_answer(decode_response(as_sent(spoiled(json.loads(chat.raw), random))))
    told = [
        as_sent(spoiled(json.loads(event), random)) if random.random() < 0.3 else event for event in events
    ]
    assert assemble_messages(told).role == "assistant"
    reader, chunks, back = AnswerEvents(), ChatEvents(created=1, include_usage=True), MessagesEvents()
    for event in told:
        with suppress(StreamError, *UNREADABLE):
            for made in chunks.of(reader.decode(event)):
                if made.raw is not None:
                    with suppress(UnusableCalls):
                        list(back.of(decode_chunk(made.raw, hide_usage=False)))
    assert [json.loads(event.raw or b"")["type"] for event in back.end()][-1] == "message_stop"
