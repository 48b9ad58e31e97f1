"""OpenAI's Responses format: what no simulated upstream says."""

import json
from typing import Any

import pytest

from assay.errors import BadRequest, Untranslatable
from assay.wire.messages import ReasoningPart
from assay.wire.openai_chat import StreamError, chat_request, decode_chunk, decode_response
from assay.wire.responses_api import OWN_THINKING, decode_responses
from assay.wire.responses_api_answers import (
    assemble_responses,
    decode_responses_answer,
    decode_responses_event,
)
from assay.wire.responses_api_from_chat import ResponsesEvents, as_responses_answer
from assay.wire.responses_api_to_chat import as_chat

ASKED = chat_request("m", ())


def told(*deltas: dict[str, Any], finish: str = "stop") -> list[dict[str, Any]]:
    """The events that chunks with these deltas amount to."""
    events = ResponsesEvents(ASKED, created=1)
    made: list[bytes] = []
    for delta in (*deltas, None):
        choice = {"index": 0, "delta": delta or {}, "finish_reason": None if delta else finish}
        chunk = decode_chunk(json.dumps({"choices": [choice], "model": "m"}).encode(), hide_usage=False)
        made += [event.raw for event in events.of(chunk) if event.raw is not None]
    made += [event.raw for event in events.end() if event.raw is not None]
    read = [json.loads(raw) for raw in made]
    assert [event["sequence_number"] for event in read] == list(range(len(read)))
    return read


def call(index: int, arguments: str, **named: str) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": named["name"]} if named else {})}
    return {"tool_calls": [{"index": index, "function": function, **({"id": named["id"]} if named else {})}]}


def test_arguments_that_come_in_turns_stay_with_their_calls() -> None:
    events = told(
        call(0, "", name="f", id="a"),
        call(1, '{"y"', name="g", id="b"),
        call(0, '{"x": 1}'),
        call(1, ": 2}"),
        finish="tool_calls",
    )
    output = events[-1]["response"]["output"]
    assert [(item["name"], item["call_id"], item["arguments"]) for item in output] == [
        ("f", "a", '{"x": 1}'),
        ("g", "b", '{"y": 2}'),
    ]
    done = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [event["output_index"] for event in done] == [0, 1]


def test_a_refusal_is_a_part_of_its_own() -> None:
    events = told({"content": "Well, "}, {"refusal": "I will "}, {"refusal": "not."})
    kinds = [event["type"] for event in events]
    assert kinds.count("response.refusal.delta") == 2
    (item,) = events[-1]["response"]["output"]
    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]
    assert item["content"][1]["refusal"] == "I will not."


def test_an_answer_without_a_word_is_an_empty_message() -> None:
    events = told()
    (item,) = events[-1]["response"]["output"]
    assert item["content"][0]["text"] == ""
    whole = decode_response(b'{"choices": [{"message": {"role": "assistant", "content": ""}}]}')
    body = json.loads(as_responses_answer(whole, ASKED, created=1).raw)
    assert body["output"][0]["content"][0]["text"] == ""
    assert body["usage"] is None


def test_thinking_that_was_redacted_travels_sealed() -> None:
    block = {"type": "redacted_thinking", "data": "xyz"}
    events = told({"thinking_blocks": [block]}, {"content": "Hi"})
    reasoning, message = events[-1]["response"]["output"]
    assert (reasoning["type"], message["type"]) == ("reasoning", "message")
    assert reasoning["encrypted_content"].startswith(OWN_THINKING)
    request = decode_responses(json.dumps({"model": "m", "input": [reasoning, message]}).encode())
    sent = json.loads(bytes(as_chat(request, keeps_thinking=True).fields["messages"]))
    assert sent == [{"role": "assistant", "content": "Hi", "thinking_blocks": [block]}]
    assert "thinking_blocks" not in str(as_chat(request).fields["messages"])


def test_a_seal_that_was_tampered_with_is_refused() -> None:
    items = [{"type": "reasoning", "encrypted_content": "assay:!!"}, {"role": "assistant", "content": "x"}]
    request = decode_responses(json.dumps({"model": "m", "input": items}).encode())
    assert isinstance(request.messages[0].parts[0], ReasoningPart)
    with pytest.raises(Untranslatable, match="encrypted_content"):
        as_chat(request, keeps_thinking=True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b'{"model": 5}', b'{"model": "m", "input": [5]}', b"{"]
)
def test_what_is_no_request_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_responses(body)


def test_a_failed_answer_is_an_error_with_the_vendors_words() -> None:
    error = {"code": "server_error", "message": "We are sorry"}
    failed = {"id": "r", "status": "failed", "error": error, "output": []}
    with pytest.raises(StreamError, match="We are sorry"):
        decode_responses_answer(json.dumps(failed).encode())
    for event in (
        {"type": "response.failed", "response": failed},
        {"type": "error", "message": "We are sorry", "code": None, "param": None, "sequence_number": 1},
        {"type": "error", "error": error},
    ):
        with pytest.raises(StreamError, match="We are sorry"):
            decode_responses_event(json.dumps(event).encode())


def test_a_stream_that_was_cut_is_put_together_as_far_as_it_came() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    events = [
        {"type": "response.created", "response": {"output": []}},
        {"type": "response.reasoning_summary_text.delta", "delta": "Hm. "},
        {"type": "response.output_text.delta", "delta": "Hel"},
        {"type": "response.output_text.delta", "delta": "lo"},
        {"type": "response.output_item.added", "item": item},
        {"type": "response.function_call_arguments.delta", "delta": '{"x"'},
    ]
    raws = [json.dumps(event).encode() for event in events]
    message = assemble_responses([*raws, b"{nonsense"])
    assert message.text == "Hello"
    assert (message.tool_calls[0].name, message.tool_calls[0].arguments) == ("f", '{"x"')
