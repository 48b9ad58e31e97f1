"""A request of OpenAI's chat format, said in Cohere's (v2).

The two are near: the same roles, tools and calls. What a message with calls says is Cohere's `tool_plan`, in both directions, so that it
comes back through any client. Cohere's own `documents`, `citation_options`, `safety_mode`, `thinking`, `k` (also as `top_k`),
`strict_tools` and `priority` may stand in a chat request and go along. What cannot be said is an `Untranslatable` that names it
(docs/decisions/0081).
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.messages import ImagePart, Message, Part, ReasoningPart, RefusalPart, TextPart, Tool
from assay.wire.requests import ChatRequest, Fields

MOST_STOPS = 5
_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_raws = msgspec.json.Decoder(list[Raw]).decode

Said = dict[str, Any]


def as_cohere_fields(request: ChatRequest, *, stream: bool) -> Said:
    """The fields of Cohere's body, without `model`. Raises `Untranslatable`."""
    made: Said = {
        "messages": [_turn(message, f"messages[{at}]") for at, message in enumerate(request.messages)]
    }
    if request.tools:
        made |= _tools(request)
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        made |= said(_decode(raw))
    if (limit := request.fields.get("max_completion_tokens", _NULL)) != _NULL:
        made["max_tokens"] = limit
    _join_tool_choice(made, request.fields)
    made["stream"] = stream
    return made


_HERE = frozenset(
    (
        *("model", "messages", "tools", "tool_choice", "stream", "stream_options", "assay"),
        *("max_completion_tokens", "parallel_tool_calls"),
        *(
            "prompt_cache_key",
            "prompt_cache_retention",
            "prompt_cache_options",
            "prediction",
            "cache_control",
        ),
        *("user", "safety_identifier"),
    )
)
"""Said elsewhere, or nothing that changes the answer."""


# --- Messages and tools ---


def _turn(message: Message, place: str) -> Said:
    match message.role:
        case "system" | "developer":
            return {"role": "system", "content": _content(message.parts, place, takes_images=False)}
        case "user":
            return {"role": "user", "content": _content(message.parts, place, takes_images=True)}
        case "assistant":
            return _spoken(message, place)
        case "tool":
            return _result(message, place)
        case _:
            raise Untranslatable(
                f"{place}.role is 'function', which Cohere's format does not have",
                param=f"{place}.role",
                hint="Send tools and messages of the role 'tool'.",
            )


def _content(parts: tuple[Part, ...], place: str, *, takes_images: bool) -> Any:
    blocks: list[Said] = []
    for at, part in enumerate(parts):
        match part:
            case TextPart() | RefusalPart():
                blocks.append({"type": "text", "text": part.text})
            case ImagePart() if takes_images:
                image = {"url": part.url} if part.detail is None else {"url": part.url, "detail": part.detail}
                blocks.append({"type": "image_url", "image_url": image})
            case ReasoningPart():
                blocks.append({"type": "thinking", "thinking": part.text})
            case _:
                kind = type(part).__name__.removesuffix("Part").lower()
                raise _unsayable(
                    f"{place}.content[{at}], which is of the kind {kind!r},", f"{place}.content[{at}]"
                )
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return blocks[0]["text"]
    return blocks or ""


def _spoken(message: Message, place: str) -> Said:
    if not message.tool_calls:
        return {"role": "assistant", "content": _content(message.parts, place, takes_images=False)}
    made: Said = {"role": "assistant"}
    thoughts = tuple([part for part in message.parts if isinstance(part, ReasoningPart)])
    if thoughts:
        made["content"] = _content(thoughts, place, takes_images=False)
    if message.text:
        made["tool_plan"] = message.text
    made["tool_calls"] = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments.strip() or "{}"},
        }
        for call in message.tool_calls
    ]
    return made


def _result(message: Message, place: str) -> Said:
    if not message.tool_call_id:
        raise Untranslatable(
            f"{place}.tool_call_id is missing",
            param=f"{place}.tool_call_id",
            hint="Name the call that this is the result of.",
        )
    content = _content(message.parts, place, takes_images=False)
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if message.is_error:
        blocks[0]["text"] = f"Error: {blocks[0].get('text', '')}"
    return {"role": "tool", "tool_call_id": message.tool_call_id, "content": blocks}


