"""A request of OpenAI's chat format, said in Gemini's.

What changes nothing but speed, price and bookkeeping is left behind without a word (keys for a cache, a prediction, an image's
detail, the end user's name), and so are fields that say what holds anyway. Everything else that Gemini's format cannot say is an
`Untranslatable` that names it. Google's own fields may stand where its OpenAI-compatible endpoint has them, in
`extra_body.google`, and `top_k` beside the others.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.gemini_turns import Signatures, encode_contents, encode_declaration
from assay.wire.requests import ChatRequest

_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
OLDER = re.compile(r"(models/)?gemini-[12]\b")
"""Models that check no signatures, and take budgets of thinking rather than levels."""
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576}
"""Tokens of thinking that Google takes an effort for, for models that know only budgets."""


def as_gemini_body(
    request: ChatRequest, *, model: str, signatures: Signatures, include_thoughts: bool = False
) -> bytes:
    """The body for `generateContent`. `include_thoughts` asks for the thinking where the client does not say."""
    is_older = OLDER.match(model) is not None
    turns = encode_contents(request.messages, signatures, must_be_signed=not is_older)
    made: dict[str, Any] = {"contents": turns.contents}
    if turns.system is not None:
        made["systemInstruction"] = turns.system
    if request.tools:
        made["tools"] = [{"functionDeclarations": _declarations(request)}]
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        join_said(made, said(_decode(raw)))
    if (effort := request.fields.get("reasoning_effort", _NULL)) != _NULL:
        join_said(made, _thinking(effort_said(_decode(effort), is_older=is_older)))
    if include_thoughts:
        thinking = made.get("generationConfig", {}).get("thinkingConfig", {})
        join_said(made, _thinking({"includeThoughts": True, **thinking}))
    if any(tool.strict for tool in request.tools):
        made["toolConfig"] = strict_calls(made.get("toolConfig"))
    return _encode(made)


_HERE = frozenset(
    (
        *("model", "messages", "tools", "stream", "stream_options", "assay", "reasoning_effort"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "prediction"),
        *("user", "safety_identifier"),
    )
)


def _declarations(request: ChatRequest) -> list[dict[str, Any]]:
    kinds = [_decode(raw).get("type") for raw in _raws(request.fields.get("tools", Raw(b"[]")))]
    for at, kind in enumerate(kinds):
        if kind != "function":
            raise _unsayable(f"tools[{at}] of the type {kind!r}", f"tools[{at}].type")
    return [encode_declaration(tool) for tool in request.tools]


def _raws(raw: Raw) -> list[Raw]:
    return msgspec.json.decode(raw, type=list[Raw])


def join_said(made: dict[str, Any], said: Mapping[str, Any]) -> None:
    """Several chat fields are one of Gemini's, such as `generationConfig`."""
    for name, value in said.items():
        before = made.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            join_said(before, value)
        else:
            made[name] = value


