"""Anthropic's answers: token classes are disjoint, and events put together are the message that came whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from assay.errors import BadRequest
from assay.wire.anthropic_answers import (
    AnswerEvents,
    StreamError,
    decode_answer,
    decode_error,
    encode_usage,
    error_type,
)
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.messages import OpaquePart, ReasoningPart, TextPart, ToolCall
from assay.wire.usage import Usage, UsageSource

counts = st.integers(0, 10**9)


def as_sent(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def answer(**changes: Any) -> bytes:
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return as_sent({**body, "stop_reason": "end_turn", "usage": {}, **changes})


def counted(**usage: Any) -> Usage | None:
    return decode_answer(answer(usage=usage)).usage


@given(counts, counts, counts, counts, counts, counts)
def test_classes_of_tokens_are_disjoint_and_add_up(
    fresh: int, read: int, minutes: int, hour: int, said: int, thought: int
) -> None:
    usage = counted(
        input_tokens=fresh,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=minutes + hour,
        cache_creation={"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour},
        output_tokens=said + thought,
        output_tokens_details={"thinking_tokens": thought},
    )
    assert usage == Usage(
        input=fresh,
        cache_read=read,
        cache_write_5m=minutes,
        cache_write_1h=hour,
        output=said,
        reasoning=thought,
    )
    assert usage.total_input == fresh + read + minutes + hour
    again = counted(**encode_usage(usage))
    assert again == usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, Usage(input=1, output=2)),
        (
            {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 5},
            Usage(input=1, output=2, cache_write_5m=5),
        ),
        (
            {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 5}},
            Usage(input=1, output=2, cache_write_1h=5),
        ),
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(input=1, reasoning=2),
        ),
        (
            {
                "input_tokens": 1,
                "output_tokens": 0,
                "cache_read_input_tokens": None,
                "cache_creation_input_tokens": 3,
                "cache_creation": {"ephemeral_5m_input_tokens": 9, "ephemeral_1h_input_tokens": 7},
            },
            Usage(input=1, cache_write_1h=3),
        ),
        ({}, None),
    ],
)
def test_counts_that_are_missing_or_contradict_are_never_negative(
    usage: dict[str, Any], expected: Usage | None
) -> None:
    assert counted(**usage) == expected


def test_an_answer_is_read_whole() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "a", "citations": [{"type": "page_location"}]},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"x": [1]}},
        {"type": "server_tool_use", "id": "2", "name": "web_search", "input": {}},
    ]
    body = answer(content=content, stop_reason="tool_use")
    read = decode_answer(body)
    (choice,) = read.choices
    assert (read.raw, read.id, read.model, read.text) == (body, "msg_1", "m", "a")
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls == (ToolCall("1", "f", '{"x": [1]}'),)
    assert [type(part) for part in choice.message.parts] == [ReasoningPart, TextPart, OpaquePart]
    with pytest.raises(BadRequest):
        decode_answer(answer(content=[{"type": "text"}]))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "something_new"),
        (None, None),
    ],
)
def test_reasons_to_stop_are_told_in_one_vocabulary(said: str | None, meant: str | None) -> None:
    assert decode_answer(answer(stop_reason=said)).choices[0].finish_reason == meant


# --- Streams ---

START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "model": "m",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 1,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        },
    },
}
END: dict[str, Any] = {
    "type": "message_delta",
    "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
    "usage": {"output_tokens": 10, "output_tokens_details": {"thinking_tokens": 4}},
}


def test_a_streams_counts_are_totals_of_its_first_and_last() -> None:
    reader = AnswerEvents()
    first, last = reader.decode(as_sent(START)), reader.decode(as_sent(END))
    into = Usage(input=3, cache_read=4, cache_write_5m=2, cache_write_1h=3)
    assert first.usage == replace(into, output_source=UsageSource.ESTIMATE)
    assert first.model == "m"
    assert last.usage == replace(into, output=6, reasoning=4)
    assert last.finish_reason == "length"
    assert not reader.is_complete
    reader.decode(b'{"type":"message_stop"}')
    assert reader.is_complete


def test_later_totals_win() -> None:
    reader = AnswerEvents()
    reader.decode(as_sent(START))
    later = {"output_tokens": 1, "input_tokens": 30, "cache_creation_input_tokens": 10}
    usage = reader.decode(as_sent({**END, "usage": later})).usage
    assert usage == Usage(input=30, cache_read=4, cache_write_5m=7, cache_write_1h=3, output=1)


@pytest.mark.parametrize(
    ("event", "is_output"),
    [
        (START, False),
        ({"type": "ping"}, False),
        ({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, False),
        ({"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}}, False),
        ({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "1"}}, True),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}}, True),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": ""}}, False),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "x"}}, True),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}, True),
        ({"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}}, False),
        ({"type": "content_block_stop"}, False),
        (END, False),
        ({"type": "an_event_of_next_year", "delta": {"text": "?"}}, False),
    ],
)
def test_output_is_what_a_person_could_read_see_or_execute(event: dict[str, Any], is_output: bool) -> None:
    read = AnswerEvents().decode(as_sent(event))
    assert read.is_output is is_output
    assert read.raw == as_sent(event)


def test_an_error_inside_a_stream_is_an_error() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(StreamError) as caught:
        AnswerEvents().decode(body)
    assert caught.value.body == body


def started(index: int, block: dict[str, Any]) -> bytes:
    return as_sent({"type": "content_block_start", "index": index, "content_block": block})


def added(index: int, kind: str, **delta: Any) -> bytes:
    return as_sent({"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}})


def test_events_put_together_are_the_message() -> None:
    events = [
        as_sent(START),
        started(0, {"type": "thinking", "thinking": "", "signature": ""}),
        added(0, "thinking_delta", thinking="h"),
        added(0, "thinking_delta", thinking="m"),
        added(0, "signature_delta", signature="sig"),
        started(1, {"type": "text", "text": "A"}),
        added(1, "text_delta", text="b"),
        added(1, "citations_delta", citation={"type": "page_location"}),
        started(2, {"type": "tool_use", "id": "1", "name": "f", "input": {}}),
        added(2, "input_json_delta", partial_json='{"a": '),
        added(2, "input_json_delta", partial_json="1}"),
        started(3, {"type": "tool_use", "id": "2", "name": "g", "input": {}}),
        started(4, {"type": "server_tool_use", "id": "3", "name": "h", "input": {}}),
        added(4, "input_json_delta", partial_json='{"q": 1}'),
        started(5, {"type": "redacted_thinking", "data": "x"}),
        b"no json",
    ]
    message = assemble_messages(events)
    assert message.parts[0] == ReasoningPart("hm", "sig")
    assert message.text == "Ab"
    assert message.tool_calls == (ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "{}"))
    server, redacted = message.parts[2:]
    assert isinstance(server, OpaquePart)
    assert json.loads(bytes(server.json))["input"] == {"q": 1}
    assert isinstance(redacted, OpaquePart)


def test_a_message_that_was_cut_keeps_what_had_come() -> None:
    events = [
        started(0, {"type": "text", "text": ""}),
        added(0, "text_delta", text="half"),
        started(1, {"type": "tool_use", "id": "1", "name": "f", "input": {}}),
        added(1, "input_json_delta", partial_json='{"a": "unfin'),
    ]
    message = assemble_messages(events)
    assert (message.text, message.tool_calls) == ("half", (ToolCall("1", "f", '{"a": "unfin'),))
    assert assemble_messages([]).parts == ()


# --- Errors ---


def test_errors_are_recognised_and_named_by_their_status() -> None:
    failure = decode_error(b'{"type":"error","error":{"type":"api_error","message":"m"},"request_id":"r"}')
    assert failure is not None
    assert (failure.type, failure.message) == ("api_error", "m")
    assert decode_error(b'{"error":{"type":"x","message":"m"}}') is None
    assert decode_error(b"<html>") is None
    named = {
        status: error_type(status) for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504, 529)
    }
    assert named == {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        422: "invalid_request_error",
        429: "rate_limit_error",
        500: "api_error",
        502: "api_error",
        503: "overloaded_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
