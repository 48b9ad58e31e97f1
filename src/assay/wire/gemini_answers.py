"""Answers of Gemini's format, whole and streamed, said in OpenAI's chat format.

`promptTokenCount` includes what was read from a cache; `candidatesTokenCount` leaves out the thinking, though some servers
count it in, which only the total shows. Calls of tools without an id get one that stays.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.kit import ids
from assay.wire.chat_chunks import ChatChunks, call_delta
from assay.wire.gemini_turns import extra_content
from assay.wire.messages import ImagePart, Message, OpaquePart, Part, ReasoningPart, TextPart, ToolCall
from assay.wire.openai_usage import encode_usage
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.usage import Usage, UsageSource

FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT"), "content_filter"
    ),
    **dict.fromkeys(("SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT"), "content_filter"),
    **dict.fromkeys(("IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION"), "content_filter"),
}
"""Why it stopped, in OpenAI's words. A word that is not here stays as it is, in small letters."""

FAILED = frozenset(
    (
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
        *("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
    )
)
"""Ends that without any words before them are no answer."""

# --- The wire's own shapes: only what is read; msgspec skips the rest. ---


class _Modality(Struct, frozen=True, rename="camel"):
    modality: str | None = None
    token_count: int | None = None


class SentUsage(Struct, frozen=True, rename="camel"):
    """The `usageMetadata` object. In a stream its counts are totals so far."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[_Modality] | None = None
    cache_tokens_details: list[_Modality] | None = None
    candidates_tokens_details: list[_Modality] | None = None


class _FunctionCall(Struct, frozen=True):
    name: str = ""
    id: str | None = None
    args: Raw | UnsetType = UNSET


class _Blob(Struct, frozen=True, rename="camel"):
    mime_type: str
    data: str


class _Part(Struct, frozen=True, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None
    inline_data: _Blob | None = None


class _Content(Struct, frozen=True):
    parts: list[Raw] | None = None


class _Token(Struct, frozen=True, rename="camel"):
    token: str = ""
    log_probability: float | None = None


class _Top(Struct, frozen=True):
    candidates: list[_Token] = []


class _Logprobs(Struct, frozen=True, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Top] = []


class _Candidate(Struct, frozen=True, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    logprobs_result: _Logprobs | None = None


class _Feedback(Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class _Answer(Struct, frozen=True, rename="camel"):
    candidates: list[_Candidate] = []
    prompt_feedback: _Feedback | None = None
    usage_metadata: SentUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Raw | UnsetType = UNSET


_answer = msgspec.json.Decoder(_Answer)
_part = msgspec.json.Decoder(_Part)
_kinds = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode

Keep = Callable[[str, str], None]
"""Told the id of each call that is signed, and its signature."""


class NoAnswer(ValueError):
    """The model's answer is none: it has nothing in it, or ended in a mistake of its own."""


# --- Whole answers ---


def decode_gemini(body: bytes, *, created: int, keep: Keep) -> Response:
    """A whole answer, `raw` in OpenAI's format. Raises one of `UNREADABLE`, and `NoAnswer`."""
    sent = _answer.decode(body)
    choices, said = [], []
    for at, candidate in enumerate(sent.candidates):
        message = _message(candidate, keep)
        finish = _finish(candidate, has_calls=bool(message.tool_calls), is_empty=not _speaks(message))
        choices.append(Choice(message, finish or "stop"))
        said.append(
            {
                "index": at if candidate.index is None else candidate.index,
                "message": _spoken(message),
                "logprobs": _logprobs(candidate.logprobs_result),
                "finish_reason": finish or "stop",
            }
        )
    if not choices:
        _check_blocked(sent)
        nothing = Message(role="assistant")
        choices = [Choice(nothing, "content_filter")]
        said = [
            {"index": 0, "message": _spoken(nothing), "logprobs": None, "finish_reason": "content_filter"}
        ]
    usage = usage_of(sent.usage_metadata)
    id, model = sent.response_id or "", sent.model_version or ""
    made = {"id": id, "object": "chat.completion", "created": created, "model": model, "choices": said}
    if usage is not None:
        made["usage"] = encode_usage(usage)
    return Response(
        raw=_encode(made),
        choices=tuple(choices),
        model=sent.model_version,
        id=sent.response_id,
        usage=usage,
    )


def _message(candidate: _Candidate, keep: Keep) -> Message:
    parts: list[Part] = []
    calls: list[ToolCall] = []
    signature: str | None = None
    for raw in (candidate.content.parts if candidate.content else None) or ():
        read = _read(raw, keep)
        if isinstance(read.said, ToolCall):
            calls.append(read.said)
            continue
        if read.said is not None:
            parts.append(read.said)
        signature = read.signature or signature
    beside = None if signature is None else _raw_beside(signature)
    return Message(role="assistant", parts=tuple(parts), tool_calls=tuple(calls), beside=beside)


class _Read(Struct, frozen=True):
    said: Part | ToolCall | None
    signature: str | None


def _read(raw: Raw, keep: Keep) -> _Read:
    sent = _part.decode(raw)
    signature = sent.thought_signature
    if sent.function_call is not None:
        return _Read(_call(sent.function_call, signature, keep), None)
    if sent.inline_data is not None:
        image = sent.inline_data
        return _Read(ImagePart(f"data:{image.mime_type};base64,{image.data}"), signature)
    if sent.text is not None:
        said = ReasoningPart(sent.text) if sent.thought else TextPart(sent.text)
        return _Read(said if sent.text else None, signature)
    kinds = [name for name in _kinds.decode(raw) if name not in ("thought", "thoughtSignature")]
    return _Read(OpaquePart(kinds[0], raw) if kinds else None, signature)


def _call(sent: _FunctionCall, signature: str | None, keep: Keep) -> ToolCall:
    arguments = "{}" if sent.args is UNSET else msgspec.json.format(bytes(sent.args), indent=-1).decode()
    id = sent.id or f"call_{ids.uuid7_hex()}"
    if signature is None:
        return ToolCall(id, sent.name, arguments)
    keep(id, signature)
    return ToolCall(id, sent.name, arguments, _raw_beside(signature))


def _raw_beside(signature: str) -> dict[str, Raw]:
    return {name: Raw(_encode(value)) for name, value in extra_content(signature).items()}


def _speaks(message: Message) -> bool:
    return bool(message.tool_calls) or any(not isinstance(part, ReasoningPart) for part in message.parts)


def _finish(candidate: _Candidate, *, has_calls: bool, is_empty: bool) -> str | None:
    reason = candidate.finish_reason
    if reason is None:
        return None
    if reason in FAILED and is_empty:
        raise NoAnswer(f"{reason}: {candidate.finish_message or 'no message'}")
    if has_calls and reason == "STOP":
        return "tool_calls"
    return FINISH.get(reason, reason.lower())


def _check_blocked(sent: _Answer) -> None:
    if sent.prompt_feedback is None or sent.prompt_feedback.block_reason is None:
        raise NoAnswer("no candidates")


def _spoken(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": message.text or None, "refusal": None}
    if thoughts := "".join(part.text for part in message.parts if isinstance(part, ReasoningPart)):
        made["reasoning_content"] = thoughts
    if images := [part for part in message.parts if isinstance(part, ImagePart)]:
        made["images"] = [_image(part.url) for part in images]
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **(call.beside or {}),
            }
            for call in message.tool_calls
        ]
    return {**made, **(message.beside or {})}


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _logprobs(sent: _Logprobs | None) -> dict[str, Any] | None:
    if sent is None:
        return None
    tops = [top.candidates for top in sent.top_candidates] + [[]] * len(sent.chosen_candidates)
    content = [
        {**_option(chosen), "top_logprobs": [_option(other) for other in others]}
        for chosen, others in zip(sent.chosen_candidates, tops, strict=False)
    ]
    return {"content": content, "refusal": None}


