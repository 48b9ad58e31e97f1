"""A streamed answer of Anthropic's format put together again: the message that its events amount to."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.errors import BadRequest
from assay.wire.anthropic import decode_block
from assay.wire.messages import Message, OpaquePart, Part, ToolCall
from assay.wire.openai_chat import UNREADABLE


class _Delta(Struct, frozen=True):
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Raw | UnsetType = UNSET


class _Event(Struct, frozen=True):
    type: str
    index: int = 0
    content_block: dict[str, Any] | None = None
    delta: _Delta | None = None


_event = msgspec.json.Decoder(_Event)
_encode = msgspec.json.Encoder().encode


def assemble_messages(events: list[bytes]) -> Message:
    """The assistant's message, as far as it came. Events that do not parse are passed over."""
    blocks: dict[int, _Block] = {}
    for raw in events:
        try:
            event = _event.decode(raw)
        except UNREADABLE:
            continue
        if event.type == "content_block_start" and event.content_block is not None:
            blocks[event.index] = _Block(event.content_block)
        elif event.type == "content_block_delta" and event.delta is not None and event.index in blocks:
            blocks[event.index].add(event.delta)
    made = [blocks[index].whole() for index in sorted(blocks)]
    parts: list[Part] = [block for block in made if not isinstance(block, ToolCall | Message)]
    calls = tuple([block for block in made if isinstance(block, ToolCall)])
    return Message(role="assistant", parts=tuple(parts), tool_calls=calls)


class _Block:
    """A block as it began, and what was added."""

    def __init__(self, began: dict[str, Any]) -> None:
        self._began = began
        self._added: dict[str, list[str]] = {}
        self._pieces: list[str] = []
        self._citations: list[Raw] = []

    def add(self, delta: _Delta) -> None:
        if delta.partial_json:
            self._pieces.append(delta.partial_json)
        for name in ("text", "thinking", "signature"):
            if value := getattr(delta, name):
                self._added.setdefault(name, []).append(value)
        if delta.citation is not UNSET:
            self._citations.append(delta.citation)

    def whole(self) -> Part | ToolCall | Message:
        made, arguments = dict(self._began), "".join(self._pieces)
        if made.get("type") == "tool_use":
            arguments = arguments or _encode(made.get("input") or {}).decode()
            return ToolCall(str(made.get("id", "")), str(made.get("name", "")), arguments)
        for name, pieces in self._added.items():
            before = made.get(name)
            made[name] = (before if isinstance(before, str) else "") + "".join(pieces)
        if arguments:
            made["input"] = Raw(arguments.encode()) if _is_json(arguments) else arguments
        if self._citations:
            before = made.get("citations")
            made["citations"] = [*(before if isinstance(before, list) else ()), *self._citations]
        raw = Raw(_encode(made))
        try:
            return decode_block(raw)
        except BadRequest:  # not what its type says, and kept all the same
            return OpaquePart(str(made.get("type")), raw)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return True
