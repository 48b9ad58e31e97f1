"""An answer in Anthropic's format is the same, told whole or as a stream."""

import json
from typing import Any

import pytest

from assay.wire.anthropic_answers import AnswerEvents, decode_answer
from assay.wire.anthropic_stream import assemble_messages
from assay.wire.anthropic_whole import events_of, whole_of

USAGE = {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 5}


def answer(*blocks: dict[str, Any], **more: Any) -> bytes:
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks}
    ended = {"stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE}
    return json.dumps({**body, **ended, **more}, separators=(",", ":")).encode()


TOOL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
FORMS = {
    "text": answer({"type": "text", "text": "Paris."}),
    "thinking": answer(
        {"type": "thinking", "thinking": "2 and 2", "signature": "s"}, {"type": "text", "text": "4"}
    ),
    "redacted": answer({"type": "redacted_thinking", "data": "xyz"}, {"type": "text", "text": "4"}),
    "tools": answer({"type": "text", "text": "Let me see."}, TOOL, {**TOOL, "id": "toolu_2", "input": {}}),
    "citations": answer({"type": "text", "text": "so", "citations": [{"type": "page", "page": 3}]}),
    "nothing": answer(stop_reason="stop_sequence", stop_sequence="END"),
    "unknown": answer({"type": "web_search_tool_result", "content": [{"url": "x"}]}, container={"id": "c"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_answer_told_as_a_stream_comes_together_again(form: str) -> None:
    whole = whole_of(list(events_of(FORMS[form])))
    assert whole is not None
    assert json.loads(whole) == json.loads(FORMS[form])


@pytest.mark.parametrize("form", FORMS)
def test_the_events_are_events(form: str) -> None:
    told = list(events_of(FORMS[form]))
    reader = AnswerEvents()
    events = [reader.decode(raw) for raw in told]
    assert reader.is_complete
    counted = [event.usage for event in events if event.usage is not None][-1]
    assert counted == decode_answer(FORMS[form]).usage
    assert assemble_messages(told) == decode_answer(FORMS[form]).choices[0].message
    assert json.loads(told[0])["message"]["content"] == []
    assert json.loads(told[0])["message"]["stop_reason"] is None


def event(type: str, **more: Any) -> bytes:
    return json.dumps({"type": type, **more}).encode()


def test_a_stream_in_many_pieces_becomes_one_answer() -> None:
    start = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    told = [
        event("message_start", message={**start, "usage": {"input_tokens": 9, "output_tokens": 1}}),
        event("ping"),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Let "}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "me."}),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={**TOOL, "input": {}}),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"ci'}),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": 'ty": 1}'}),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 12}),
        event("message_stop"),
    ]
    whole = json.loads(whole_of(told) or b"")
    assert whole["content"] == [{"type": "text", "text": "Let me."}, {**TOOL, "input": {"city": 1}}]
    assert (whole["stop_reason"], whole["usage"]) == ("tool_use", {"input_tokens": 9, "output_tokens": 12})
    assert whole_of(told[:-1]) is None, "it did not come to its end"