def _option(token: _Token) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


# --- Counts ---


def usage_of(sent: SentUsage | None, *, is_final: bool = True) -> Usage | None:
    """The disjoint classes; None when nothing was counted. Before the end of a stream what comes out is not counted yet: it is
    left at 0 and said to be an estimate. Pictures that go in cost what text costs and stay with it."""
    if sent is None or (sent.prompt_token_count is None and sent.candidates_token_count is None):
        return None
    into = (sent.prompt_token_count or 0) + (sent.tool_use_prompt_token_count or 0)
    cached = sent.cached_content_token_count or 0
    heard = _of(sent.prompt_tokens_details, "AUDIO") - _of(sent.cache_tokens_details, "AUDIO")
    out, thought = sent.candidates_token_count or 0, sent.thoughts_token_count or 0
    if thought and sent.total_token_count == into + out:
        out = max(out - thought, 0)
    spoken, drawn = _of(sent.candidates_tokens_details, "AUDIO"), _of(sent.candidates_tokens_details, "IMAGE")
    return Usage(
        input=max(into - cached - max(heard, 0), 0),
        cache_read=cached,
        audio_input=max(heard, 0),
        output=max(out - spoken - drawn, 0) if is_final else 0,
        reasoning=thought if is_final else 0,
        audio_output=spoken if is_final else 0,
        image_output=drawn if is_final else 0,
        output_source=UsageSource.PROVIDER if is_final else UsageSource.ESTIMATE,
    )


