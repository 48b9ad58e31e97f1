"""A request of OpenAI's chat format, said in Anthropic's.

What changes nothing but speed and price is left behind without a word (keys for a cache, a prediction, an image's detail), and
so are fields that say what holds anyway (`n` = 1, penalties of 0). Everything else that Anthropic's format cannot say is an
`Untranslatable` that names it. Anthropic's own `thinking`, `top_k`, `output_config` and `cache_control` may stand in a chat request
and go along, and so do the `thinking_blocks` of an earlier answer.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.anthropic_turns import encode_tool, encode_turns
from assay.wire.requests import ChatRequest, Fields
from assay.wire.thinking import with_thinking

_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def as_messages_fields(request: ChatRequest, *, max_tokens: int) -> Fields:
    """`max_tokens` is for a client that gave none: the format demands one."""
    turns = encode_turns([with_thinking(message) for message in request.messages])
    made: dict[str, Any] = {"max_tokens": max_tokens, "messages": turns.messages}
    if turns.system is not None:
        made["system"] = turns.system
    if request.tools:
        made["tools"] = _tools(request)
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        _join(made, said(_decode(raw)))
    if (limit := request.fields.get("max_completion_tokens", _NULL)) != _NULL:
        made["max_tokens"] = limit
    _join_parallel(made, request.fields.get("parallel_tool_calls", _NULL))
    if request.stream:
        made["stream"] = True
    return {name: value if isinstance(value, Raw) else Raw(_encode(value)) for name, value in made.items()}


_HERE = frozenset(
    (
        *("model", "messages", "tools", "stream", "stream_options", "assay"),
        *("max_completion_tokens", "parallel_tool_calls"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prediction"),
    )
)


def _tools(request: ChatRequest) -> list[Any]:
    kinds = [_decode(raw).get("type") for raw in _raws(request.fields.get("tools", Raw(b"[]")))]
    for at, kind in enumerate(kinds):
        if kind != "function":
            raise _unsayable(f"tools[{at}] of the type {kind!r}", f"tools[{at}].type")
    return [encode_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)]


def _raws(raw: Raw) -> list[Raw]:
    return msgspec.json.decode(raw, type=list[Raw])


def _join(made: dict[str, Any], said: dict[str, Any]) -> None:
    """Two chat fields may be one of Anthropic's: its metadata, its output_config."""
    for name, value in said.items():
        before = made.get(name)
        made[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value


def _join_parallel(made: dict[str, Any], parallel: Raw) -> None:
    if parallel != Raw(b"false") or "tools" not in made:
        return
    choice = made.get("tool_choice", {"type": "auto"})
    if choice["type"] != "none":
        made["tool_choice"] = {**choice, "disable_parallel_tool_use": True}


# --- Fields: OpenAI's name → what it is in Anthropic's format ---

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


def _temperature(value: float) -> Said:
    if not 0 <= value <= 1:
        raise Untranslatable(
            f"temperature is {value}: Anthropic's models take 0 to 1",
            param="temperature",
            hint="Lower it, or ask for a model of another provider.",
        )
    return {"temperature": value}


def _stop(value: str | list[str]) -> Said:
    stops = [value] if isinstance(value, str) else value
    return {"stop_sequences": stops} if stops else {}


def _tool_choice(value: Any) -> Said:
    match value:
        case "auto" | "none":
            return {"tool_choice": {"type": value}}
        case "required":
            return {"tool_choice": {"type": "any"}}
        case {"type": "function", "function": {"name": name}}:
            return {"tool_choice": {"type": "tool", "name": name}}
        case _:
            raise _unsayable(f"tool_choice {value!r}", "tool_choice")


def _user(value: str) -> Said:
    return {"metadata": {"user_id": value}}


def _effort(value: str) -> Said:
    if value == "none":
        return {"thinking": {"type": "disabled"}}
    return {"output_config": {"effort": "low" if value == "minimal" else value}}


def _response_format(value: dict[str, Any]) -> Said:
    match value:
        case {"type": "text"}:
            return {}
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
        case _:
            raise _unsayable(
                f"response_format of the type {value.get('type')!r}",
                "response_format.type",
                hint="Send a json_schema.",
            )


def _service_tier(value: str) -> Said:
    if value not in ("auto", "default"):
        raise _unsayable(f"service_tier {value!r}", "service_tier")
    return {"service_tier": "auto" if value == "auto" else "standard_only"}


_SAID: dict[str, Callable[[Any], Said]] = {
    "max_tokens": _same("max_tokens"),
    "temperature": _temperature,
    "top_p": _same("top_p"),
    "top_k": _same("top_k"),
    "stop": _stop,
    "tool_choice": _tool_choice,
    "user": _user,
    "safety_identifier": _user,
    "reasoning_effort": _effort,
    "response_format": _response_format,
    "service_tier": _service_tier,
    "thinking": _same("thinking"),
    "output_config": _same("output_config"),
    "cache_control": _same("cache_control"),
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
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (Anthropic's)",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an OpenAI-compatible provider.",
    )
