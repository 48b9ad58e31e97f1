"""Texts in the JSON of requests and answers: all of them are shown, and nothing else changes."""

import json
from typing import Any

import msgspec
import pytest

from assay.calls.guard_texts import DEEPEST, rewritten_arguments, rewritten_request, rewritten_response
from assay.wire.anthropic import decode_messages
from assay.wire.anthropic_answers import decode_answer
from assay.wire.openai_chat import decode_chat, decode_completion, decode_response
from assay.wire.requests import ModelRequest
from assay.wire.responses_api import decode_responses

X = "x@example.com"


def without(_: str, text: str) -> str:
    """What a guard would make of it."""
    return text.replace(X, "[EMAIL]").replace("4111111111111111", "[CARD]")


def fields(request: ModelRequest) -> Any:
    """The request's fields as values."""
    return {name: msgspec.json.decode(raw) for name, raw in request.fields.items()}


def body(**of: Any) -> bytes:
    """A request's body."""
    return json.dumps({"model": "m", **of}).encode()


CHAT = [
    {"role": "system", "content": f"Sign as {X}", "unknown": X},
    {"role": "user", "content": [{"type": "text", "text": X, "cache_control": {"type": "ephemeral"}}], "name": "me"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"to": [X], "card": 4111111111111111})}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": X},
]  # fmt: skip


def test_every_text_of_a_chat_is_shown_and_the_rest_stays() -> None:
    request = decode_chat(
        body(messages=CHAT, temperature=0.25, user=X, prediction={"type": "content", "content": X})
    )
    made = rewritten_request(request, without)
    sent = fields(made)
    said = sent.pop("messages")
    assert sent == {
        "model": "m",
        "temperature": 0.25,
        "user": X,
        "prediction": {"type": "content", "content": "[EMAIL]"},
    }
    assert said[0] == {"role": "system", "content": "Sign as [EMAIL]", "unknown": X}
    assert said[1]["content"] == [{"type": "text", "text": "[EMAIL]", "cache_control": {"type": "ephemeral"}}]
    arguments = json.loads(said[2]["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"to": ["[EMAIL]"], "card": "[CARD]"}
    assert said[3]["content"] == "[EMAIL]"
    assert [message.text for message in made.messages] == ["Sign as [EMAIL]", "[EMAIL]", "", "[EMAIL]"]  # type: ignore[union-attr]


def test_a_request_without_anything_to_change_is_itself() -> None:
    request = decode_chat(body(messages=CHAT))
    assert rewritten_request(request, lambda _, text: text) is request


def test_roles_are_told() -> None:
    seen: list[tuple[str, str]] = []

    def note(role: str, text: str) -> str:
        seen.append((role, text))
        return text

    rewritten_request(decode_chat(body(messages=CHAT)), note)
    assert [role for role, _ in seen] == ["system", "user", "assistant", "assistant", "tool"]


def test_every_text_of_a_request_of_anthropics_format_is_shown() -> None:
    turns = [
        {"role": "user", "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": X}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"to": X}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": X}]}]},
    ]  # fmt: skip
    request = decode_messages(body(max_tokens=9, system=[{"type": "text", "text": X}], messages=turns))
    made = rewritten_request(request, without)
    assert X not in json.dumps(fields(made))
    assert json.dumps(fields(made)).count("[EMAIL]") == 4
    assert [message.role for message in made.messages] == ["system", "user", "assistant", "tool"]  # type: ignore[union-attr]


def test_thinking_of_earlier_turns_is_left_alone_for_it_is_signed() -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": X, "signature": "s"}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "and"},
    ]  # fmt: skip
    request = decode_messages(body(max_tokens=9, messages=turns))
    assert rewritten_request(request, without) is request


def test_every_text_of_the_responses_api_is_shown() -> None:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": X}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": json.dumps({"to": X})},
        {"type": "function_call_output", "call_id": "1", "output": X},
    ]
    made = rewritten_request(decode_responses(body(input=items, instructions=X)), without)
    assert X not in json.dumps(fields(made))
    assert [message.text for message in made.messages] == ["[EMAIL]", "[EMAIL]", "", "[EMAIL]"]  # type: ignore[union-attr]


def test_prompts_and_what_comes_after_them_are_shown() -> None:
    made = rewritten_request(decode_completion(body(prompt=[X, "b"], suffix=X)), without)
    assert fields(made) == {"model": "m", "prompt": ["[EMAIL]", "b"], "suffix": "[EMAIL]"}
    tokens = decode_completion(body(prompt=[1, 2, 3]))
    assert rewritten_request(tokens, without) is tokens


def test_an_answer_keeps_its_counts_and_loses_what_spells_it() -> None:
    message = {"role": "assistant", "content": X, "reasoning_content": X}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "stop",
        "logprobs": {"content": [{"token": X}]},
    }
    raw = json.dumps(
        {"id": "1", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}, "more": X}
    )
    response = decode_response(raw.encode())
    made = rewritten_response(response, "chat", without)
    told = json.loads(made.raw)
    assert told["choices"][0]["message"] == {
        "role": "assistant",
        "content": "[EMAIL]",
        "reasoning_content": "[EMAIL]",
    }
    assert told["choices"][0]["logprobs"] is None
    assert (told["more"], made.usage, made.text) == (X, response.usage, "[EMAIL]")
    assert rewritten_response(response, "chat", lambda _, text: text) is response


def test_an_answer_of_anthropics_format_is_shown_whole() -> None:
    content = [
        {"type": "thinking", "thinking": X, "signature": "s"},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"a": X}},
    ]
    raw = json.dumps(
        {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": content, "usage": {}}
    )
    made = rewritten_response(decode_answer(raw.encode()), "messages", without)
    assert X.encode() not in made.raw
    assert json.loads(made.choices[0].message.tool_calls[0].arguments) == {"a": "[EMAIL]"}


@pytest.mark.parametrize("depth", [1, DEEPEST - 1, DEEPEST + 1, 500, 5_000])
def test_no_depth_is_too_deep(depth: int) -> None:
    nested = '{"a":' * depth + json.dumps(X) + "}" * depth
    assert X not in rewritten_arguments(nested, "user", without)


def test_arguments_that_are_no_json_are_one_text() -> None:
    assert rewritten_arguments(f'{{"a": "{X}', "user", without) == '{"a": "[EMAIL]'
