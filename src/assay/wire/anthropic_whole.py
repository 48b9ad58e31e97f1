"""Between the two ways to give an answer in Anthropic's format: the whole message as events, and events as the whole one.

Both work on JSON as it lies there, so what Assay does not know goes along. A block is told in one piece.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Any])
_TOLD = {"text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta"}
"""Texts of a block, and the deltas that tell them."""


def events_of(body: bytes) -> Iterator[bytes]:
    """The events that tell a whole message."""
    whole = _object.decode(body)
    usage = whole.get("usage") or {}
    blank: dict[str, Any] = {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 0},
    }
    yield _encode({"type": "message_start", "message": {**whole, **blank}})
    for index, block in enumerate(whole.get("content") or ()):
        yield from (_encode({"type": kind, "index": index, **more}) for kind, more in _told(block))
    delta = {name: whole.get(name) for name in ("stop_reason", "stop_sequence")}
    yield _encode({"type": "message_delta", "delta": delta, "usage": usage})
    yield _encode({"type": "message_stop"})


def whole_of(events: Sequence[bytes]) -> bytes | None:
    """The whole message that was told in these events; None when it did not come to its end."""
    made: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    is_complete = False
    for raw in events:
        event = _object.decode(raw)
        index = event.get("index", 0)
        match event["type"]:
            case "message_start":
                made = event["message"]
            case "content_block_start":
                blocks[index] = event["content_block"]
            case "content_block_delta":
                delta = event["delta"]
                if "partial_json" in delta:
                    inputs[index] = inputs.get(index, "") + delta["partial_json"]
                else:
                    _add(blocks[index], delta)
            case "message_delta":
                made |= event.get("delta") or {}
                counted = {name: value for name, value in event.get("usage", {}).items() if value is not None}
                made["usage"] = {**(made.get("usage") or {}), **counted}
            case "message_stop":
                is_complete = True
    for index, written in inputs.items():
        if written:
            blocks[index]["input"] = msgspec.json.decode(written)
    made["content"] = [blocks[index] for index in sorted(blocks)]
    return _encode(made) if is_complete and made.get("stop_reason") else None


def _told(block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    began = dict(block)
    deltas: list[dict[str, Any]] = []
    if block.get("type") in ("text", "thinking"):
        deltas += [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        if began.get("citations"):
            began["citations"] = []
        for name, kind in _TOLD.items():
            if block.get(name):
                began[name] = ""
                deltas.append({"type": kind, name: block[name]})
    elif block.get("type") == "tool_use":
        began["input"] = {}
        deltas.append(
            {"type": "input_json_delta", "partial_json": _encode(block.get("input") or {}).decode()}
        )
    yield "content_block_start", {"content_block": began}
    for delta in deltas:
        yield "content_block_delta", {"delta": delta}
    yield "content_block_stop", {}


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in _TOLD:
        if name in delta:
            block[name] = (block.get(name) or "") + delta[name]
    if "citation" in delta:
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
