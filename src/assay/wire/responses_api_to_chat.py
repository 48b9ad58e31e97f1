"""A request of OpenAI's Responses format, said in its chat format, which every provider takes or is translated from.

What changes nothing but speed and price is left behind without a word, and so is what the gateway itself honours (`store`,
`previous_response_id`, `metadata`). Everything else that a chat cannot say is an `Untranslatable` that names it: tools that run
at OpenAI, above all.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from assay.errors import Untranslatable
from assay.wire.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
)
from assay.wire.openai_chat import UNREADABLE, encode_message
from assay.wire.requests import ChatRequest, Fields
from assay.wire.responses_api import OWN_THINKING, ResponsesRequest

LOGPROBS = "message.output_text.logprobs"
_NULL = Raw(b"null")
_HERE = frozenset(
    (
        *("model", "input", "instructions", "tools", "stream", "assay"),
        *("store", "previous_response_id", "metadata", "background", "conversation", "prompt"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "stream_options"),
        *("include", "max_tool_calls"),
    )
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_blocks = msgspec.json.Decoder(list[Raw])


def as_chat(
    request: ResponsesRequest, *, limit: str = "max_tokens", keeps_thinking: bool = False
) -> ChatRequest:
    """`limit` is the upstream's name for the most tokens to make. `keeps_thinking`: it wants the thinking of earlier turns
    again, signed, as Anthropic does."""
    messages = tuple(
        [
            _message(each, place, keeps_thinking=keeps_thinking)
            for each, place in zip(request.messages, request.places, strict=True)
            if not _only_reasons(each)
        ]
    )
    fields: Fields = {
        "model": Raw(_encode(request.model)),
        "messages": Raw(_encode([encode_message(message) for message in messages])),
    }
    if "stream" in request.fields:
        fields["stream"] = request.fields["stream"]
    if request.tools:
        fields["tools"] = Raw(_encode(_tools(request)))
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        fields |= {key: Raw(_encode(value)) for key, value in said(_decode(raw)).items()}
    _check_included(request)
    if "top_logprobs" in fields or LOGPROBS in _included(request):
        fields["logprobs"] = Raw(b"true")
    if "max_tokens" in fields:
        fields[limit] = fields.pop("max_tokens")
    return ChatRequest(
        model=request.model,
        messages=messages,
        tools=request.tools,
        stream=request.stream,
        include_usage=True,
        assay=request.assay,
        fields=fields,
    )


def seal_thinking(blocks: Sequence[Any]) -> str:
    """Signed thinking of another format as the `encrypted_content` of a reasoning item: it comes back as it was."""
    return OWN_THINKING + base64.b64encode(_encode(blocks)).decode()


def _only_reasons(message: Message) -> bool:
    """Thinking without an answer after it: nothing that a chat would want again."""
    return (
        message.role == "assistant"
        and not message.tool_calls
        and bool(message.parts)
        and all(isinstance(part, ReasoningPart) for part in message.parts)
    )


def _message(message: Message, place: str, *, keeps_thinking: bool) -> Message:
    thoughts = [part for part in message.parts if isinstance(part, ReasoningPart)]
    said_parts = [part for part in message.parts if not isinstance(part, ReasoningPart)]
    parts = tuple([_part(part, message.role, place) for part in said_parts])
    made = replace(message, parts=parts)
    blocks = _opened(thoughts) if keeps_thinking and thoughts else []
    if not blocks:
        return made
    said = msgspec.json.decode(encode_message(made), type=dict[str, Raw])
    raw = Raw(_encode({**said, "thinking_blocks": blocks}))
    return replace(made, raw=raw)


def _opened(thoughts: Sequence[ReasoningPart]) -> list[Raw]:
    made: list[Raw] = []
    for part in thoughts:
        sealed = part.signature or ""
        if sealed.startswith(OWN_THINKING):
            try:
                made += _blocks.decode(base64.b64decode(sealed.removeprefix(OWN_THINKING), validate=True))
            except (*UNREADABLE, binascii.Error) as error:
                raise Untranslatable(
                    "The encrypted_content of a reasoning item is not what was sent",
                    param="input",
                    hint="Send it back as it came, or leave the item out.",
                ) from error
    return made


def _part(part: Part, role: str, place: str) -> Part:
    match part:
        case OpaquePart(type="item_reference"):
            raise _unsayable(
                "An item_reference",
                place,
                hint="Send the item itself, or continue with previous_response_id.",
            )
        case OpaquePart():
            raise _unsayable(f"{place} of the type {part.type!r}", place)
        case ImagePart() | FilePart() if role == "tool":
            kind = "input_image" if isinstance(part, ImagePart) else "input_file"
            raise _unsayable(f"A part of the type {kind!r} in a function_call_output", place)
    return part


def _tools(request: ResponsesRequest) -> list[Any]:
    made = []
    for at, raw in enumerate(_blocks.decode(request.fields["tools"])):
        sent = _decode(raw)
        kind = sent.pop("type", None)
        if kind != "function":
            raise _unsayable(
                f"The tool of the type {kind!r}, which runs at OpenAI or on the client's computer,",
                f"tools[{at}].type",
            )
        made.append(
            {"type": "function", "function": {name: each for name, each in sent.items() if each is not None}}
        )
    return made


def _included(request: ResponsesRequest) -> list[str]:
    raw = request.fields.get("include", _NULL)
    included: list[str] = [] if raw == _NULL else _decode(raw)
    return included


def _check_included(request: ResponsesRequest) -> None:
    for at, each in enumerate(_included(request)):
        if each not in (LOGPROBS, "reasoning.encrypted_content"):
            raise _unsayable(f"include {each!r}", f"include[{at}]")


# --- Fields: the name here → what it is in the chat format ---

Said = dict[str, Any]


def _same(name: str) -> Callable[[Any], Said]:
    return lambda value: {name: value}


def _only(name: str, *neutral: Any) -> Callable[[Any], Said]:
    """A field that may be there as long as it asks for nothing."""

    def said(value: Any) -> Said:
        if value not in neutral:
            raise _unsayable(f"{name} {value!r}", name)
        return {}

    return said


def _tool_choice(value: Any) -> Said:
    match value:
        case "auto" | "none" | "required":
            return {"tool_choice": value}
        case {"type": "function", "name": name}:
            return {"tool_choice": {"type": "function", "function": {"name": name}}}
        case {"type": kind}:
            raise _unsayable(f"tool_choice of the type {kind!r}", "tool_choice.type")
        case _:
            raise _unsayable(f"tool_choice {value!r}", "tool_choice")


def _text(value: dict[str, Any]) -> Said:
    made: Said = {}
    for name, inner in value.items():
        match name, inner:
            case _, None:
                continue
            case "format", {"type": "text"}:
                continue
            case "format", {"type": "json_object"}:
                made["response_format"] = {"type": "json_object"}
            case "format", {"type": "json_schema", **schema}:
                named = {key: each for key, each in schema.items() if each is not None}
                made["response_format"] = {"type": "json_schema", "json_schema": named}
            case "verbosity", str():
                made["verbosity"] = inner
            case _:
                raise _unsayable(f"text.{name}", f"text.{name}")
    return made


def _reasoning(value: dict[str, Any]) -> Said:
    """A wish for a summary is met by the thinking itself, where the upstream shows it."""
    made: Said = {}
    for name, inner in value.items():
        if name == "effort" and inner is not None:
            made["reasoning_effort"] = inner
        elif name not in ("effort", "summary", "generate_summary") and inner is not None:
            raise _unsayable(f"reasoning.{name}", f"reasoning.{name}")
    return made


def _service_tier(value: str) -> Said:
    return {} if value == "auto" else {"service_tier": value}


_SAID: dict[str, Callable[[Any], Said]] = {
    "max_output_tokens": _same("max_tokens"),
    "temperature": _same("temperature"),
    "top_p": _same("top_p"),
    "top_logprobs": _same("top_logprobs"),
    "parallel_tool_calls": _same("parallel_tool_calls"),
    "user": _same("user"),
    "safety_identifier": _same("safety_identifier"),
    "simulate": _same("simulate"),
    "tool_choice": _tool_choice,
    "text": _text,
    "reasoning": _reasoning,
    "service_tier": _service_tier,
    "truncation": _only("truncation", "disabled"),
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said to this model's provider, which is asked in the chat format",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an OpenAI provider with `responses = true`.",
    )
