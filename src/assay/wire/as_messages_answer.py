"""An answer of OpenAI's chat format, said in Anthropic's: whole, and chunk by chunk.

A chat upstream counts at the end of its stream: `message_start` says 0, and the last `message_delta`, whose counts are totals,
says all. Which stop sequence was met it never says. Reasoning becomes a thinking block without a signature.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from assay.wire.anthropic_answers import encode_usage
from assay.wire.as_chat_answer import thinking_blocks
from assay.wire.messages import Message, RefusalPart, ToolCall
from assay.wire.openai_chat import UNREADABLE
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import Usage

STOP = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
"""Why it stopped, in Anthropic's words."""

_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Raw])


class UnusableCalls(ValueError):
    """The model asked for a tool in a way that Anthropic's format cannot say."""


def as_messages_answer(response: Response) -> Response:
    """The same answer with `raw` in Anthropic's format. Raises `UnusableCalls` for arguments that are no object."""
    choice = response.choices[0]
    body = {
        "id": response.id or "",
        "type": "message",
        "role": "assistant",
        "model": response.model or "",
        "content": _blocks(choice.message),
        "stop_reason": _stop(choice.finish_reason, has_calls=bool(choice.message.tool_calls)),
        "stop_sequence": None,
        "usage": encode_usage(response.usage),
    }
    return replace(response, raw=_encode(body))


def _blocks(message: Message) -> list[Any]:
    made: list[Any] = thinking_blocks(message)
    said = message.text + "".join(part.text for part in message.parts if isinstance(part, RefusalPart))
    if said:
        made.append({"type": "text", "text": said})
    return made + [_call(call) for call in message.tool_calls]


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = Raw(call.arguments.strip().encode() or b"{}")
    try:
        _object.decode(arguments)
    except UNREADABLE as error:
        raise UnusableCalls(
            f"arguments for the tool {call.name!r} that are no JSON object: {error}"
        ) from error
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _stop(finish_reason: str | None, *, has_calls: bool) -> str:
    if has_calls and finish_reason in (None, "stop"):  # a call that was forced ends with "stop"
        return "tool_use"
    return STOP.get(finish_reason or "stop", "end_turn")


# --- Streams ---


class _Function(Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function = _Function()


class _Delta(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct, frozen=True):
    choices: list[_Choice] = []
    id: str | None = None
    model: str | None = None


_chunk = msgspec.json.Decoder(_Chunk)


class MessagesEvents:
    """Turns the chunks of one answer into events. Blocks are told one after the other, as Anthropic does."""

    def __init__(self) -> None:
        self._has_begun = False
        self._index = -1
        self._kind: str | None = None
        self._call: int | None = None
        self._past_calls: set[int] = set()
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        """The events that a chunk amounts to. One that says nothing comes back without `raw`: it is a sign of life all the
        same. Raises `UnusableCalls` for calls that are told in turns, which this format cannot."""
        self._usage = event.usage or self._usage
        made = False
        if event.raw is not None:
            for body in self._bodies(_chunk.decode(event.raw)):
                # Between blocks there is nothing to see yet; what opens a call, or tells of anything, is output.
                spoken = event.is_output and body["type"] != "message_start"
                yield replace(event, raw=_encode(body), is_output=spoken, usage=None, finish_reason=None)
                event = replace(event, text="")
                made = True
        if not made or event.usage is not None or event.finish_reason is not None:
            yield replace(event, raw=None, is_output=False, text="")

    def end(self) -> Iterator[StreamEvent]:
        """The upstream is through: what is still open ends, and the counts are told."""
        if not self._has_begun:
            yield self._told(self._start(_Chunk()))
        if self._kind is not None:
            yield self._told({"type": "content_block_stop", "index": self._index})
        stop = _stop(self._finish_reason, has_calls=self._call is not None)
        delta = {"stop_reason": stop, "stop_sequence": None}
        usage = {name: value for name, value in encode_usage(self._usage).items() if name != "cache_creation"}
        yield self._told({"type": "message_delta", "delta": delta, "usage": usage})
        yield self._told({"type": "message_stop"})

    def _bodies(self, chunk: _Chunk) -> Iterator[dict[str, Any]]:
        if not self._has_begun:
            yield self._start(chunk)
        for choice in chunk.choices[:1]:
            self._finish_reason = choice.finish_reason or self._finish_reason
            delta = choice.delta
            if delta is None:
                continue
            thought = delta.reasoning_content or (
                delta.reasoning if isinstance(delta.reasoning, str) else None
            )
            if thought:
                yield from self._goes_on("thinking", {"type": "thinking_delta", "thinking": thought})
            for text in (delta.content, delta.refusal):
                if text:
                    yield from self._goes_on("text", {"type": "text_delta", "text": text})
            for call in delta.tool_calls or ():
                yield from self._calls(call)

    def _start(self, chunk: _Chunk) -> dict[str, Any]:
        self._has_begun = True
        message: dict[str, Any] = {
            "id": chunk.id or "",
            "type": "message",
            "role": "assistant",
            "model": chunk.model or "",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(None),
        }
        return {"type": "message_start", "message": message}

    def _goes_on(self, kind: str, delta: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._kind != kind:
            opening = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            yield from self._opens(kind, opening)
        yield {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _calls(self, call: _CallDelta) -> Iterator[dict[str, Any]]:
        if call.index in self._past_calls:
            raise UnusableCalls("the arguments of several tool calls in turns")
        if self._kind != "tool_use" or self._call != call.index:
            name, id = call.function.name or "", call.id or ""
            yield from self._opens("tool_use", {"type": "tool_use", "id": id, "name": name, "input": {}})
            self._call = call.index
        if call.function.arguments:
            piece = {"type": "input_json_delta", "partial_json": call.function.arguments}
            yield {"type": "content_block_delta", "index": self._index, "delta": piece}

    def _opens(self, kind: str, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if self._kind is not None:
            yield {"type": "content_block_stop", "index": self._index}
        if self._kind == "tool_use" and self._call is not None:
            self._past_calls.add(self._call)
        self._index, self._kind = self._index + 1, kind
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _told(self, body: dict[str, Any]) -> StreamEvent:
        return StreamEvent(raw=_encode(body))
