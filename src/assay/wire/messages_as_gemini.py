"""A request of Anthropic's Messages format, said in Gemini's: pictures in results, failures of tools and budgets of thinking
survive the way, which they would not by way of a chat. Marks for the cache are left behind: Gemini finds what repeats by itself.

What Gemini's format cannot say is an `Untranslatable` with the path in Anthropic's format.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.as_gemini_request import OLDER, calling, effort_said, join_said, strict_calls
from assay.wire.gemini_turns import Signatures, encode_contents, encode_declaration
from assay.wire.messages_beside import check_beside
from assay.wire.requests import MessagesRequest

_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_THOUGHTLESS = re.compile(r"(models/)?gemini-(1|2\.0)")
"""Models that do not think, and refuse to be asked about it."""
_HERE = frozenset(("model", "messages", "system", "tools", "stream", "assay", "cache_control", "metadata"))


def messages_as_gemini(
    request: MessagesRequest, *, model: str, signatures: Signatures, include_thoughts: bool = False
) -> bytes:
    """The body for `generateContent`. `include_thoughts` asks for the thinking where the client does not."""
    turns = encode_contents(
        request.messages,
        signatures,
        must_be_signed=OLDER.match(model) is None,
        places=check_beside(request, "Gemini"),
    )
    made: dict[str, Any] = {"contents": turns.contents}
    if turns.system is not None:
        made["systemInstruction"] = turns.system
    if request.tools:
        made["tools"] = [{"functionDeclarations": [encode_declaration(tool) for tool in request.tools]}]
    if include_thoughts:
        made["generationConfig"] = {"thinkingConfig": {"includeThoughts": True}}
    for name, raw in request.fields.items():
        if name in _HERE or raw == _NULL:
            continue
        said = _SAID.get(name)
        if said is None:
            raise _unsayable(name, name)
        join_said(made, said(_decode(raw), model))
    if any(tool.strict for tool in request.tools):
        made["toolConfig"] = strict_calls(made.get("toolConfig"))
    return _encode(made)


Said = dict[str, Any]
Saying = Callable[[Any, str], Said]


def _config(name: str) -> Saying:
    return lambda value, _: {"generationConfig": {name: value}}


def _tool_choice(value: dict[str, Any], _: str) -> Said:
    if value.get("disable_parallel_tool_use") and value.get("type") != "none":
        raise _unsayable("tool_choice.disable_parallel_tool_use", "tool_choice.disable_parallel_tool_use")
    match value:
        case {"type": "auto" | "any" | "none" as kind}:
            return calling(kind.upper())
        case {"type": "tool", "name": str(name)}:
            return calling("ANY", [name])
        case _:
            raise _unsayable(f"tool_choice {value!r}", "tool_choice")


def _thinking(value: dict[str, Any], model: str) -> Said:
    match value:
        case {"type": "disabled"}:
            return {}  # Gemini thinks as it thinks
        case {"type": "adaptive"}:
            said: Said = {} if _THOUGHTLESS.match(model) else {"includeThoughts": True}
        case {"type": "enabled", "budget_tokens": int(budget)}:
            said = {"includeThoughts": True, "thinkingBudget": budget}
        case _:
            raise _unsayable(f"thinking {value!r}", "thinking")
    return {"generationConfig": {"thinkingConfig": said}} if said else {}


def _output_config(value: dict[str, Any], model: str) -> Said:
    made: Said = {}
    for name, inner in value.items():
        match name, inner:
            case _, None:
                continue
            case "effort", str():
                made["thinkingConfig"] = effort_said(inner, is_older=OLDER.match(model) is not None)
            case "format", {"type": "json_schema", "schema": schema}:
                made |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
            case _:
                raise _unsayable(f"output_config.{name}", f"output_config.{name}")
    return {"generationConfig": made} if made else {}


def _service_tier(value: Any, _: str) -> Said:
    if value not in ("auto", "standard_only"):
        raise _unsayable(f"service_tier {value!r}", "service_tier")
    return {} if value == "auto" else {"serviceTier": "standard"}


_SAID: dict[str, Saying] = {
    "max_tokens": _config("maxOutputTokens"),
    "temperature": _config("temperature"),
    "top_p": _config("topP"),
    "top_k": _config("topK"),
    "stop_sequences": _config("stopSequences"),
    "tool_choice": _tool_choice,
    "thinking": _thinking,
    "output_config": _output_config,
    "service_tier": _service_tier,
}


def _unsayable(what: str, param: str) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (Gemini's)",
        param=param,
        hint="Leave it out, or ask for a model of an Anthropic provider.",
    )
