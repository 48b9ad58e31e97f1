"""A request of Anthropic's format, said in OpenAI's chat format.

What changes nothing but speed and price is left behind without a word: marks for a cache, citations of earlier answers, the
thinking of earlier turns (Anthropic itself forgets it). Everything else that the chat format cannot say is an `Untranslatable` that
names it.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from assay.errors import Untranslatable
from assay.wire.messages import (
    Beside,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCall,
)
from assay.wire.openai_chat import encode_message
from assay.wire.requests import ChatRequest, Fields, MessagesRequest

FAILED = "Error: "
"""How a tool's failure is told where the format has no mark for it."""

_NULL = Raw(b"null")
_HINTS = frozenset({"cache_control", "citations", "caller", "eager_input_streaming"})
_HERE = frozenset({"model", "messages", "system", "tools", "stream", "assay", "cache_control"})
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def as_chat_request(request: MessagesRequest, *, limit: str = "max_tokens") -> ChatRequest:
    """`limit` is the upstream's name for the most tokens to make: `max_tokens`, or `max_completion_tokens`."""
    places = request.places or tuple(f"messages[{at}]" for at in range(len(request.messages)))
    messages = tuple([_message(each, place) for each, place in zip(request.messages, places, strict=True)])
    fields: Fields = {
        "model": Raw(_encode(request.model)),
        "messages": Raw(_encode([encode_message(message) for message in messages])),
    }
    if "stream" in request.fields:
        fields["stream"] = request.fields["stream"]
    if request.tools:
        tools = [_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)]
        fields["tools"] = Raw(_encode(tools))
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        fields |= {key: Raw(_encode(value)) for key, value in said(_decode(raw)).items()}
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


# --- Messages and tools ---


def _message(message: Message, place: str) -> Message:
    parts = tuple([kept for part in message.parts if (kept := _part(part, message.role, place)) is not None])
    if message.is_error:
        parts = _marked(parts)
    _check(message.beside, place)
    return replace(
        message,
        parts=parts,
        tool_calls=tuple([_call(call, place) for call in message.tool_calls]),
        is_error=False,
        beside=None,
    )


def _part(part: Part, role: str, place: str) -> Part | None:
    match part:
        case ReasoningPart():
            return None
        case OpaquePart(type="redacted_thinking"):
            return None
        case TextPart():
            _check(part.beside, place)
            return part if part.beside is None else TextPart(part.text)
        case ImagePart() | FilePart() if role != "tool":
            _check(part.beside, place)
            return part if part.beside is None else replace(part, beside=None)
        case ImagePart() | FilePart():
            kind = "image" if isinstance(part, ImagePart) else "document"
            raise _unsayable(f"A block of the type {kind!r} in a tool_result", place, hint="Send it as text.")
        case OpaquePart():
            raise _unsayable(f"A block of the type {part.type!r}", place)
    return part


def _marked(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The chat format cannot say that a tool failed, and a model that is not told believes that it worked."""
    if parts and isinstance(parts[0], TextPart):
        return (TextPart(FAILED + parts[0].text), *parts[1:])
    return (TextPart(FAILED.strip(": ")), *parts)


def _call(call: ToolCall, place: str) -> ToolCall:
    _check(call.beside, place)
    return call if call.beside is None else ToolCall(call.id, call.name, call.arguments)


def _tool(tool: Tool, place: str) -> dict[str, Any]:
    beside = tool.beside or {}
    if "type" in beside:
        kind = _decode(beside["type"])
        raise _unsayable(
            f"The tool {tool.name!r} of the type {kind!r}, which runs at Anthropic,", f"{place}.type"
        )
    _check(beside, place)
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


_NEUTRAL = {
    "defer_loading": Raw(b"false"),
    "allowed_callers": Raw(b'["direct"]'),
    "transformations": Raw(b"{}"),
}
"""What says what holds anyway."""


def _check(beside: Beside | None, place: str) -> None:
    for name, raw in (beside or {}).items():
        if name not in _HINTS and raw not in (_NULL, _NEUTRAL.get(name)):
            raise _unsayable(f"{place}.{name}", f"{place}.{name}")


# --- Fields: Anthropic's name → what it is in the chat format ---

Said = dict[str, Any]


def _same(name: str) -> Callable[[Any], Said]:
    return lambda value: {name: value}


def _tool_choice(value: dict[str, Any]) -> Said:
    made: Said = {}
    match value:
        case {"type": "auto" | "none" as kind}:
            made["tool_choice"] = kind
        case {"type": "any"}:
            made["tool_choice"] = "required"
        case {"type": "tool", "name": name}:
            made["tool_choice"] = {"type": "function", "function": {"name": name}}
        case _:
            raise _unsayable(f"tool_choice.type {value.get('type')!r}", "tool_choice.type")
    if value.get("disable_parallel_tool_use") and made["tool_choice"] != "none":
        made["parallel_tool_calls"] = False
    return made


def _metadata(value: dict[str, Any]) -> Said:
    for name, inner in value.items():
        if name != "user_id" and inner is not None:
            raise _unsayable(f"metadata.{name}", f"metadata.{name}")
    return {} if value.get("user_id") is None else {"user": value["user_id"]}


def _thinking(value: dict[str, Any]) -> Said:
    match value:
        case {"type": "disabled"} | {"type": "adaptive"}:
            return {}  # a chat model thinks as it thinks
        case _:
            raise _unsayable(
                f"thinking of the type {value.get('type')!r}",
                "thinking",
                hint="Send thinking {'type': 'adaptive'}, and how much in output_config.effort.",
            )


def _output_config(value: dict[str, Any]) -> Said:
    made: Said = {}
    for name, inner in value.items():
        match name, inner:
            case _, None:
                continue
            case "effort", str():
                made["reasoning_effort"] = inner
            case "format", {"type": "json_schema", "schema": schema}:
                named = {"name": "answer", "schema": schema, "strict": True}
                made["response_format"] = {"type": "json_schema", "json_schema": named}
            case _:
                raise _unsayable(f"output_config.{name}", f"output_config.{name}")
    return made


def _service_tier(value: Any) -> Said:
    if value not in ("auto", "standard_only"):
        raise _unsayable(f"service_tier {value!r}", "service_tier")
    return {} if value == "auto" else {"service_tier": "default"}


def _speed(value: Any) -> Said:
    if value != "standard":
        raise _unsayable(f"speed {value!r}", "speed")
    return {}


def _stop(value: list[str]) -> Said:
    return {"stop": value} if value else {}


_SAID: dict[str, Callable[[Any], Said]] = {
    "max_tokens": _same("max_tokens"),
    "temperature": _same("temperature"),
    "top_p": _same("top_p"),
    "stop_sequences": _stop,
    "tool_choice": _tool_choice,
    "metadata": _metadata,
    "thinking": _thinking,
    "output_config": _output_config,
    "service_tier": _service_tier,
    "speed": _speed,
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (OpenAI's chat)",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an Anthropic provider.",
    )
