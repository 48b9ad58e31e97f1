"""A streamed answer of OpenAI's formats put together again: the messages that the chunks amount to."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from assay.wire.openai_chat import UNREADABLE


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(Struct, frozen=True):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallDelta] | None = None
    citations: list[dict[str, Raw]] | None = None


class _Choice(Struct, frozen=True):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None


class _Chunk(Struct, frozen=True):
    choices: list[_Choice] = []


_chunk = msgspec.json.Decoder(_Chunk)
_encode = msgspec.json.Encoder().encode


def assemble(chunks: list[bytes]) -> list[bytes]:
    """The JSON of one assistant message per choice index, in order. Chunks that do not parse are passed over."""
    made: dict[int, _Message] = {}
    for raw in chunks:
        try:
            choices = _chunk.decode(raw).choices
        except UNREADABLE:
            continue
        for choice in choices:
            message = made.setdefault(choice.index, _Message())
            message.add(choice)
    return [made[index].encode() for index in sorted(made)]


class _Message:
    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, dict[str, str]] = {}
        self.citations: list[dict[str, Raw]] = []

    def add(self, choice: _Choice) -> None:
        if choice.text:
            self.text.append(choice.text)
        delta = choice.delta
        if delta is None:
            return
        if delta.content:
            self.text.append(delta.content)
        if delta.refusal:
            self.refusal.append(delta.refusal)
        if delta.reasoning_content or delta.reasoning:
            self.reasoning.append(delta.reasoning_content or delta.reasoning or "")
        for citation in delta.citations or ():
            self.citations.append({name: raw for name, raw in citation.items() if name != "index"})
        for part in delta.tool_calls or ():
            call = self.calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += part.id or ""
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""

    def encode(self) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.text) or None}
        if self.refusal:
            message["refusal"] = "".join(self.refusal)
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.citations:
            message["citations"] = self.citations
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for _, call in sorted(self.calls.items())
            ]
        return _encode(message)
