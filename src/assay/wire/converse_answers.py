"""Answers of Bedrock's Converse, whole and streamed, said in OpenAI's chat format.

`inputTokens` leaves out what was read from and written to a cache; `outputTokens` includes the thinking, which is not counted by
itself. Neither an id nor the model is in an answer: both are given from outside.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.wire.chat_chunks import ChatChunks, arguments_delta, call_delta
from assay.wire.messages import Message, OpaquePart, Part, ReasoningPart, TextPart, ToolCall
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.usage import Usage

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""Why it stopped, in OpenAI's words. A word that is not here stays as it is."""

FAILED = frozenset(("malformed_model_output", "malformed_tool_use"))
"""Ends that without any words before them are no answer."""

STATUS_OF = {
    "accessDeniedException": 403,
    "validationException": 400,
    "resourceNotFoundException": 404,
    "throttlingException": 429,
    "modelNotReadyException": 429,
    "modelTimeoutException": 408,
    "internalServerException": 500,
    "modelErrorException": 502,
    "modelStreamErrorException": 502,
    "serviceUnavailableException": 503,
}
"""What each kind of exception is as a status. A model that fails is told as 424, which nobody would try again: it is the
upstream that failed."""

# --- The wire's own shapes: only what is read; msgspec skips the rest. ---


class _CacheDetail(Struct, frozen=True, rename="camel"):
    ttl: str | None = None
    input_tokens: int = 0


class SentUsage(Struct, frozen=True, rename="camel"):
    """The `usage` object."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_CacheDetail] | None = None


class _ToolUse(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: Raw | UnsetType = UNSET


class _ReasoningText(Struct, frozen=True):
    text: str = ""
    signature: str | None = None


class _Reasoning(Struct, frozen=True, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Cited(Struct, frozen=True):
    text: str = ""


class _Citations(Struct, frozen=True):
    content: list[_Cited] = []
    citations: Raw | UnsetType = UNSET


class _Block(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(Struct, frozen=True):
    content: list[Raw] = []


class _Output(Struct, frozen=True):
    message: _Message


class _Router(Struct, frozen=True, rename="camel"):
    invoked_model_id: str | None = None


class _Trace(Struct, frozen=True, rename="camel"):
    prompt_router: _Router | None = None

    @property
    def model(self) -> str | None:
        return self.prompt_router.invoked_model_id if self.prompt_router else None


class _Answer(Struct, frozen=True, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: SentUsage | None = None
    trace: _Trace | None = None


_answer = msgspec.json.Decoder(_Answer)
_block = msgspec.json.Decoder(_Block)
_kinds = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class NoAnswer(ValueError):
    """The model's answer is none: it ended in a mistake of its own."""


# --- Whole answers ---


def decode_converse(body: bytes, *, id: str, model: str) -> Response:
    """A whole answer, without `raw`. Raises one of `UNREADABLE`, and `NoAnswer`."""
    sent = _answer.decode(body)
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for raw in sent.output.message.content:
        made = _read(raw)
        if isinstance(made, ToolCall):
            calls.append(made)
        elif made is not None:
            parts.append(made)
    if sent.stop_reason in FAILED and not parts and not calls:
        raise NoAnswer(sent.stop_reason)
    message = Message(role="assistant", parts=tuple(parts), tool_calls=tuple(calls))
    return Response(
        raw=b"",
        choices=(Choice(message, finish_of(sent.stop_reason) or "stop"),),
        model=(sent.trace.model if sent.trace else None) or model,
        id=id,
        usage=usage_of(sent.usage),
    )


def finish_of(stop_reason: str | None) -> str | None:
    """In OpenAI's words."""
    return None if stop_reason is None else FINISH.get(stop_reason, stop_reason)


def usage_of(sent: SentUsage | None) -> Usage | None:
    """The disjoint classes; None when nothing was counted."""
    if sent is None or (sent.input_tokens is None and sent.output_tokens is None):
        return None
    written = sent.cache_write_input_tokens or 0
    an_hour = sum(each.input_tokens for each in sent.cache_details or () if each.ttl == "1h")
    return Usage(
        input=sent.input_tokens or 0,
        cache_read=sent.cache_read_input_tokens or 0,
        cache_write_5m=max(written - an_hour, 0),
        cache_write_1h=min(an_hour, written),
        output=sent.output_tokens or 0,
    )


def _read(raw: Raw) -> Part | ToolCall | None:
    sent = _block.decode(raw)
    if sent.text is not None:
        return TextPart(sent.text) if sent.text else None
    if sent.tool_use is not None:
        return ToolCall(sent.tool_use.tool_use_id, sent.tool_use.name, _compact(sent.tool_use.input))
    if sent.citations_content is not None:
        cited = sent.citations_content
        beside = None if cited.citations is UNSET else {"citations": cited.citations}
        return TextPart("".join(each.text for each in cited.content), beside)
    if sent.reasoning_content is not None:
        return _thought(sent.reasoning_content)
    kinds = list(_kinds.decode(raw))
    return OpaquePart(kinds[0], raw) if kinds else None


