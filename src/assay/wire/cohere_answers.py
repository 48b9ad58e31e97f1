"""Answers of Cohere's chat (v2), said in OpenAI's format: whole, and event by event.

Thinking becomes `reasoning_content`, the plan before calls of tools becomes the content of the message that calls them. Citations have no
place in OpenAI's format and stand beside the content as Cohere has them, under `citations`.

Cohere counts twice: `tokens` is what the model read and wrote, `billed_units` what is paid for, which leaves out what Cohere
itself puts before a prompt. The first is an answer's usage, the second what it costs.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.wire.openai_chat import decode_message
from assay.wire.openai_usage import encode_usage
from assay.wire.requests import Fields
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.usage import Usage

FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length",
}
"""Why it stopped, in OpenAI's words."""
FAILED = frozenset(("ERROR", "TIMEOUT"))

_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")


class CohereFailed(Exception):
    """The model stopped because something went wrong at Cohere."""


class Counts(Struct, frozen=True):
    """Numbers of one sort; Cohere sends them as floats."""

    input_tokens: float | None = None
    output_tokens: float | None = None
    search_units: float | None = None


class SentUsage(Struct, frozen=True):
    """What stands under `usage` in an answer of chat and under `meta` in others."""

    billed_units: Counts | None = None
    tokens: Counts | None = None
    cached_tokens: float | None = None


def usage_of(sent: SentUsage | None) -> Usage | None:
    """What the model read and wrote; of an answer that only says what is billed, that."""
    counts = None if sent is None else _counted(sent.tokens) or _counted(sent.billed_units)
    if sent is None or counts is None:
        return None
    read, written = int(counts.input_tokens or 0), int(counts.output_tokens or 0)
    cached = min(int(sent.cached_tokens or 0), read)
    return Usage(input=read - cached, cache_read=cached, output=written)


def billed_of(sent: SentUsage | None) -> Usage | None:
    """What is paid for, where it is said."""
    counts = None if sent is None else _counted(sent.billed_units)
    if counts is None:
        return None
    return Usage(input=int(counts.input_tokens or 0), output=int(counts.output_tokens or 0))


def _counted(counts: Counts | None) -> Counts | None:
    known = counts is not None and (counts.input_tokens is not None or counts.output_tokens is not None)
    return counts if known else None


# --- Whole answers ---


class _Content(Struct, frozen=True):
    type: str = "text"
    text: str | None = None
    thinking: str | None = None


class _Function(Struct, frozen=True):
    name: str = ""
    arguments: str | None = None


class _Call(Struct, frozen=True):
    id: str = ""
    function: _Function = _Function()


class _Message(Struct, frozen=True):
    content: list[_Content] | str | None = None
    tool_calls: list[_Call] | None = None
    tool_plan: str | None = None
    citations: Raw | UnsetType = UNSET


