"""OpenAI's Responses format, answers: whole, event by event, and put together again.

`input_tokens` includes what was read from a cache, `output_tokens` includes reasoning. Reasons to stop are told in the chat
format's words everywhere but in `raw`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.wire.messages import Message, OpaquePart, Part, ReasoningPart, RefusalPart, TextPart, ToolCall
from assay.wire.openai_chat import UNREADABLE, StreamError
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.usage import Usage

ENDS = frozenset({"response.completed", "response.incomplete"})
"""Events that say that the answer is whole, as far as it goes."""

# --- The wire's own shapes: only what is read; msgspec skips the rest. ---


class _InputDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct, frozen=True):
    reasoning_tokens: int | None = None


class SentUsage(Struct, frozen=True):
    """The `usage` object."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(Struct, frozen=True):
    reason: str | None = None


class _Part(Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Output(Struct, frozen=True):
    type: str
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Response(Struct, frozen=True):
    output: list[Raw] = []
    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Raw | UnsetType = UNSET
    incomplete_details: _Incomplete | None = None
    usage: SentUsage | None = None


class _Event(Struct, frozen=True, gc=False):
    type: str
    delta: str | None = None
    item: _Output | None = None
    response: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_response = msgspec.json.Decoder(_Response)
_event = msgspec.json.Decoder(_Event)
_output = msgspec.json.Decoder(_Output)
_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_SPOKEN = frozenset(
    (
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
    )
)
_WORDLESS = frozenset({"message", "reasoning"})
"""Items that say nothing yet when they begin; any other is a deed."""


def decode_responses_answer(body: bytes) -> Response:
    """A whole answer. Raises one of `UNREADABLE` when it is not one, `StreamError` for one that failed."""
    return _made(_response.decode(body), body)


def decode_responses_event(data: bytes) -> StreamEvent:
    """One event of a stream. Raises one of `UNREADABLE`, and `StreamError` for an error sent in the stream."""
    sent = _event.decode(data)
    if sent.type == "error":
        raise StreamError(_failure(sent.error, data))
    if sent.type == "response.failed" and sent.response is not UNSET:
        raise StreamError(_failure(_response.decode(sent.response).error, data))
    if sent.type in ENDS and sent.response is not UNSET:
        answer = _made(_response.decode(sent.response), bytes(sent.response))
        reason = answer.choices[0].finish_reason or "stop"
        return StreamEvent(raw=data, finish_reason=reason, usage=answer.usage, model=answer.model)
    is_output = sent.type in _SPOKEN and bool(sent.delta)
    if sent.type == "response.output_item.added" and sent.item is not None:
        is_output = sent.item.type not in _WORDLESS
    text = sent.delta or "" if sent.type == "response.output_text.delta" else ""
    model = _response.decode(sent.response).model if sent.response is not UNSET else None
    return StreamEvent(raw=data, is_output=is_output, text=text, model=model)


def assemble_responses(events: Sequence[bytes]) -> Message:
    """The message that a stream's events amount to, whole or as far as they came. What does not parse is passed over."""
    parts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    calls: list[_Output] = []
    for data in events:
        try:
            sent = _event.decode(data)
            if sent.type in ENDS and sent.response is not UNSET:
                return message_of(_response.decode(sent.response).output)
        except UNREADABLE:
            continue
        match sent.type:
            case "response.output_text.delta":
                parts.append(sent.delta or "")
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                thoughts.append(sent.delta or "")
            case "response.refusal.delta":
                refusals.append(sent.delta or "")
            case "response.output_item.added" if sent.item is not None and sent.item.type == "function_call":
                calls.append(sent.item)
            case "response.function_call_arguments.delta" if calls:
                calls[-1] = msgspec.structs.replace(
                    calls[-1], arguments=(calls[-1].arguments or "") + (sent.delta or "")
                )
    made: list[Part] = [ReasoningPart("".join(thoughts))] if thoughts else []
    made += [TextPart("".join(parts))] if parts else []
    made += [RefusalPart("".join(refusals))] if refusals else []
    return Message(role="assistant", parts=tuple(made), tool_calls=tuple([_call(each) for each in calls]))


def message_of(items: Sequence[Raw]) -> Message:
    """The assistant's message that the items of an answer are."""
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for raw in items:
        sent = _output.decode(raw)
        match sent.type:
            case "message":
                parts += [_said(part) for part in sent.content or () if part.text or part.refusal]
            case "reasoning":
                said = "\n".join([part.text or "" for part in sent.content or sent.summary or ()])
                parts.append(ReasoningPart(said, sent.encrypted_content))
            case "function_call":
                calls.append(_call(sent))
            case _:
                parts.append(OpaquePart(sent.type, raw))
    return Message(role="assistant", parts=tuple(parts), tool_calls=tuple(calls))


def usage_of(sent: SentUsage | None) -> Usage | None:
    """The disjoint classes; None when neither side was counted."""
    if sent is None or (sent.input_tokens is None and sent.output_tokens is None):
        return None
    into, out = sent.input_tokens_details, sent.output_tokens_details
    cached = (into.cached_tokens if into else None) or 0
    written = (into.cache_write_tokens if into else None) or 0
    thought = (out.reasoning_tokens if out else None) or 0
    return Usage(
        input=max((sent.input_tokens or 0) - cached - written, 0),
        cache_read=cached,
        cache_write_5m=written,
        output=max((sent.output_tokens or 0) - thought, 0),
        reasoning=thought,
    )


def encode_responses_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` object that says these classes."""
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.total_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total_input + usage.total_output,
    }


def _made(sent: _Response, body: bytes) -> Response:
    if sent.status == "failed":
        raise StreamError(_failure(sent.error, body))
    message = message_of(sent.output)
    return Response(
        raw=body,
        choices=(Choice(message, _finish(sent, message)),),
        model=sent.model,
        id=sent.id,
        usage=usage_of(sent.usage),
    )


def _finish(sent: _Response, message: Message) -> str | None:
    if sent.status == "incomplete":
        reason = sent.incomplete_details.reason if sent.incomplete_details else None
        return "length" if reason == "max_output_tokens" else reason
    return "tool_calls" if message.tool_calls else "stop"


def _said(part: _Part) -> Part:
    return RefusalPart(part.refusal) if part.refusal else TextPart(part.text or "")


def _call(sent: _Output) -> ToolCall:
    return ToolCall(sent.call_id or "", sent.name or "", sent.arguments or "")


def _failure(error: Raw | UnsetType, body: bytes) -> bytes:
    """As the formats of this vendor tell an error of a whole answer."""
    if error is not UNSET and error != _NULL:
        return _encode({"error": error})
    flat = msgspec.json.decode(body, type=dict[str, Any])
    return _encode({"error": {name: flat.get(name) for name in ("message", "type", "param", "code")}})