def _thought(sent: _Reasoning) -> Part | None:
    if sent.redacted_content is not None:
        return OpaquePart("redacted_thinking", _redacted(sent.redacted_content))
    thought = sent.reasoning_text
    return None if thought is None else ReasoningPart(thought.text, thought.signature)


def _redacted(data: str) -> Raw:
    return Raw(_encode({"type": "redacted_thinking", "data": data}))


def _compact(arguments: Raw | UnsetType) -> str:
    return "{}" if arguments is UNSET else msgspec.json.format(bytes(arguments), indent=-1).decode()


# --- Streams ---


class _Start(Struct, frozen=True, rename="camel"):
    tool_use: _ToolUse | None = None


class _InputDelta(Struct, frozen=True):
    input: str = ""


class _ReasoningDelta(Struct, frozen=True, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _InputDelta | None = None
    reasoning_content: _ReasoningDelta | None = None


class StreamedEvent(Struct, frozen=True, rename="camel"):
    """What is read of an event of any kind."""

    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str | None = None
    usage: SentUsage | None = None
    trace: _Trace | None = None


read_event = msgspec.json.Decoder(StreamedEvent).decode


class _Open:
    """A block that is being told: a call with its place among the calls, or thinking that is signed at its end."""

    def __init__(self, call: int | None = None) -> None:
        self.call = call
        self.has_arguments = False
        self.thinking: list[str] = []
        self.signature = ""


class ConverseChunks:
    """Turns the events of one answer into chunks. `is_complete` once the vendor has said why it stopped."""

    def __init__(self, *, id: str, model: str, created: int, include_usage: bool) -> None:
        self.is_complete = False
        self._chunks = ChatChunks(created=created, include_usage=include_usage)
        self._chunks.id, self._chunks.model = id, model
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._has_spoken = False
        self._usage: Usage | None = None

    def of(self, kind: str, payload: bytes) -> Iterator[StreamEvent]:
        """What an event of a kind amounts to. One that says nothing comes back without `raw`: it is a sign of life all the
        same. Raises one of `UNREADABLE`, and `NoAnswer`."""
        sent = read_event(payload)
        made = False
        for delta, text in self._deltas(kind, sent):
            made = True
            yield self._told(delta, text=text)
        if kind == "messageStop":
            if sent.stop_reason in FAILED and not self._has_spoken:
                raise NoAnswer(sent.stop_reason)
            self.is_complete = True
            yield self._told({}, finish_reason=finish_of(sent.stop_reason) or "stop")
        elif kind == "metadata":
            self._usage = usage_of(sent.usage)
            yield StreamEvent(raw=None)
        elif not made:
            yield StreamEvent(raw=None)

    def end(self) -> Iterator[StreamEvent]:
        """The upstream is through: the counts are told."""
        if self._usage is not None:
            yield StreamEvent(raw=self._chunks.last(self._usage), usage=self._usage, model=self._chunks.model)

    def _deltas(self, kind: str, sent: StreamedEvent) -> Iterator[tuple[dict[str, Any], str]]:
        block = self._open.get(sent.content_block_index)
        match kind:
            case "messageStart":
                yield {"role": "assistant", "content": ""}, ""
            case "contentBlockStart" if sent.start is not None and sent.start.tool_use is not None:
                use = sent.start.tool_use
                self._open[sent.content_block_index] = _Open(self._calls)
                yield call_delta(self._calls, use.tool_use_id, use.name), ""
                self._calls += 1
            case "contentBlockDelta" if sent.delta is not None:
                block = block or self._open.setdefault(sent.content_block_index, _Open())
                yield from self._goes_on(block, sent.delta)
            case "contentBlockStop" if block is not None:
                del self._open[sent.content_block_index]
                yield from self._ends(block)

    def _goes_on(self, block: _Open, delta: _Delta) -> Iterator[tuple[dict[str, Any], str]]:
        if delta.text:
            yield {"content": delta.text}, delta.text
        if delta.tool_use is not None and delta.tool_use.input and block.call is not None:
            block.has_arguments = True
            yield arguments_delta(block.call, delta.tool_use.input), ""
        if delta.reasoning_content is None:
            return
        thought = delta.reasoning_content
        if thought.text:
            block.thinking.append(thought.text)
            yield {"reasoning_content": thought.text}, ""
        if thought.signature:
            block.signature += thought.signature
        if thought.redacted_content is not None:
            yield {"thinking_blocks": [_redacted(thought.redacted_content)]}, ""

    def _ends(self, block: _Open) -> Iterator[tuple[dict[str, Any], str]]:
        if block.call is not None and not block.has_arguments:
            yield arguments_delta(block.call, "{}"), ""
        elif block.thinking or block.signature:
            whole = {"type": "thinking", "thinking": "".join(block.thinking), "signature": block.signature}
            yield {"thinking_blocks": [whole]}, ""

    def _told(
        self, delta: dict[str, Any], *, text: str = "", finish_reason: str | None = None
    ) -> StreamEvent:
        is_output = bool(delta) and "role" not in delta
        self._has_spoken = self._has_spoken or is_output
        return StreamEvent(
            raw=self._chunks.delta(delta, finish_reason=finish_reason),
            is_output=is_output,
            text=text,
            finish_reason=finish_reason,
            model=self._chunks.model,
        )