class _Answer(Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None
    id: str = ""
    usage: SentUsage | None = None


_answer = msgspec.json.Decoder(_Answer)


def decode_cohere(body: bytes, *, model: str, created: int) -> Response:
    """A whole answer. Raises one of `UNREADABLE` when it is not one, and `CohereFailed`. Cohere does not say which model it was:
    `model` is what it was asked for."""
    sent = _answer.decode(body)
    if sent.finish_reason in FAILED:
        raise CohereFailed(f"it stopped with {sent.finish_reason}")
    message = Raw(_encode(_spoken(sent.message)))
    finish_reason = FINISH.get(sent.finish_reason or "", "stop")
    usage = usage_of(sent.usage)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    made = _around(sent.id, "chat.completion", created, model) | {"choices": [choice]}
    return Response(
        raw=_encode(made if usage is None else made | {"usage": encode_usage(usage)}),
        choices=(Choice(decode_message(message), finish_reason),),
        id=sent.id,
        usage=usage,
        billed=billed_of(sent.usage),
    )


def _spoken(message: _Message) -> dict[str, Any]:
    content = message.content
    blocks = [_Content(text=content)] if isinstance(content, str) else content or []
    text = (message.tool_plan or "") + "".join(block.text or "" for block in blocks)
    thoughts = "".join(block.thinking or "" for block in blocks)
    made: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if not text and not message.tool_calls:
        made["content"] = ""
    if thoughts:
        made["reasoning_content"] = thoughts
    if message.citations is not UNSET and message.citations not in (_NULL, Raw(b"[]")):
        made["citations"] = message.citations
    if message.tool_calls:
        made["tool_calls"] = [_call(call, call.function.arguments or "{}") for call in message.tool_calls]
    return made


def _call(call: _Call, arguments: str) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _around(id: str, kind: str, created: int, model: str) -> dict[str, Any]:
    return {"id": id, "object": kind, "created": created, "model": model}


# --- Streams ---


class _Said(Struct, frozen=True, gc=False):
    content: _Content | list[Raw] | None = None
    tool_plan: str | None = None
    tool_calls: _Call | list[Raw] | None = None
    citations: Raw | UnsetType = UNSET


class _Delta(Struct, frozen=True, gc=False):
    message: _Said = _Said()
    finish_reason: str | None = None
    error: str | None = None
    usage: SentUsage | None = None


class _Event(Struct, frozen=True, gc=False):
    type: str
    index: int = 0
    id: str | None = None
    delta: _Delta = _Delta()


_event = msgspec.json.Decoder(_Event)
_fields = msgspec.json.Decoder(Fields)


class CohereEvents:
    """Turns the events of one answer into chunks. `is_complete` once Cohere said that it is."""

    def __init__(self, *, model: str, created: int, include_usage: bool) -> None:
        self.is_complete = False
        self._id = ""
        self._model = model
        self._created = created
        self._include_usage = include_usage
        self._calls: dict[int, int] = {}
        self._citations = 0
        self._with_arguments: set[int] = set()

    def of(self, data: bytes) -> Iterator[StreamEvent]:
        """The chunks that an event amounts to. One that says nothing in this format comes without `raw`: it is a sign of life
        all the same. Raises one of `UNREADABLE`, and `CohereFailed`."""
        sent = _event.decode(data)
        match sent.type:
            case "message-start":
                self._id = sent.id or ""
                yield StreamEvent(raw=self._chunk({"role": "assistant", "content": ""}))
            case "message-end":
                yield from self._end(sent.delta)
            case _:
                yield self._told(sent)

    def _told(self, sent: _Event) -> StreamEvent:
        said = sent.delta.message
        match sent.type:
            case "content-start" | "content-delta" if isinstance(said.content, _Content):
                return self._words(said.content)
            case "tool-plan-delta" if said.tool_plan:
                return self._words(_Content(text=said.tool_plan))
            case "tool-call-start" if isinstance(said.tool_calls, _Call):
                return self._begins(sent.index, said.tool_calls)
            case "tool-call-delta" if isinstance(said.tool_calls, _Call) and sent.index in self._calls:
                return self._goes_on(sent.index, said.tool_calls.function.arguments or "")
            case "tool-call-end" if sent.index in self._calls and sent.index not in self._with_arguments:
                return self._goes_on(sent.index, "{}")
            case "citation-start" if said.citations is not UNSET:
                return StreamEvent(raw=self._chunk({"citations": [self._cited(said.citations)]}))
            case _:
                return StreamEvent(raw=None)

    def _cited(self, citation: Raw) -> dict[str, Any]:
        """With its place in the list: the official clients put lists of objects together by `index`."""
        self._citations += 1
        return {"index": self._citations - 1, **_fields.decode(citation)}

    def _words(self, content: _Content) -> StreamEvent:
        if content.text:
            return StreamEvent(raw=self._chunk({"content": content.text}), is_output=True, text=content.text)
        if content.thinking:
            return StreamEvent(raw=self._chunk({"reasoning_content": content.thinking}), is_output=True)
        return StreamEvent(raw=None)

    def _begins(self, index: int, call: _Call) -> StreamEvent:
        arguments = call.function.arguments or ""
        self._calls[index] = len(self._calls)
        if arguments:
            self._with_arguments.add(index)
        told = {"index": self._calls[index], **_call(call, arguments)}
        return StreamEvent(raw=self._chunk({"tool_calls": [told]}), is_output=True)

    def _goes_on(self, index: int, arguments: str) -> StreamEvent:
        if not arguments:
            return StreamEvent(raw=None)
        self._with_arguments.add(index)
        piece = {"index": self._calls[index], "function": {"arguments": arguments}}
        return StreamEvent(raw=self._chunk({"tool_calls": [piece]}), is_output=True)

    def _end(self, delta: _Delta) -> Iterator[StreamEvent]:
        if delta.finish_reason in FAILED or delta.error:
            raise CohereFailed(delta.error or f"it stopped with {delta.finish_reason}")
        self.is_complete = True
        finish_reason, usage = FINISH.get(delta.finish_reason or "", "stop"), usage_of(delta.usage)
        yield StreamEvent(
            raw=self._chunk({}, finish_reason=finish_reason),
            finish_reason=finish_reason,
            usage=usage,
            billed=billed_of(delta.usage),
        )
        if self._include_usage and usage is not None:
            body = _around(self._id, "chat.completion.chunk", self._created, self._model)
            yield StreamEvent(raw=_encode(body | {"choices": [], "usage": encode_usage(usage)}))

    def _chunk(self, delta: dict[str, Any], *, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        body = _around(self._id, "chat.completion.chunk", self._created, self._model)
        body["choices"] = [choice]
        return _encode(body | {"usage": None} if self._include_usage else body)
