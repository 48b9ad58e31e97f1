"""An answer of Anthropic's format, said in OpenAI's chat format: whole, and event by event.

Thinking becomes `reasoning_content`, which many clients show, and `thinking_blocks`: with their signatures, for the client to
send back beside the assistant's message, since Anthropic wants them again while tools are in use.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from assay.wire.messages import Message, OpaquePart, ReasoningPart, ToolCall
from assay.wire.openai_usage import encode_usage
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import Usage

_encode = msgspec.json.Encoder().encode


class Envelope(Struct, frozen=True):
    """What stands around an answer. `created` is in seconds since the epoch, which Anthropic does not say."""

    created: int
    id: str = ""
    model: str = ""


def as_chat_answer(response: Response, *, created: int) -> Response:
    """The same answer with `raw` in OpenAI's format."""
    choices = [
        {
            "index": at,
            "message": _spoken(choice.message),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
        }
        for at, choice in enumerate(response.choices)
    ]
    envelope = Envelope(created, response.id or "", response.model or "")
    body = _around(envelope, "chat.completion") | {"choices": choices}
    if response.usage is not None:
        body["usage"] = encode_usage(response.usage)
    return replace(response, raw=_encode(body))


def thinking_blocks(message: Message) -> list[Any]:
    """Thinking as Anthropic says it, signed or redacted."""
    made: list[Any] = []
    for part in message.parts:
        if isinstance(part, ReasoningPart):
            made.append({"type": "thinking", "thinking": part.text, "signature": part.signature or ""})
        elif isinstance(part, OpaquePart) and part.type == "redacted_thinking":
            made.append(part.json)
    return made


def _spoken(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": message.text or None, "refusal": None}
    if not message.text and not message.tool_calls:
        made["content"] = ""
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    if thoughts:
        made["reasoning_content"] = thoughts
    if blocks := thinking_blocks(message):
        made["thinking_blocks"] = blocks
    if message.tool_calls:
        made["tool_calls"] = [_call(call) for call in message.tool_calls]
    return made


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _around(envelope: Envelope, kind: str) -> dict[str, Any]:
    return {"id": envelope.id, "object": kind, "created": envelope.created, "model": envelope.model}


# --- Streams ---


class _Started(Struct, frozen=True):
    id: str = ""
    model: str = ""


class _Block(Struct, frozen=True):
    type: str
    id: str = ""
    name: str = ""
    input: Raw | UnsetType = UNSET


class _Delta(Struct, frozen=True, gc=False):
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None


class _Event(Struct, frozen=True):
    type: str
    index: int = 0
    message: _Started | None = None
    content_block: Raw | UnsetType = UNSET
    delta: _Delta | None = None


_event = msgspec.json.Decoder(_Event)
_block = msgspec.json.Decoder(_Block)


class _Open:
    """A block that is being told."""

    def __init__(self, block: _Block, call: int) -> None:
        self.type = block.type
        self.input = block.input
        self.call = call
        self.has_arguments = False
        self.thinking: list[str] = []
        self.signature = ""


class ChatEvents:
    """Turns the events of one answer, as `AnswerEvents` read them, into chunks."""

    def __init__(self, *, created: int, include_usage: bool) -> None:
        self._envelope = Envelope(created)
        self._include_usage = include_usage
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._usage: Usage | None = None

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        """The chunks that an event amounts to. One that says nothing in this format comes back without `raw`: it is a sign
        of life all the same."""
        assert event.raw is not None, "events of an upstream have their text"
        sent = _event.decode(event.raw)
        self._usage = event.usage or self._usage
        made = False
        for delta in self._deltas(sent):
            made = True
            yield replace(event, raw=self._chunk(delta), usage=None)
        match sent.type:
            case "message_delta":
                yield replace(event, raw=self._chunk({}, finish_reason=event.finish_reason))
            case "message_stop" if self._include_usage and self._usage is not None:
                yield StreamEvent(raw=self._last(self._usage))
            case _ if not made or event.usage is not None:
                yield replace(event, raw=None, is_output=False, text="")

    def _deltas(self, sent: _Event) -> Iterator[dict[str, Any]]:
        match sent.type:
            case "message_start" if sent.message is not None:
                self._envelope = Envelope(self._envelope.created, sent.message.id, sent.message.model)
                yield {"role": "assistant", "content": ""}
            case "content_block_start" if sent.content_block is not UNSET:
                yield from self._begins(sent.index, sent.content_block)
            case "content_block_delta" if sent.delta is not None and sent.index in self._open:
                yield from self._goes_on(self._open[sent.index], sent.delta)
            case "content_block_stop" if sent.index in self._open:
                yield from self._ends(self._open.pop(sent.index))

    def _begins(self, index: int, raw: Raw) -> Iterator[dict[str, Any]]:
        block = _block.decode(raw)
        self._open[index] = _Open(block, self._calls)
        if block.type == "tool_use":
            self._calls += 1
            call = _call(ToolCall(block.id, block.name, ""))
            yield {"tool_calls": [{"index": self._calls - 1, **call}]}
        elif block.type == "redacted_thinking":
            yield {"thinking_blocks": [raw]}
        elif block.type in ("text", "thinking"):
            yield from self._goes_on(self._open[index], msgspec.json.decode(raw, type=_Delta))

    def _goes_on(self, block: _Open, delta: _Delta) -> Iterator[dict[str, Any]]:
        if delta.text and block.type == "text":
            yield {"content": delta.text}
        if delta.thinking:
            block.thinking.append(delta.thinking)
            yield {"reasoning_content": delta.thinking}
        if delta.signature:
            block.signature += delta.signature
        if delta.partial_json and block.type == "tool_use":
            block.has_arguments = True
            yield self._arguments(block, delta.partial_json)

    def _ends(self, block: _Open) -> Iterator[dict[str, Any]]:
        if block.type == "tool_use" and not block.has_arguments:
            given = b"{}" if block.input is UNSET else bytes(block.input)
            yield self._arguments(block, given.decode())
        elif block.type == "thinking":
            whole = {"type": "thinking", "thinking": "".join(block.thinking), "signature": block.signature}
            yield {"thinking_blocks": [whole]}

    def _arguments(self, block: _Open, piece: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": block.call, "function": {"arguments": piece}}]}

    def _chunk(self, delta: dict[str, Any], *, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        body = _around(self._envelope, "chat.completion.chunk") | {"choices": [choice]}
        return _encode(body | {"usage": None} if self._include_usage else body)

    def _last(self, usage: Usage) -> bytes:
        body = _around(self._envelope, "chat.completion.chunk")
        return _encode(body | {"choices": [], "usage": encode_usage(usage)})