def _tools(request: ChatRequest) -> Said:
    for at, raw in enumerate(_raws(request.fields.get("tools", Raw(b"[]")))):
        if (kind := _decode(raw).get("type")) != "function":
            raise _unsayable(f"tools[{at}] of the type {kind!r}", f"tools[{at}].type")
    strict = [bool(tool.strict) for tool in request.tools]
    if any(strict) and not all(strict):
        loose = strict.index(False)
        raise _unsayable(
            f"tools[{loose}].function.strict, which other tools have and this one has not,",
            f"tools[{loose}].function.strict",
            hint="Cohere knows strictness for all tools of a request or for none.",
        )
    made: Said = {"tools": [_tool(tool) for tool in request.tools]}
    return made | {"strict_tools": True} if all(strict) else made


def _tool(tool: Tool) -> Said:
    function: Said = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _join_tool_choice(made: Said, fields: Fields) -> None:
    """A tool that is demanded by name is offered alone, with a call required: Cohere demands none by name."""
    if "tools" not in made:
        return
    if fields.get("parallel_tool_calls", _NULL) == Raw(b"false"):
        raise _unsayable("parallel_tool_calls false", "parallel_tool_calls")
    choice = _decode(fields.get("tool_choice", _NULL))
    match choice:
        case None | "auto":
            return
        case "none" | "required":
            made["tool_choice"] = choice.upper()
        case {"type": "function", "function": {"name": name}}:
            demanded = [tool for tool in made["tools"] if tool["function"]["name"] == name]
            if not demanded:
                raise Untranslatable(
                    f"tool_choice names {name!r}, which is not among the tools", param="tool_choice"
                )
            made |= {"tools": demanded, "tool_choice": "REQUIRED"}
        case _:
            raise _unsayable(f"tool_choice {choice!r}", "tool_choice")


# --- Fields: OpenAI's name → what it is in Cohere's format ---


def _same(name: str) -> Callable[[Any], Said]:
    return lambda value: {name: value}


def _only(name: str, *neutral: Any) -> Callable[[Any], Said]:
    """A field that may be there as long as it asks for nothing."""

    def said(value: Any) -> Said:
        if value not in neutral:
            raise _unsayable(f"{name} {value!r}", name)
        return {}

    return said


def _within(name: str, to: str, low: float, high: float) -> Callable[[Any], Said]:
    """A number of which Cohere takes a part of OpenAI's range."""

    def said(value: float) -> Said:
        if not low <= value <= high:
            raise Untranslatable(
                f"{name} is {value}: Cohere's models take {low:g} to {high:g}",
                param=name,
                hint="Change it or leave it out, or ask for a model of another provider.",
            )
        return {to: value}

    return said


def _stop(value: str | list[str]) -> Said:
    stops = [value] if isinstance(value, str) else value
    if len(stops) > MOST_STOPS:
        raise _unsayable(f"stop with more than {MOST_STOPS} texts", "stop")
    return {"stop_sequences": stops} if stops else {}


def _effort(value: str) -> Said:
    if value != "none":
        raise _unsayable(
            f"reasoning_effort {value!r}",
            "reasoning_effort",
            hint='Cohere counts tokens: send thinking = {"type": "enabled", "token_budget": …} in the body.',
        )
    return {"thinking": {"type": "disabled"}}


def _response_format(value: Said) -> Said:
    match value:
        case {"type": "text"}:
            return {}
        case {"type": "json_object"}:
            return {"response_format": value}
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"response_format": {"type": "json_object", "json_schema": schema}}
        case _:
            raise _unsayable(f"response_format of the type {value.get('type')!r}", "response_format.type")


_SAID: dict[str, Callable[[Any], Said]] = {
    "max_tokens": _same("max_tokens"),
    "temperature": _same("temperature"),
    "top_p": _within("top_p", "p", 0.01, 0.99),
    "top_k": _same("k"),
    "k": _same("k"),
    "seed": _same("seed"),
    "stop": _stop,
    "presence_penalty": _within("presence_penalty", "presence_penalty", 0, 1),
    "frequency_penalty": _within("frequency_penalty", "frequency_penalty", 0, 1),
    "reasoning_effort": _effort,
    "response_format": _response_format,
    "documents": _same("documents"),
    "citation_options": _same("citation_options"),
    "safety_mode": _same("safety_mode"),
    "thinking": _same("thinking"),
    "strict_tools": _same("strict_tools"),
    "priority": _same("priority"),
    "n": _only("n", 1),
    "logit_bias": _only("logit_bias", {}),
    "logprobs": _only("logprobs", False),
    "top_logprobs": _only("top_logprobs", 0),
    "store": _only("store", False),
    "metadata": _only("metadata", {}),
    "modalities": _only("modalities", ["text"]),
    "service_tier": _only("service_tier", "auto", "default"),
    "verbosity": _only("verbosity", "medium"),
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (Cohere's)",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an OpenAI-compatible provider.",
    )
