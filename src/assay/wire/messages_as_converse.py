"""Anthropic's Messages format and Bedrock's Converse, one said in the other: both speak of turns of blocks, so that marks for
the cache, signed thinking, pictures in results and failures of tools survive the way, which they would not by way of a chat.

What Converse cannot say is an `Untranslatable` with the path in Anthropic's format.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import Untranslatable
from assay.wire.anthropic_answers import encode_usage
from assay.wire.as_converse_request import top_k_said
from assay.wire.as_messages_answer import STOP
from assay.wire.converse_answers import (
    FAILED,
    NoAnswer,
    StreamedEvent,
    finish_of,
    read_event,
    usage_of,
)
from assay.wire.converse_turns import encode_tool, encode_turns
from assay.wire.messages_beside import check_beside
from assay.wire.requests import MessagesRequest
from assay.wire.responses import StreamEvent
from assay.wire.usage import Usage

_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_HERE = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "stream", "assay", "cache_control", "metadata")
)


# --- Requests ---


def messages_as_converse(request: MessagesRequest, *, model: str) -> bytes:
    """The body for Converse and ConverseStream; `model` is its id, profile or ARN, for what only some models know."""
    turns = encode_turns(request.messages, check_beside(request, "Bedrock's Converse"))
    if "cache_control" in request.fields and turns.messages:
        turns.messages[-1]["content"].append({"cachePoint": {"type": "default"}})
    made: dict[str, Any] = {"messages": turns.messages}
    if turns.system:
        made["system"] = turns.system
    if request.tools:
        made["toolConfig"] = {"tools": [block for tool in request.tools for block in encode_tool(tool)]}
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


def _choose(made: dict[str, Any], value: Any, *, has_calls: bool) -> None:
    config = made["toolConfig"]
    if isinstance(value, dict) and value.get("disable_parallel_tool_use") and value.get("type") != "none":
        raise _unsayable("tool_choice.disable_parallel_tool_use", "tool_choice.disable_parallel_tool_use")
    match value:
        case {"type": "auto" | "any" as kind}:
            config["toolChoice"] = {kind: {}}
        case {"type": "tool", "name": str(name)}:
            config["toolChoice"] = {"tool": {"name": name}}
        case {"type": "none"} if not has_calls:
            del made["toolConfig"]
        case _:
            raise _unsayable(f"tool_choice {value!r}", "tool_choice")


def _join(made: dict[str, Any], said: dict[str, Any]) -> None:
    for name, value in said.items():
        before = made.get(name)
        made[name] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value


Said = dict[str, Any]
Saying = Callable[[Any, str], Said]


def _inference(name: str) -> Saying:
    return lambda value, _: {"inferenceConfig": {name: value}}


def _thinking(value: Any, model: str) -> Said:
    if "anthropic." in model:
        return {"additionalModelRequestFields": {"thinking": value}}
    if isinstance(value, dict) and value.get("type") in ("disabled", "adaptive"):
        return {}  # another vendor's model thinks as it thinks
    raise _unsayable("thinking with a budget", "thinking")


def _output_config(value: dict[str, Any], _: str) -> Said:
    made: Said = {}
    for name, inner in value.items():
        match name, inner:
            case _, None:
                continue
            case "effort", str():
                made["effort"] = inner
            case "format", {"type": "json_schema", "schema": schema}:
                said = {"schema": _encode(schema).decode()}
                made["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": said}}
            case _:
                raise _unsayable(f"output_config.{name}", f"output_config.{name}")
    return {"outputConfig": made} if made else {}


def _service_tier(value: Any, _: str) -> Said:
    if value not in ("auto", "standard_only"):
        raise _unsayable(f"service_tier {value!r}", "service_tier")
    return {} if value == "auto" else {"serviceTier": {"type": "default"}}


_SAID: dict[str, Saying] = {
    "max_tokens": _inference("maxTokens"),
    "temperature": _inference("temperature"),
    "top_p": _inference("topP"),
    "top_k": top_k_said,
    "stop_sequences": _inference("stopSequences"),
    "thinking": _thinking,
    "output_config": _output_config,
    "service_tier": _service_tier,
}


def _unsayable(what: str, param: str, *, hint: str | None = None) -> Untranslatable:
    return Untranslatable(
        f"{what} cannot be said in the format of this model's provider (Bedrock's Converse)",
        param=param,
        hint=hint or "Leave it out, or ask for a model of an Anthropic provider.",
    )


# --- Streams ---


class ConverseMessages:
    """Turns the events of one answer into Anthropic's. `is_complete` once the vendor has said why it stopped.

    Converse counts at the end: `message_start` says 0, and the last `message_delta`, whose counts are totals, says all.
    """

    def __init__(self, *, id: str, model: str) -> None:
        self.is_complete = False
        self._id = id
        self._model = model
        self._open: set[int] = set()
        self._has_spoken = False
        self._stop_reason = "end_turn"
        self._usage: Usage | None = None

    def of(self, kind: str, payload: bytes) -> Iterator[StreamEvent]:
        """What an event of a kind amounts to. One that says nothing comes back without `raw`: it is a sign of life all the
        same. Raises one of `UNREADABLE`, and `NoAnswer`."""
        sent = read_event(payload)
        made = False
        for body, text in self._bodies(kind, sent):
            made = True
            is_output = body["type"] == "content_block_delta" or "id" in body.get("content_block", {})
            self._has_spoken = self._has_spoken or is_output
            yield StreamEvent(raw=_encode(body), is_output=is_output, text=text, model=self._model)
        if kind == "messageStop":
            self._stop_reason = sent.stop_reason or "end_turn"
            if self._stop_reason in FAILED and not self._has_spoken:
                raise NoAnswer(self._stop_reason)
            self.is_complete = True
        elif kind == "metadata":
            self._usage = usage_of(sent.usage)
        if not made:
            yield StreamEvent(raw=None)

    def end(self) -> Iterator[StreamEvent]:
        """The upstream is through: why it stopped and the counts are told."""
        finish = finish_of(self._stop_reason) or "stop"
        usage = {name: value for name, value in encode_usage(self._usage).items() if name != "cache_creation"}
        delta = {"stop_reason": STOP.get(finish, "end_turn"), "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": usage}
        yield StreamEvent(raw=_encode(last), finish_reason=finish, usage=self._usage, model=self._model)
        yield StreamEvent(raw=_encode({"type": "message_stop"}))

    def _bodies(self, kind: str, sent: StreamedEvent) -> Iterator[tuple[dict[str, Any], str]]:
        index = sent.content_block_index
        match kind:
            case "messageStart":
                yield self._start(), ""
            case "contentBlockStart" if sent.start is not None and sent.start.tool_use is not None:
                use = sent.start.tool_use
                yield from self._opens(
                    index, {"type": "tool_use", "id": use.tool_use_id, "name": use.name, "input": {}}
                )
            case "contentBlockDelta" if sent.delta is not None:
                yield from self._goes_on(index, sent)
            case "contentBlockStop" if index in self._open:
                self._open.remove(index)
                yield {"type": "content_block_stop", "index": index}, ""

    def _start(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
        }
        message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": encode_usage(None)}
        return {"type": "message_start", "message": message}

    def _goes_on(self, index: int, sent: StreamedEvent) -> Iterator[tuple[dict[str, Any], str]]:
        delta = sent.delta
        assert delta is not None, "asked before"
        if delta.text:
            yield from self._opens(index, {"type": "text", "text": ""})
            yield _delta(index, {"type": "text_delta", "text": delta.text}), delta.text
        if delta.tool_use is not None and delta.tool_use.input and index in self._open:
            yield _delta(index, {"type": "input_json_delta", "partial_json": delta.tool_use.input}), ""
        thought = delta.reasoning_content
        if thought is None:
            return
        if thought.redacted_content is not None:
            yield from self._opens(index, {"type": "redacted_thinking", "data": thought.redacted_content})
            return
        yield from self._opens(index, {"type": "thinking", "thinking": "", "signature": ""})
        if thought.text:
            yield _delta(index, {"type": "thinking_delta", "thinking": thought.text}), ""
        if thought.signature:
            yield _delta(index, {"type": "signature_delta", "signature": thought.signature}), ""

    def _opens(self, index: int, block: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
        if index not in self._open:
            self._open.add(index)
            yield {"type": "content_block_start", "index": index, "content_block": block}, ""


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}
