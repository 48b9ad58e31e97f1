"""A request of OpenAI's chat format, said in the format of Bedrock's Converse.

What changes nothing but speed, price and bookkeeping is left behind without a word, and so are fields that say what holds anyway.
Everything else that Converse cannot say is an `Untranslatable` that names it. What only some models know goes into
`additionalModelRequestFields`: `top_k`, and Claude's `thinking`. Converse's own fields that OpenAI has no name for may stand in a
chat request under their own names (`NATIVE`).
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.converse_turns import encode_tool, encode_turns
from assay.wire.requests import ChatRequest
from assay.wire.thinking import with_thinking

NATIVE = (
    "additionalModelRequestFields",
    "guardrailConfig",
    "performanceConfig",
    "requestMetadata",
    "outputConfig",
    "projectIdentifier",
)

_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def as_converse_body(request: ChatRequest, *, model: str) -> bytes:
    """The body for Converse and ConverseStream; `model` is its id, profile or ARN, for what only some models know."""
    turns = encode_turns([with_thinking(message) for message in request.messages])
    made: dict[str, Any] = {"messages": turns.messages}
    if turns.system:
        made["system"] = turns.system
    if request.tools:
        made["toolConfig"] = {"tools": _tools(request)}
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        _join(made, said(_decode(raw), model))
    choice = request.fields.get("tool_choice", _NULL)
    if choice != _NULL and request.tools:
        _choose(made, _decode(choice), has_calls=turns.has_calls)
    return _encode(made)


_HERE = frozenset(
    (
        *("model", "messages", "tools", "tool_choice", "stream", "stream_options", "assay"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prediction"),
        *("user", "safety_identifier"),
    )
)


def _tools(request: ChatRequest) -> list[Any]:
    kinds = [_decode(raw).get("type") for raw in _raws(request.fields.get("tools", Raw(b"[]")))]
    for at, kind in enumerate(kinds):
        if kind != "function":
            raise _unsayable(f"tools[{at}] of the type {kind!r}", f"tools[{at}].type")
    return [block for tool in request.tools for block in encode_tool(tool)]


def _raws(raw: Raw) -> list[Raw]:
    return msgspec.json.decode(raw, type=list[Raw])


def _choose(made: dict[str, Any], value: Any, *, has_calls: bool) -> None:
    """There is no word for "none": tools that shall not be used are not shown, unless the conversation speaks of them."""
    config = made["toolConfig"]
    match value:
        case "auto":
            config["toolChoice"] = {"auto": {}}
        case "required":
            config["toolChoice"] = {"any": {}}
        case {"type": "function", "function": {"name": str(name)}}:
            config["toolChoice"] = {"tool": {"name": name}}
        case "none" if not has_calls:
            del made["toolConfig"]
        case _:
            raise _unsayable(f"tool_choice {value!r}", "tool_choice")


def _join(made: dict[str, Any], said: dict[str, Any]) -> None:
    """Several chat fields are one of Converse's, such as `inferenceConfig`."""
    for name, value in said.items():
        before = made.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            _join(before, value)
        else:
            made[name] = value


# --- Fields: OpenAI's name → what it is in Converse's format ---

Said = dict[str, Any]
Saying = Callable[[Any, str], Said]


def _inference(name: str) -> Saying:
    return lambda value, _: {"inferenceConfig": {name: value}}


def _additional(fields: Said) -> Said:
    return {"additionalModelRequestFields": fields}


def _only(name: str, *neutral: Any) -> Saying:
    """A field that may be there as long as it asks for nothing."""

    def said(value: Any, _: str) -> Said:
        if value not in neutral:
            raise _unsayable(f"{name} {value!r}", name)
        return {}

    return said


def _native(name: str) -> Saying:
    def said(value: Any, _: str) -> Said:
        if not isinstance(value, dict):
            raise Untranslatable(f"{name} is no object", param=name)
        return {name: value}

    return said


def _temperature(value: float, _: str) -> Said:
    if not 0 <= value <= 1:
        raise Untranslatable(
            f"temperature is {value}: Converse takes 0 to 1",
            param="temperature",
            hint="Lower it, or ask for a model of another provider.",
        )
    return {"inferenceConfig": {"temperature": value}}


def _stop(value: str | list[str], _: str) -> Said:
    stops = [value] if isinstance(value, str) else value
    return {"inferenceConfig": {"stopSequences": stops}} if stops else {}


def top_k_said(value: int, model: str) -> Said:
    """`top_k` under the name that a model's vendor has for it."""
    if "amazon.nova" in model:
        return _additional({"inferenceConfig": {"topK": value}})
    if "anthropic." in model or "mistral." in model:
        return _additional({"top_k": value})
    if "cohere." in model:
        return _additional({"k": value})
    raise Untranslatable(
        f"top_k has no name that is known here for the model {model!r}",
        param="top_k",
        hint="Say it in additionalModelRequestFields, as the model wants it.",
    )


def _thinking(value: Any, model: str) -> Said:
    if "anthropic." not in model:
        raise _unsayable("thinking", "thinking", hint="Only Claude's models take it. Send reasoning_effort.")
    return _additional({"thinking": value})


def _effort(value: str, model: str) -> Said:
    if value == "none" and "anthropic." in model:
        return _additional({"thinking": {"type": "disabled"}})
    return {"outputConfig": {"effort": "low" if value == "minimal" else value}}


def _response_format(value: dict[str, Any], _: str) -> Said:
    match value:
        case {"type": "text"}:
            return {}
        case {"type": "json_schema", "json_schema": {"schema": schema, **named}}:
            said: dict[str, Any] = {"schema": _encode(schema).decode()}
            said |= {
                name: named[name] for name in ("name", "description") if isinstance(named.get(name), str)
            }
            return {
                "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": said}}}
            }
        case _:
            raise _unsayable(
                f"response_format of the type {value.get('type')!r}",
                "response_format.type",
                hint="Send a json_schema.",
            )


def _service_tier(value: str, _: str) -> Said:
    if value == "auto":
        return {}
    if value not in ("default", "flex", "priority"):
        raise _unsayable(f"service_tier {value!r}", "service_tier")
    return {"serviceTier": {"type": value}}


_SAID: dict[str, Saying] = {
    "max_tokens": _inference("maxTokens"),
    "max_completion_tokens": _inference("maxTokens"),
    "temperature": _temperature,
    "top_p": _inference("topP"),
    "top_k": top_k_said,
    "stop": _stop,
    "parallel_tool_calls": _only("parallel_tool_calls", True),
    "thinking": _thinking,
    "reasoning_effort": _effort,
    "response_format": _response_format,
    "service_tier": _service_tier,
    "n": _only("n", 1),
    "presence_penalty": _only("presence_penalty", 0),
    "frequency_penalty": _only("frequency_penalty", 0),
    "logit_bias": _only("logit_bias", {}),
    "logprobs": _only("logprobs", False),
    "top_logprobs": _only("top_logprobs", 0),
    "store": _only("store", False),
    "metadata": _only("metadata", {}),
    "modalities": _only("modalities", ["text"]),
    "verbosity": _only("verbosity", "medium"),
    **{name: _native(name) for name in NATIVE},
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (Bedrock's Converse)",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an OpenAI-compatible provider.",
    )
