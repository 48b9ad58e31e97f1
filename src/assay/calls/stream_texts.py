"""Where the events of a stream have their texts, in each of the formats.

A channel is one text of an answer: the words, the reasoning, the arguments of one tool call, of each choice.
"""

from collections.abc import Iterator
from typing import Any

WORDS = frozenset(("content", "text", "response.output_text.delta"))
TOLD = ("response.completed", "response.incomplete", "response.failed")
_FIELDS = ("reasoning_content", "reasoning", "content", "refusal")


class Ends:
    """Channels whose keys begin like this are complete."""

    __slots__ = ("of",)

    def __init__(self, *of: Any) -> None:
        self.of = of


class Mark:
    """A text in an event. When its channel is new, those that begin with `ends` are complete."""

    __slots__ = ("channel", "ends", "holder", "is_json", "key")

    def __init__(
        self,
        channel: tuple[Any, ...],
        holder: dict[str, Any],
        key: str,
        *,
        ends: tuple[Any, ...],
        is_json: bool = False,
    ) -> None:
        self.channel = channel
        self.holder = holder
        self.key = key
        self.ends = ends
        self.is_json = is_json

    @property
    def text(self) -> str:
        """What it says."""
        return str(self.holder[self.key])


def of_chat(chunk: dict[str, Any]) -> Iterator[Mark | Ends]:
    """The texts of a chat's chunk."""
    for choice in objects(chunk.get("choices")):
        index, delta = _place(choice, "index"), choice.get("delta")
        if isinstance(delta, dict):
            yield from _of_delta(index, delta)
        if choice.get("finish_reason") is not None:
            yield Ends(index)


def _of_delta(index: Any, delta: dict[str, Any]) -> Iterator[Mark]:
    for at, block in enumerate(objects(delta.get("thinking_blocks"))):
        if isinstance(block.get("thinking"), str):
            yield Mark((index, "thinking_block", at), block, "thinking", ends=())
    for field in _FIELDS:
        if isinstance(delta.get(field), str) and delta[field]:
            yield Mark((index, field), delta, field, ends=(index,))
    for call in objects(delta.get("tool_calls")):
        function = call.get("function")
        if (
            isinstance(function, dict)
            and isinstance(function.get("arguments"), str)
            and function["arguments"]
        ):
            channel = (index, "call", _place(call, "index"))
            yield Mark(channel, function, "arguments", ends=(index,), is_json=True)


def of_completion(chunk: dict[str, Any]) -> Iterator[Mark | Ends]:
    """Those of a text completion's."""
    for choice in objects(chunk.get("choices")):
        index = _place(choice, "index")
        if isinstance(choice.get("text"), str) and choice["text"]:
            yield Mark((index, "text"), choice, "text", ends=())
        if choice.get("finish_reason") is not None:
            yield Ends(index)


def of_message(event: dict[str, Any]) -> Iterator[Mark | Ends]:
    """Those of an event of Anthropic's."""
    index = _place(event, "index")
    holder = event.get("delta") if event.get("type") == "content_block_delta" else event.get("content_block")
    if isinstance(holder, dict):
        for field in ("text", "thinking", "partial_json"):
            if isinstance(holder.get(field), str) and holder[field]:
                yield Mark((index, field), holder, field, ends=(), is_json=field == "partial_json")
    if event.get("type") == "content_block_stop":
        yield Ends(index)
    elif event.get("type") in ("message_delta", "message_stop"):
        yield Ends()


def of_responses(event: dict[str, Any]) -> Iterator[Mark | Ends]:
    """Those of an event of the Responses API."""
    kind, index = str(event.get("type")), _place(event, "output_index")
    if kind.endswith(".delta") and isinstance(event.get("delta"), str) and event["delta"]:
        channel = (index, _place(event, "content_index", "summary_index"), kind)
        yield Mark(channel, event, "delta", ends=(), is_json="arguments" in kind)
    elif kind.endswith(".done"):
        yield Ends(index)
    elif kind in TOLD:
        yield Ends()


MARKS = {"completions": of_completion, "messages": of_message, "responses": of_responses}


def objects(value: Any) -> list[dict[str, Any]]:
    """What of a list are objects: vendors leave other things there, too."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _place(value: dict[str, Any], *names: str) -> int:
    return next((value[name] for name in names if isinstance(value.get(name), int)), 0)