def _of(details: list[_Modality] | None, modality: str) -> int:
    return sum(each.token_count or 0 for each in details or () if each.modality == modality)


# --- Streams ---


class StreamError(Exception):
    """The upstream sent an error inside a stream that had begun with 200; `body` is the event's JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body[:500].decode("utf-8", "replace"))
        self.body = body


class GeminiChunks:
    """Reads the events of one streamed answer and says them as chunks.

    The format has no event for the end: an answer is complete when each candidate that began has said why it ended.
    """

    def __init__(self, *, created: int, include_usage: bool, keep: Keep) -> None:
        self._chunks = ChatChunks(created=created, include_usage=include_usage)
        self._keep = keep
        self._begun: dict[int, _Telling] = {}
        self._usage: SentUsage | None = None
        self._was_blocked = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing more has to come."""
        told = self._begun.values()
        return self._was_blocked or (bool(told) and all(each.has_ended for each in told))

    def of(self, data: bytes) -> Iterator[StreamEvent]:
        """What an event amounts to. Raises one of `UNREADABLE`, `StreamError` and `NoAnswer`."""
        sent = _answer.decode(data)
        if sent.error is not UNSET:
            raise StreamError(data)
        self._chunks.id = sent.response_id or self._chunks.id
        self._chunks.model = sent.model_version or self._chunks.model
        is_first_count = self._usage is None and sent.usage_metadata is not None
        self._usage = sent.usage_metadata or self._usage
        made = False
        for at, candidate in enumerate(sent.candidates):
            for event in self._candidate(candidate, at if candidate.index is None else candidate.index):
                made = True
                yield event
        if not sent.candidates and sent.prompt_feedback is not None and sent.prompt_feedback.block_reason:
            self._was_blocked = made = True
            yield self._event({"role": "assistant", "content": None})
            yield self._event({}, finish_reason="content_filter")
        if is_first_count:
            yield StreamEvent(raw=None, usage=usage_of(self._usage, is_final=False))
        elif not made:
            yield StreamEvent(raw=None)

    def end(self) -> Iterator[StreamEvent]:
        """The upstream is through: the counts are told."""
        usage = usage_of(self._usage)
        if usage is not None:
            yield StreamEvent(raw=self._chunks.last(usage), usage=usage, model=self._chunks.model or None)

    def _candidate(self, candidate: _Candidate, index: int) -> Iterator[StreamEvent]:
        telling = self._begun.get(index)
        if telling is None:
            telling = self._begun[index] = _Telling()
            yield self._event({"role": "assistant", "content": ""}, index=index)
        logprobs = _logprobs(candidate.logprobs_result)
        for raw in (candidate.content.parts if candidate.content else None) or ():
            for delta, text in self._deltas(_read(raw, self._keep), telling):
                event = self._event(delta, index=index, text=text, logprobs=logprobs)
                logprobs = None
                yield event
        finish = _finish(candidate, has_calls=telling.calls > 0, is_empty=not telling.has_spoken)
        if finish is not None:
            telling.has_ended = True
            yield self._event({}, index=index, finish_reason=finish, logprobs=logprobs)

    def _deltas(self, read: _Read, telling: "_Telling") -> Iterator[tuple[dict[str, Any], str]]:
        signed = {} if read.signature is None else extra_content(read.signature)
        match read.said:
            case TextPart(text=text):
                telling.has_spoken = True
                yield {"content": text, **signed}, text
            case ReasoningPart(text=text):
                yield {"reasoning_content": text, **signed}, ""
            case ImagePart(url=url):
                telling.has_spoken = True
                yield {"images": [_image(url)], **signed}, ""
            case ToolCall() as call:
                telling.has_spoken = True
                yield call_delta(telling.calls, call.id, call.name, call.arguments, call.beside), ""
                telling.calls += 1
            case _ if signed:
                yield signed, ""

    def _event(
        self,
        delta: dict[str, Any],
        *,
        index: int = 0,
        text: str = "",
        finish_reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> StreamEvent:
        raw = self._chunks.delta(delta, index=index, finish_reason=finish_reason, logprobs=logprobs)
        return StreamEvent(
            raw=raw,
            is_output="role" not in delta and not delta.keys() <= {"extra_content"},
            index=index,
            text=text,
            finish_reason=finish_reason,
            model=self._chunks.model or None,
        )


class _Telling:
    """What of a candidate has been told."""

    def __init__(self) -> None:
        self.calls = 0
        self.has_spoken = False
        self.has_ended = False
