"""Signed thinking in chat messages: `thinking_blocks`, as answers of Claude's have them, sent back beside the next ones."""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from assay.wire.anthropic import decode_block
from assay.wire.messages import Message, Part, ReasoningPart, ToolCall
from assay.wire.openai_chat import UNREADABLE


class _Beside(Struct, frozen=True):
    thinking_blocks: list[Raw] | None = None


_beside = msgspec.json.Decoder(_Beside)


def with_thinking(message: Message) -> Message:
    """Signed thinking that a client sends back beside a message takes the place of what the message says of it."""
    if message.role != "assistant" or message.raw is None or b"thinking_blocks" not in bytes(message.raw):
        return message
    try:
        blocks = _beside.decode(message.raw).thinking_blocks or []
    except UNREADABLE:
        return message
    made = [decode_block(raw, "thinking_blocks") for raw in blocks]
    thoughts: list[Part] = [block for block in made if not isinstance(block, ToolCall | Message)]
    words = [part for part in message.parts if not isinstance(part, ReasoningPart)]
    return replace(message, parts=(*thoughts, *words))
