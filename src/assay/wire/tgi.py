"""The native format of text-generation-inference: `/generate` and `/generate_stream`, asked and answered in the format of OpenAI's
completions.

The two disagree on what is meant by nothing: without a temperature this server takes the likeliest token, and it takes neither a
temperature of 0 (which asks for just that) nor a `top_p` of 1 (which asks for nothing). These are left out.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.errors import BadRequest, Untranslatable
from assay.wire.messages import Message, TextPart
from assay.wire.openai_chat import StreamError
from assay.wire.openai_usage import encode_usage
from assay.wire.requests import CompletionRequest
from assay.wire.responses import Choice, Response, StreamEvent
from assay.wire.usage import Usage, UsageSource

FINISH = {"length": "length", "eos_token": "stop", "stop_sequence": "stop"}
"""Why it stopped, in OpenAI's words."""
BYTES_PER_TOKEN = 4
"""To estimate a prompt that the server did not count."""

_SAME = frozenset(
    (
        *("temperature", "seed", "frequency_penalty", "repetition_penalty", "top_k", "typical_p", "truncate"),
        *("watermark", "grammar", "adapter_id", "do_sample"),
    )
)
"""Of OpenAI's fields and the server's own, those that have one name."""
_HERE = frozenset(
    ("model", "prompt", "stream", "stream_options", "max_tokens", "top_p", "stop", "user", "assay", "best_of")
)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logit_bias": ({},),
    "echo": (False,),
    "presence_penalty": (0,),
    "suffix": ("",),
}
_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Details(Struct, frozen=True):
    finish_reason: str | None = None
    generated_tokens: int | None = None
    input_length: int | None = None
    prefill: list[Raw] = []


class _Generated(Struct, frozen=True):
    generated_text: str
    details: _Details | None = None


class _Token(Struct, frozen=True):
    text: str = ""
    special: bool = False


class _Event(Struct, frozen=True):
    token: _Token | None = None
    generated_text: str | None = None
    details: _Details | None = None
    error: Raw | UnsetType = UNSET


_generated = msgspec.json.Decoder(_Generated)
_event = msgspec.json.Decoder(_Event)


def as_generate_body(request: CompletionRequest) -> bytes:
    """The body of either endpoint. Raises `Untranslatable` for what the server cannot be asked."""
    if not isinstance(request.prompt, str):
        raise Untranslatable(
            "This model takes one text as prompt", param="prompt", hint="Send a string, one request each."
        )
    parameters: dict[str, Any] = {"details": True}
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        value = _decode(raw)
        if name in _SAME:
            parameters[name] = value
        elif value not in _NEUTRAL.get(name, ()):
            raise _unsayable(f"{name} {value!r}", name)
    if parameters.get("temperature") == 0:
        del parameters["temperature"]
    parameters |= _renamed(request)
    return _encode({"inputs": request.prompt, "parameters": parameters})


def _renamed(request: CompletionRequest) -> dict[str, Any]:
    sent = {name: _decode(raw) for name, raw in request.fields.items() if name in _HERE and raw != _NULL}
    made: dict[str, Any] = {}
    if "max_tokens" in sent:
        made["max_new_tokens"] = sent["max_tokens"]
    if sent.get("top_p", 1) != 1:
        made["top_p"] = sent["top_p"]
    if sent.get("best_of", 1) != 1:
        made["best_of"] = sent["best_of"]
    if stop := sent.get("stop"):
        made["stop"] = [stop] if isinstance(stop, str) else stop
    return made


def decode_generated(
    body: bytes, request: CompletionRequest, headers: Mapping[str, str], *, id: str, model: str, created: int
) -> Response:
    """A whole answer. Raises one of `UNREADABLE` when it is not one. The prompt's tokens are in a header."""
    body = body.strip()
    sent = (
        msgspec.json.decode(body, type=list[_Generated])[0] if body[:1] == b"[" else _generated.decode(body)
    )
    counted = headers.get("x-prompt-tokens", "")
    usage = _usage(sent.details, request, int(counted) if counted.isdecimal() else None)
    finish_reason = _finish(sent.details)
    choice = {"index": 0, "text": sent.generated_text, "logprobs": None, "finish_reason": finish_reason}
    made = {**_around(id, created, model), "choices": [choice]}
    return Response(
        raw=_encode(made if usage is None else {**made, "usage": encode_usage(usage)}),
        choices=(Choice(Message(role="assistant", parts=(TextPart(sent.generated_text),)), finish_reason),),
        id=id,
        usage=usage,
    )


class GenerateEvents:
    """Turns the events of one answer into chunks. `is_complete` once the server said that it is."""

    def __init__(self, request: CompletionRequest, *, id: str, model: str, created: int) -> None:
        self.is_complete = False
        self._request = request
        self._around = _around(id, created, model)

    def of(self, data: bytes) -> list[StreamEvent]:
        """The chunks of an event. Raises one of `UNREADABLE`, and `StreamError` for an error in the stream."""
        sent = _event.decode(data)
        if sent.error is not UNSET:
            raise StreamError(data)
        token = sent.token or _Token()
        text = "" if token.special else token.text
        made = [StreamEvent(raw=self._chunk(text), is_output=True, text=text)] if text else []
        if sent.generated_text is not None:
            self.is_complete = True
            made += self._end(sent.details)
        return made or [StreamEvent(raw=None)]

    def _end(self, details: _Details | None) -> list[StreamEvent]:
        finish_reason, usage = _finish(details), _usage(details, self._request, None)
        last = StreamEvent(raw=self._chunk("", finish_reason), finish_reason=finish_reason, usage=usage)
        if usage is None or not self._request.include_usage:
            return [last]
        counts = {**self._around, "choices": [], "usage": encode_usage(usage)}
        return [last, StreamEvent(raw=_encode(counts))]

    def _chunk(self, text: str, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        body = {**self._around, "choices": [choice]}
        return _encode({**body, "usage": None} if self._request.include_usage else body)


def _finish(details: _Details | None) -> str:
    return FINISH.get((details and details.finish_reason) or "", "stop")


def _usage(details: _Details | None, request: CompletionRequest, prompt_tokens: int | None) -> Usage | None:
    """An answer without details was not counted. A prompt that nobody counted is estimated."""
    if details is None or details.generated_tokens is None:
        return None
    read = prompt_tokens or details.input_length or len(details.prefill)
    if read:
        return Usage(input=read, output=details.generated_tokens)
    assert isinstance(request.prompt, str)
    guessed = -(-len(request.prompt.encode()) // BYTES_PER_TOKEN)
    return Usage(input=guessed, output=details.generated_tokens, input_source=UsageSource.ESTIMATE)


def _around(id: str, created: int, model: str) -> dict[str, Any]:
    return {"id": id, "object": "text_completion", "created": created, "model": model}


def _unsayable(what: str, param: str) -> BadRequest:
    return Untranslatable(
        f"{what} is not known to text-generation-inference",
        param=param,
        hint="Leave it out, or ask for a model of another provider.",
    )