def strict_calls(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Calls that keep to their schema: any call does where one is demanded, else in the mode for it."""
    calling = dict((config or {}).get("functionCallingConfig", {}))
    calling["mode"] = "VALIDATED" if calling.get("mode", "AUTO") == "AUTO" else calling["mode"]
    return {"functionCallingConfig": calling}


# --- Fields: OpenAI's name → what it is in Gemini's format ---

Said = dict[str, Any]


def _config(**fields: Any) -> Said:
    return {"generationConfig": fields}


def _same(name: str) -> Callable[[Any], Said]:
    return lambda value: {"generationConfig": {name: value}}


def _only(name: str, *neutral: Any) -> Callable[[Any], Said]:
    """A field that may be there as long as it asks for nothing."""

    def said(value: Any) -> Said:
        if value not in neutral:
            raise _unsayable(f"{name} {value!r}", name)
        return {}

    return said


def _stop(value: str | list[str]) -> Said:
    stops = [value] if isinstance(value, str) else value
    return _config(stopSequences=stops) if stops else {}


def _logprobs(value: bool) -> Said:
    return _config(responseLogprobs=True) if value else {}


def _top_logprobs(value: int) -> Said:
    return _config(logprobs=value) if value else {}


def _tool_choice(value: Any) -> Said:
    match value:
        case "auto" | "none":
            return calling(value.upper())
        case "required":
            return calling("ANY")
        case {"type": "function", "function": {"name": str(name)}}:
            return calling("ANY", [name])
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}:
            names = [tool.get("function", {}).get("name") for tool in tools if isinstance(tool, dict)]
            return calling("ANY" if mode == "required" else "VALIDATED", names)
        case _:
            raise _unsayable(f"tool_choice {value!r}", "tool_choice")


def calling(mode: str, names: list[Any] | None = None) -> Said:
    """The `toolConfig` of a mode."""
    only = {} if names is None else {"allowedFunctionNames": names}
    return {"toolConfig": {"functionCallingConfig": {"mode": mode, **only}}}


def _response_format(value: dict[str, Any]) -> Said:
    match value:
        case {"type": "text"}:
            return {}
        case {"type": "json_object"}:
            return _config(responseMimeType="application/json")
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return _config(responseMimeType="application/json", responseJsonSchema=schema)
        case _:
            kind = value.get("type")
            raise _unsayable(
                f"response_format of the type {kind!r}", "response_format.type", hint="Send a json_schema."
            )


def effort_said(value: Any, *, is_older: bool) -> Said:
    """An effort as a `thinkingConfig`."""
    if not isinstance(value, str) or ((value == "none" or is_older) and value not in _BUDGETS):
        raise _unsayable(f"reasoning_effort {value!r}", "reasoning_effort")
    return (
        {"thinkingBudget": _BUDGETS[value]}
        if value == "none" or is_older
        else {"thinkingLevel": value.upper()}
    )


def _thinking(fields: Said) -> Said:
    return _config(thinkingConfig=fields)


def _service_tier(value: str) -> Said:
    match value:
        case "auto":
            return {}
        case "default" | "flex" | "priority":
            return {"serviceTier": "standard" if value == "default" else value}
        case _:
            raise _unsayable(f"service_tier {value!r}", "service_tier")


def _google(value: Any) -> Said:
    """Fields of Gemini's that OpenAI has no name for, as Google writes them for OpenAI's clients."""
    made: Said = {}
    match value:
        case {"google": dict(fields)} if len(value) == 1:
            for name, inner in fields.items():
                match name, inner:
                    case "thinking_config", dict():
                        join_said(made, _thinking({_camel(key): each for key, each in inner.items()}))
                    case "cached_content", str():
                        made["cachedContent"] = inner
                    case "safety_settings", list():
                        made["safetySettings"] = inner
                    case _:
                        raise _unsayable(f"extra_body.google.{name}", f"extra_body.google.{name}")
        case _:
            raise _unsayable(f"extra_body {value!r}", "extra_body")
    return made


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_SAID: dict[str, Callable[[Any], Said]] = {
    "max_tokens": _same("maxOutputTokens"),
    "max_completion_tokens": _same("maxOutputTokens"),
    "temperature": _same("temperature"),
    "top_p": _same("topP"),
    "top_k": _same("topK"),
    "n": _same("candidateCount"),
    "seed": _same("seed"),
    "presence_penalty": _same("presencePenalty"),
    "frequency_penalty": _same("frequencyPenalty"),
    "stop": _stop,
    "logprobs": _logprobs,
    "top_logprobs": _top_logprobs,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _only("parallel_tool_calls", True),
    "response_format": _response_format,
    "service_tier": _service_tier,
    "extra_body": _google,
    "logit_bias": _only("logit_bias", {}),
    "store": _only("store", False),
    "metadata": _only("metadata", {}),
    "modalities": _only("modalities", ["text"]),
    "verbosity": _only("verbosity", "medium"),
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (Gemini's)",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an OpenAI-compatible provider.",
    )
