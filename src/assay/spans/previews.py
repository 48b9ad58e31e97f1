"""The first characters of what went in and came out, for lists."""

from typing import Any

import msgspec

LENGTH = 200
_ENOUGH = 4 * LENGTH
_WORDED = ("content", "text", "input_text", "refusal")
_SAYING = frozenset(("role", *_WORDED))
_decoder = msgspec.json.Decoder()


def of_input(messages: tuple[bytes, ...]) -> str:
    """The last message's text: what was asked."""
    return next((text for message in reversed(messages) if (text := _text(message))), "")


def of_output(messages: tuple[bytes, ...]) -> str:
    """The first answer's text, or which tools it asks for."""
    return next((text for message in messages if (text := _text(message))), "")


def _text(message: bytes) -> str:
    try:
        value = _decoder.decode(message)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _short(message[:_ENOUGH].decode("utf-8", "replace"))
    if isinstance(value, dict) and _SAYING.isdisjoint(value):
        return _short(
            message[:_ENOUGH].decode("utf-8", "replace")
        )  # no message: a tool's arguments, a document, a state
    return _short(_words(value))


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(filter(None, map(_words, value)))
    if not isinstance(value, dict) or value.get("type") == "reasoning":  # thought, not said
        return ""
    if isinstance(text := value.get("content"), str) and text:
        return text
    for key in _WORDED:
        if words := _words(value.get(key)):
            return words
    if isinstance(calls := value.get("tool_calls"), list):
        return " ".join(filter(None, map(_call, calls)))
    return f"[{kind}]" if isinstance(kind := value.get("type"), str) else ""


def _call(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    return f"{function.get('name')}({function.get('arguments')})" if isinstance(function, dict) else ""


def _short(text: str) -> str:
    text = " ".join(text[:_ENOUGH].split())
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
