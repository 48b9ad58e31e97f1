"""Between the two ways to give an answer in OpenAI's formats: the whole one as a stream, and a stream as the whole one.

Both work on JSON as it lies there, so what Assay does not know goes along. A whole answer is told in one piece a choice.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from assay.wire.openai_usage import encode_usage
from assay.wire.usage import Usage

_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Any])
_SPOKEN = frozenset({"content", "refusal", "reasoning_content", "reasoning", "arguments"})
"""Texts that a delta adds to; any other text replaces what was there."""
_CHUNK = {"chat.completion": "chat.completion.chunk"}
_WHOLE = {chunk: whole for whole, chunk in _CHUNK.items()}


def chunks_of(body: bytes, *, include_usage: bool) -> Iterator[bytes]:
    """The chunks that tell a whole chat or text completion."""
    whole = _object.decode(body)
    choices, usage = whole.pop("choices"), whole.pop("usage", None)
    whole["object"] = _CHUNK.get(whole.get("object", ""), whole.get("object"))
    if include_usage:
        whole["usage"] = None
    for choice in choices:
        end = {"index": choice["index"], "logprobs": None, "finish_reason": choice.get("finish_reason")}
        said = {**choice, "finish_reason": None}
        if "message" in said:
            said["delta"] = _delta(said.pop("message"))
            yield _encode({**whole, "choices": [said]})
            yield _encode({**whole, "choices": [{**end, "delta": {}}]})
        else:
            yield _encode({**whole, "choices": [said]})
            yield _encode({**whole, "choices": [{**end, "text": ""}]})
    if include_usage and usage is not None:
        yield _encode({**whole, "choices": [], "usage": usage})


def whole_of(chunks: Sequence[bytes], *, usage: Usage | None) -> bytes | None:
    """The whole answer that was told in these chunks; None when a choice did not come to its end."""
    made: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    counted: Any = None
    for raw in chunks:
        chunk = _object.decode(raw)
        counted = chunk.pop("usage", None) or counted
        for choice in chunk.pop("choices", None) or ():
            _add(choices.setdefault(choice.get("index", 0), {}), choice)
        made = {**chunk, **made}
    if not choices or any(choice.get("finish_reason") is None for choice in choices.values()):
        return None
    made["object"] = _WHOLE.get(made.get("object", ""), made.get("object"))
    made["choices"] = [_finished(choices[index]) for index in sorted(choices)]
    if counted is not None or usage is not None:
        made["usage"] = counted or encode_usage(usage or Usage())
    return _encode(made)


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not calls:
        return message
    return {**message, "tool_calls": [{"index": index, **call} for index, call in enumerate(calls)]}


def _add(made: dict[str, Any], choice: dict[str, Any]) -> None:
    for name, value in choice.items():
        if name == "text":
            made["text"] = made.get("text", "") + (value or "")
        elif name == "delta":
            _merge(made.setdefault("message", {}), value or {})
        elif name == "logprobs" and isinstance(value, dict):
            made["logprobs"] = made.get("logprobs") or {}
            _merge(made["logprobs"], value)
        elif value is not None or name not in made:
            made[name] = value


def _merge(made: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        before = made.get(name)
        if value is None:
            made.setdefault(name, None)
        elif name == "tool_calls":
            calls = made.setdefault("tool_calls", {})
            for at, call in enumerate(value):
                _merge(calls.setdefault(call.get("index", at), {}), call)
        elif isinstance(value, str) and name in _SPOKEN:
            made[name] = (before or "") + value
        elif isinstance(value, list) and isinstance(before, list):
            made[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            _merge(before, value)
        elif value != "" or not before:
            made[name] = value


def _finished(choice: dict[str, Any]) -> dict[str, Any]:
    if "message" not in choice:
        return choice
    message = choice["message"]
    message.setdefault("role", "assistant")
    message["content"] = message.get("content") or (None if "tool_calls" in message else "")
    if "tool_calls" in message:
        calls = message["tool_calls"]
        message["tool_calls"] = [
            {name: value for name, value in calls[index].items() if name != "index"}
            for index in sorted(calls)
        ]
    return choice
