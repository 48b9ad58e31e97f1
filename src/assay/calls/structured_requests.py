"""Requests for JSON of a schema, in each format: the schema they name, and the same request asked in words, or once more."""

from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from assay.wire.anthropic import decode_messages
from assay.wire.openai_chat import decode_message
from assay.wire.requests import ChatRequest, Fields, MessagesRequest
from assay.wire.responses_api import ResponsesRequest, with_items

SILENT = "(no answer)"
"""Stands for an empty answer: no format lets an assistant's turn be empty."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_raws = msgspec.json.Decoder(list[Raw]).decode


class Turn(NamedTuple):
    """An answer that did not fit, and what is said to it."""

    answer: str
    reply: str


def schema_of(request: ChatRequest) -> dict[str, Any] | None:
    """The JSON Schema that the answer is asked to fit, if the request names one."""
    if isinstance(request, MessagesRequest):
        return _schema(request.fields, "output_config", ("format", "schema"))
    if isinstance(request, ResponsesRequest):
        return _schema(request.fields, "text", ("format", "schema"))
    return _schema(request.fields, "response_format", ("json_schema", "schema"))


def in_words(request: ChatRequest, instruction: str) -> ChatRequest:
    """The same request without the field that names the schema, and with the instruction after the system prompt."""
    fields = dict(request.fields)
    if isinstance(request, MessagesRequest):
        _without(fields, "output_config", "format")
        before = _decode(fields.get("system", b"null"))
        if isinstance(before, list):
            fields["system"] = Raw(_encode([*before, {"type": "text", "text": instruction}]))
        else:
            fields["system"] = Raw(_encode(_joined(before, instruction)))
        return _read_again(request, fields)
    if isinstance(request, ResponsesRequest):
        _without(fields, "text", "format")
        said = _joined(request.instructions, instruction)
        fields["instructions"] = Raw(_encode(said))
        return with_items(replace(request, fields=fields, instructions=said), request.items)
    fields.pop("response_format", None)
    messages = _raws(fields["messages"])
    first = _decode(messages[0]) if messages else {}
    if first.get("role") in ("system", "developer") and isinstance(first.get("content"), str):
        messages[0] = Raw(_encode({**first, "content": _joined(first["content"], instruction)}))
    else:
        messages.insert(0, Raw(_encode({"role": "system", "content": instruction})))
    return _with_messages(request, fields, messages)


def once_more(request: ChatRequest, turns: list[Turn]) -> ChatRequest:
    """The same request after these turns."""
    if not turns:
        return request
    said = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in (("assistant", turn.answer or SILENT), ("user", turn.reply))
    ]
    more = [Raw(_encode(each)) for each in said]
    if isinstance(request, ResponsesRequest):
        return with_items(request, [*request.items, *more])
    fields = dict(request.fields)
    messages = [*_raws(fields["messages"]), *more]
    if isinstance(request, MessagesRequest):
        return _read_again(request, {**fields, "messages": Raw(_encode(messages))})
    return _with_messages(request, fields, messages)


def _with_messages(request: ChatRequest, fields: Fields, messages: list[Raw]) -> ChatRequest:
    fields["messages"] = Raw(_encode(messages))
    made = tuple([decode_message(raw, f"messages[{at}]") for at, raw in enumerate(messages)])
    return replace(request, messages=made, fields=fields)


def _read_again(request: MessagesRequest, fields: Fields) -> MessagesRequest:
    read = decode_messages(_encode(fields))
    return replace(request, messages=read.messages, places=read.places, fields=fields)


def _schema(fields: Fields, name: str, path: tuple[str, ...]) -> dict[str, Any] | None:
    value = _decode(fields.get(name, b"null"))
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def _without(fields: Fields, name: str, key: str) -> None:
    value = _decode(fields.get(name, b"null")) or {}
    value.pop(key, None)
    if value:
        fields[name] = Raw(_encode(value))
    else:
        fields.pop(name, None)


def _joined(before: str | None, instruction: str) -> str:
    return f"{before}\n\n{instruction}" if before else instruction
