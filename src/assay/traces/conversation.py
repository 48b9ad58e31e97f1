"""The messages of a span as people read them. Model output is hostile: it stays text until the template escapes it."""

from collections.abc import Sequence

import msgspec

from assay.errors import BadRequest
from assay.kit import json
from assay.wire.messages import Message, Role, Tool, text_message
from assay.wire.openai_chat import decode_message

MOST_MESSAGES = 200
"""A page shows the newest so many; the rest is counted."""


class Turns(msgspec.Struct, frozen=True):
    """Messages in order; `left_out` earlier ones are not among them."""

    messages: list[Message]
    left_out: int


def turns(kept: Sequence[bytes], *, speaker: Role) -> Turns:
    """Kept JSON as messages. What is no message of a chat (a prompt, a value, broken text) is shown as `speaker`'s text."""
    shown = kept[-MOST_MESSAGES:]
    return Turns([_message(text, speaker) for text in shown], len(kept) - len(shown))


def tools(kept: Sequence[bytes]) -> list[Tool]:
    """Tool definitions by name and description, as far as they have them."""
    found = []
    for text in kept[:MOST_MESSAGES]:
        try:
            value = json.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        function = value.get("function", value) if isinstance(value, dict) else {}
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            description = function.get("description")
            found.append(
                Tool(name=function["name"], description=description if isinstance(description, str) else None)
            )
    return found


class Ranked(msgspec.Struct, frozen=True):
    """A document of a ranking: its place in the request, how relevant it is, and how it begins."""

    index: int
    relevance_score: float
    text: str


def ranking(kept: Sequence[bytes]) -> list[Ranked]:
    """The output of a call that ordered documents, as far as it is one."""
    found = []
    for text in kept[:MOST_MESSAGES]:
        try:
            found.append(msgspec.json.decode(text, type=Ranked))
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
    return found


def _message(text: bytes, speaker: Role) -> Message:
    try:
        value = json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text_message(speaker, text.decode("utf-8", "replace"))
    if isinstance(value, str):
        return text_message(speaker, value)
    if isinstance(value, dict):
        if isinstance(value.get("role"), str):
            try:
                return decode_message(msgspec.Raw(text))
            except (BadRequest, msgspec.MsgspecError):
                pass
        elif isinstance(value.get("text"), str):
            return text_message(speaker, value["text"])
    return text_message(speaker, json.pretty(value))
