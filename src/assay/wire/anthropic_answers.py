"""Anthropic's Messages format, answers: whole and streamed, with their counts and errors.

`input_tokens` excludes what was read from and written to the cache, `output_tokens` includes thinking; `usage_of` makes the
disjoint classes of it. Reasons to stop are told in OpenAI's words everywhere but in `raw`.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.wire.anthropic import decode_block
from assay.wire.messages import Message, Part, ToolCall
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.usage import Usage, UsageSource

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Why it stopped, in OpenAI's words. A word that is not here stays as it is."""

# --- The wire's own shapes: only what is read; msgspec skips the rest. ---


class _CacheCreation(Struct, frozen=True):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(Struct, frozen=True):
    thinking_tokens: int | None = None


class SentUsage(Struct, frozen=True):
    """The `usage` object. In a stream its counts are totals so far, and the later ones leave out what did not change."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Answer(Struct, frozen=True):
    content: list[Raw]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: SentUsage | None = None


class _Started(Struct, frozen=True):
    model: str | None = None
    usage: SentUsage | None = None


class _Block(Struct, frozen=True, gc=False):
    type: str
    text: str | None = None


class _Delta(Struct, frozen=True, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(Struct, frozen=True):
    type: str
    message: _Started | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: SentUsage | None = None
    error: Raw | UnsetType = UNSET


_answer = msgspec.json.Decoder(_Answer)
_event = msgspec.json.Decoder(_Event)


def decode_answer(body: bytes) -> Response:
    """A whole answer. Raises one of `UNREADABLE`, or `BadRequest` for a block that is not what its type says."""
    sent = _answer.decode(body)
    return Response(
        raw=body,
        choices=(Choice(message_of(sent.content), finish_of(sent.stop_reason)),),
        model=sent.model,
        id=sent.id,
        usage=usage_of(sent.usage),
    )


def message_of(blocks: list[Raw]) -> Message:
    """The assistant's message that these blocks are."""
    made = [decode_block(raw, f"content[{at}]") for at, raw in enumerate(blocks)]
    parts: list[Part] = [block for block in made if not isinstance(block, ToolCall | Message)]
    calls = [block for block in made if isinstance(block, ToolCall)]
    return Message(role="assistant", parts=tuple(parts), tool_calls=tuple(calls))


def finish_of(stop_reason: str | None) -> str | None:
    """In OpenAI's words."""
    return None if stop_reason is None else FINISH.get(stop_reason, stop_reason)


def usage_of(sent: SentUsage | None, *, is_final: bool = True) -> Usage | None:
    """The disjoint classes; None when nothing was counted. Before the end of a stream the output is not counted yet: it is
    left at 0 and said to be an estimate."""
    if sent is None or (sent.input_tokens is None and sent.output_tokens is None):
        return None
    split = sent.cache_creation or _CacheCreation()
    an_hour = split.ephemeral_1h_input_tokens or 0
    minutes = split.ephemeral_5m_input_tokens or 0
    written = sent.cache_creation_input_tokens
    details = sent.output_tokens_details
    out, thought = sent.output_tokens or 0, (details.thinking_tokens if details else None) or 0
    return Usage(
        input=sent.input_tokens or 0,
        cache_read=sent.cache_read_input_tokens or 0,
        cache_write_5m=minutes if written is None else max(written - an_hour, 0),
        cache_write_1h=an_hour if written is None else min(an_hour, written),
        output=max(out - thought, 0) if is_final else 0,
        reasoning=min(thought, out) if is_final else 0,
        output_source=UsageSource.PROVIDER if is_final else UsageSource.ESTIMATE,
    )


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The `usage` object that says these classes. What was not counted is 0: the format has no word for unknown."""
    counted = usage or Usage()
    said: dict[str, Any] = {
        "input_tokens": counted.input + counted.audio_input + counted.image_input,
        "cache_creation_input_tokens": counted.cache_write_5m + counted.cache_write_1h,
        "cache_read_input_tokens": counted.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counted.cache_write_5m,
            "ephemeral_1h_input_tokens": counted.cache_write_1h,
        },
        "output_tokens": counted.total_output,
    }
    if counted.reasoning:
        said["output_tokens_details"] = {"thinking_tokens": counted.reasoning}
    return said


class AnswerEvents:
    """Reads the events of one streamed answer. `is_complete` once the vendor has said so (`message_stop`)."""

    __slots__ = ("_usage", "is_complete")

    def __init__(self) -> None:
        self.is_complete = False
        self._usage: SentUsage | None = None

    def decode(self, data: bytes) -> StreamEvent:
        """One event. Raises one of `UNREADABLE`, and `StreamError` for an error inside the stream."""
        sent = _event.decode(data)
        match sent.type:
            case "content_block_delta" if sent.delta is not None:
                text = sent.delta.text or ""
                spoken = bool(text or sent.delta.thinking or sent.delta.partial_json)
                return StreamEvent(raw=data, is_output=spoken, text=text)
            case "content_block_start" if sent.content_block is not None:
                block = sent.content_block
                spoken = bool(block.text) or block.type not in ("text", "thinking")
                return StreamEvent(raw=data, is_output=spoken, text=block.text or "")
            case "message_start" if sent.message is not None:
                self._usage = sent.message.usage
                usage = usage_of(self._usage, is_final=False)
                return StreamEvent(raw=data, usage=usage, model=sent.message.model)
            case "message_delta":
                reason = sent.delta.stop_reason if sent.delta else None
                return StreamEvent(raw=data, finish_reason=finish_of(reason), usage=self._final(sent.usage))
            case "error":
                raise StreamError(data)
            case "message_stop":
                self.is_complete = True
        return StreamEvent(raw=data)

    def _final(self, sent: SentUsage | None) -> Usage | None:
        """Totals: what the last count leaves out is as the first one said."""
        if sent is None:
            return None
        first = self._usage or SentUsage()
        names = SentUsage.__struct_fields__
        return usage_of(SentUsage(**{name: _later(sent, first, name) for name in names}))


class StreamError(Exception):
    """The upstream sent an error inside a stream that had begun with 200; `body` is the event's JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body[:500].decode("utf-8", "replace"))
        self.body = body


def _later(sent: SentUsage, first: SentUsage, name: str) -> Any:
    value = getattr(sent, name)
    return getattr(first, name) if value is None else value


# --- Errors ---

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What each type of error is as a status, for those that come inside a stream."""

_TYPE_OF = {status: kind for kind, status in STATUS_OF.items()} | {503: "overloaded_error"}


class Failure(Struct, frozen=True):
    """What an error object says."""

    type: str
    message: str


class _Failed(Struct, frozen=True):
    error: Failure
    type: str | None = None


_failed = msgspec.json.Decoder(_Failed)


def decode_error(body: bytes) -> Failure | None:
    """The error object of this format, `{"type": "error", "error": {…}}`; None when the text is none."""
    try:
        sent = _failed.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return sent.error if sent.type == "error" else None


def error_type(status: int) -> str:
    """This format's word for a status."""
    return _TYPE_OF.get(status, "invalid_request_error" if status < 500 else "api_error")
