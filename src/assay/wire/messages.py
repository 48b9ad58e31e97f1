"""Messages, their parts, tools and tool calls, independent of any vendor's format.

Codecs (`wire.openai_chat`, later others) translate. Each struct keeps in `raw` the JSON that it was read from, where it
was read from JSON: the way back to the same format is that text, letter for letter, so fields that these structs do not
know survive. `raw` takes no part in equality.
"""

from typing import Literal

import msgspec

Beside = dict[str, msgspec.Raw]
"""What a format says beside the words of a part and Assay gives no meaning to: marks for a cache, citations."""

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class TextPart(msgspec.Struct, frozen=True, tag_field="part", tag="text", gc=False):
    """Plain text."""

    text: str
    beside: Beside | None = None


class ImagePart(msgspec.Struct, frozen=True, tag_field="part", tag="image"):
    """An image by URL; base64 data is a `data:` URL."""

    url: str
    detail: str | None = None
    beside: Beside | None = None


class AudioPart(msgspec.Struct, frozen=True, tag_field="part", tag="audio"):
    """Sound as base64 with its container format, e.g. `wav`."""

    data: str
    format: str


class FilePart(msgspec.Struct, frozen=True, tag_field="part", tag="file"):
    """A document, by id at the vendor or as a `data:` URL."""

    file_id: str | None = None
    data: str | None = None
    filename: str | None = None
    beside: Beside | None = None


class RefusalPart(msgspec.Struct, frozen=True, tag_field="part", tag="refusal"):
    """What the model said instead of an answer."""

    text: str


class ReasoningPart(msgspec.Struct, frozen=True, tag_field="part", tag="reasoning"):
    """The model's thinking, with the vendor's signature over it where there is one."""

    text: str
    signature: str | None = None


class OpaquePart(msgspec.Struct, frozen=True, tag_field="part", tag="opaque"):
    """A kind of part that Assay does not know: carried as it came, never dropped."""

    type: str
    json: msgspec.Raw


Part = TextPart | ImagePart | AudioPart | FilePart | RefusalPart | ReasoningPart | OpaquePart


class ToolCall(msgspec.Struct, frozen=True):
    """The model asks for a tool. `arguments` is JSON text as the model wrote it: it may be broken."""

    id: str
    name: str
    arguments: str
    beside: Beside | None = None


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may ask for; `parameters` is its JSON Schema."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw | None = None
    strict: bool | None = None
    beside: Beside | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One turn. `tool_call_id` says which call a `tool` message answers, `is_error` that the tool failed."""

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False
    beside: Beside | None = None
    raw: msgspec.Raw | None = None

    @property
    def text(self) -> str:
        """All text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    def __hash__(self) -> int:
        return hash((self.role, self.tool_call_id, self.name, len(self.parts)))


_COMPARED = tuple(name for name in Message.__struct_fields__ if name != "raw")


def text_message(role: Role, text: str) -> Message:
    """The common case."""
    return Message(role=role, parts=(TextPart(text),))
