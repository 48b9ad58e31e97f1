"""An answer in OpenAI's formats is the same, told whole or as a stream."""

import json
from typing import Any

import pytest

from assay.wire.openai_chat import decode_chunk, decode_response
from assay.wire.openai_stream import assemble
from assay.wire.openai_whole import chunks_of, whole_of
from assay.wire.usage import Usage

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def answer(*choices: dict[str, Any], **more: Any) -> bytes:
    made = [
        {"index": at, "logprobs": None, "finish_reason": "stop", **choice}
        for at, choice in enumerate(choices)
    ]
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m", "choices": made}
    return json.dumps({**body, "usage": USAGE, **more}).encode()


def said(content: str | None, **more: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **more}}


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
FORMS = {
    "text": answer(said("Paris, on the Seine.")),
    "several answers": answer(said("one"), {**said("two"), "finish_reason": "length"}),
    "tool calls": answer(
        {
            **said(None, tool_calls=[CALL, {**CALL, "id": "call_2", "extra_content": {"signature": "x"}}]),
            "finish_reason": "tool_calls",
        }
    ),
    "refusal": answer(said(None, refusal="I will not.")),
    "reasoning": answer(said("4", reasoning_content="2 and 2", thinking_blocks=[{"type": "thinking"}])),
    "log probabilities": answer({**said("a"), "logprobs": {"content": [{"token": "a", "logprob": -0.1}]}}),
    "unknown fields": answer(
        said("a", annotations=[{"type": "url"}]), system_fingerprint="fp", service_tier="default"
    ),
    "completion": json.dumps(
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 7,
            "model": "m",
            "choices": [
                {"index": 0, "text": "a b", "logprobs": {"tokens": ["a", " b"]}, "finish_reason": "stop"}
            ],
            "usage": USAGE,
        }
    ).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("include_usage", [False, True])
def test_a_whole_answer_told_as_a_stream_comes_together_again(form: str, include_usage: bool) -> None:
    body = FORMS[form]
    chunks = list(chunks_of(body, include_usage=include_usage))
    whole = whole_of(chunks, usage=None)
    assert whole is not None
    expected = json.loads(body)
    if not include_usage:
        del expected["usage"]
    made = json.loads(whole)
    for choice, wanted in zip(made["choices"], expected["choices"], strict=True):
        if (
            "message" in choice
            and wanted["message"]["content"] is None
            and "tool_calls" not in wanted["message"]
        ):
            assert choice["message"].pop("content") == ""
            del wanted["message"]["content"]
    assert made == expected


@pytest.mark.parametrize("form", FORMS)
def test_the_chunks_are_chunks(form: str) -> None:
    chunks = list(chunks_of(FORMS[form], include_usage=False))
    events = [decode_chunk(chunk, hide_usage=True) for chunk in chunks]
    assert any(event.is_output for event in events)
    assert events[-1].finish_reason is not None
    assert not any("usage" in json.loads(chunk) for chunk in chunks), "nobody asked for it"
    kinds = {json.loads(chunk)["object"] for chunk in chunks}
    assert kinds == {"text_completion" if form == "completion" else "chat.completion.chunk"}
    first = decode_response(FORMS[form]).choices[0].message
    assert json.loads(assemble(chunks)[0])["content"] == (first.text or None)


def test_usage_comes_last_for_who_asked() -> None:
    *chunks, last = map(json.loads, chunks_of(FORMS["text"], include_usage=True))
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert [chunk["usage"] for chunk in chunks] == [None, None]


def chunk(delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps({**body, **more}).encode()


def test_a_stream_in_many_pieces_becomes_one_answer() -> None:
    told = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Let me "}),
        chunk({"content": "see."}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk({}, "tool_calls"),
        json.dumps({"id": "c", "choices": [], "usage": USAGE}).encode(),
    ]
    whole = json.loads(whole_of(told, usage=None) or b"")
    (choice,) = whole["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Let me see."
    calls = choice["message"]["tool_calls"]
    assert [(call["id"], call["function"]["name"]) for call in calls] == [("a", "f"), ("b", "g")]
    assert [call["function"]["arguments"] for call in calls] == ['{"x": 1}', "{}"]
    assert (whole["object"], whole["usage"]) == ("chat.completion", USAGE)


def test_what_was_counted_beside_the_stream_is_said_in_the_whole() -> None:
    told = [chunk({"content": "a"}), chunk(None, "stop")]
    whole = json.loads(whole_of(told, usage=Usage(input=4, cache_read=6, output=2)) or b"")
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (10, 2)


def test_a_stream_without_its_end_is_no_answer() -> None:
    assert whole_of([chunk({"content": "a"})], usage=None) is None
    assert whole_of([chunk({"content": "a"}, "stop"), chunk({"content": "b"}, index=1)], usage=None) is None
    assert whole_of([], usage=None) is None
