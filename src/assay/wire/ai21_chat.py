"""AI21's chat (Jamba): OpenAI's format, of which it knows a part, and leaves out a part of the answers.

A request goes as it came but for what Jamba has under another name. What it does not know is an `Untranslatable` that names it
(docs/decisions/0081): AI21's API leaves unknown fields unread.
"""

from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from assay.errors import Untranslatable
from assay.wire.openai_chat import decode_chunk, decode_response
from assay.wire.openai_usage import encode_usage
from assay.wire.requests import ChatRequest, Fields
from assay.wire.responses import Response, StreamEvent

_KNOWN = frozenset(
    ("messages", "tools", "documents", "response_format", "max_tokens", "temperature", "top_p", "stop", "n")
)
_HERE = frozenset(("model", "stream", "stream_options", "max_completion_tokens", "assay"))
_SPEED = frozenset(
    (
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prediction"),
        *("user", "safety_identifier"),
    )
)
"""What changes no answer: left behind."""
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "tool_choice": ("auto",),
    "parallel_tool_calls": (True,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "store": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}
_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(Fields)


def as_ai21_body(request: ChatRequest, *, model: str, stream: bool) -> bytes:
    """The body. Raises `Untranslatable`."""
    made: Fields = {}
    for name, raw in request.fields.items():
        if raw == _NULL or name in _HERE or name in _SPEED:
            continue
        if name in _KNOWN:
            made[name] = raw
        elif _decode(raw) not in _NEUTRAL.get(name, ()):
            raise _unsayable(f"{name} {bytes(raw)[:60].decode('utf-8', 'replace')}", name)
    _check(request, made)
    made["messages"] = Raw(
        b"["
        + b",".join(bytes(_turn(raw, f"messages[{at}]")) for at, raw in enumerate(_list(made["messages"])))
        + b"]"
    )
    if (limit := request.fields.get("max_completion_tokens", _NULL)) != _NULL:
        made["max_tokens"] = limit
    return _encode({"model": model, **made, "stream": stream})


def decode_ai21(body: bytes, *, model: str, created: int) -> Response:
    """A whole answer with what AI21 leaves out of it. Raises one of `UNREADABLE` when it is not one."""
    sent = _fields.decode(body)
    around = {"object": "chat.completion", "created": created, "model": model}
    return decode_response(_encode({**around, **sent}))


def decode_ai21_chunk(data: bytes, *, model: str, created: int, include_usage: bool) -> list[StreamEvent]:
    """A chunk with what AI21 leaves out of it. It counts in its last one, asked or not: for a client that asked the counts come in
    one of their own, as OpenAI has it."""
    event = decode_chunk(data, hide_usage=False)
    sent = _fields.decode(data)
    around = {"object": "chat.completion.chunk", "created": created, "model": model}
    chunk: dict[str, Any] = {**around, **sent}
    chunk.pop("usage", None)
    made = [replace(event, raw=_encode(chunk | {"usage": None} if include_usage else chunk))]
    if include_usage and event.usage is not None:
        last = chunk | {"choices": [], "usage": encode_usage(event.usage)}
        made.append(StreamEvent(raw=_encode(last)))
    return made


def _check(request: ChatRequest, made: Fields) -> None:
    for at, raw in enumerate(_list(made.get("tools", Raw(b"[]")))):
        if (kind := _decode(raw).get("type")) != "function":
            raise _unsayable(f"tools[{at}] of the type {kind!r}", f"tools[{at}].type")
    for at, tool in enumerate(request.tools):
        if tool.strict:
            raise _unsayable(f"tools[{at}].function.strict", f"tools[{at}].function.strict")
    wanted = _decode(made.get("response_format", _NULL)) or {}
    if (kind := wanted.get("type", "text")) not in ("text", "json_object"):
        raise _unsayable(f"response_format of the type {kind!r}", "response_format.type")


def _turn(raw: Raw, place: str) -> Raw:
    """A message whose content is one text, by a role that Jamba knows."""
    sent = _fields.decode(raw)
    role = _decode(sent.get("role", _NULL))
    if role == "function":
        raise _unsayable(f"{place}.role 'function'", f"{place}.role")
    if role == "developer":
        sent["role"] = Raw(b'"system"')
    content = sent.get("content", _NULL)
    if bytes(content).lstrip()[:1] == b"[":
        sent["content"] = Raw(_encode(_joined(content, f"{place}.content")))
    return Raw(_encode(sent))


def _joined(content: Raw, place: str) -> str:
    texts = []
    for at, part in enumerate(_decode(content)):
        if part.get("type") not in ("text", "refusal", "reasoning"):
            raise _unsayable(f"{place}[{at}] of the type {part.get('type')!r}", f"{place}[{at}]")
        texts.append(
            str(part.get("text") or part.get("refusal") or "") if part["type"] != "reasoning" else ""
        )
    return "".join(texts)


def _list(raw: Raw) -> list[Raw]:
    return msgspec.json.decode(raw, type=list[Raw])


def _unsayable(what: str, param: str) -> Untranslatable:
    return Untranslatable(
        f"{what} is not honoured by this model's provider (AI21)",
        param=param,
        hint="Leave it out, or ask for a model of another provider.",
    )
