"""Messages and tools of other formats, said in the format of Bedrock's Converse.

Turns of the user and the assistant take turns there, so what follows one another in one role is one turn. A mark for the cache
beside a part or a tool (`cache_control`) is a `cachePoint` behind it. What the format cannot say is an `Untranslatable` whose
`param` is the path in OpenAI's format.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from assay.errors import Untranslatable
from assay.wire.inline_media import read_data_url
from assay.wire.messages import (
    AudioPart,
    Beside,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    Tool,
    ToolCall,
)
from assay.wire.openai_chat import UNREADABLE
from assay.wire.requests import Fields

_IMAGES = {f"image/{kind}": kind for kind in ("png", "jpeg", "gif", "webp")} | {"image/jpg": "jpeg"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_ROLES = {"user": "user", "tool": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\-()\[\]]+")

_fields = msgspec.json.Decoder(Fields)


class _Mark(Struct, frozen=True):
    ttl: str | None = None


class _Redacted(Struct, frozen=True):
    data: str


_mark = msgspec.json.Decoder(_Mark)
_redacted = msgspec.json.Decoder(_Redacted)


class Turns(Struct, frozen=True):
    """The top-level `system` and the `messages`. `has_calls`: tools were used in them."""

    system: list[Any]
    messages: list[dict[str, Any]]
    has_calls: bool


def encode_turns(messages: Sequence[Message], places: Sequence[str] = ()) -> Turns:
    """Messages in this format. System messages before all others are the system prompt; a later one stays where it is, which
    only some models take. `places` says where each stood, if not in `messages`."""
    system: list[Any] = []
    turns: list[dict[str, Any]] = []
    for at, message in enumerate(messages):
        place = places[at] if places else f"messages[{at}]"
        role = _ROLES.get(message.role)
        if role is None:
            raise Untranslatable(
                f"{place}.role is 'function', which Converse does not have",
                param=f"{place}.role",
                hint="Send tools and messages of the role 'tool'.",
            )
        if message.role == "tool":
            blocks = [_result(message, place), *_cache_point(message.beside)]
        else:
            blocks = _blocks(message.parts, place)
            for k, call in enumerate(message.tool_calls):
                blocks += [_call(call, f"{place}.tool_calls[{k}]"), *_cache_point(call.beside)]
        if role == "system" and not turns:
            system += blocks
        elif turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks or role == "user":
            turns.append({"role": role, "content": blocks or [{"text": ""}]})
    _name_apart([block for turn in turns for block in turn["content"]])
    return Turns(system, turns, any(message.tool_calls or message.role == "tool" for message in messages))


def _name_apart(blocks: Sequence[dict[str, Any]]) -> None:
    """Bedrock takes no two documents of one name. The first keeps it, so that a conversation that goes on says the same."""
    named: dict[str, int] = {}
    for block in blocks:
        results = block["toolResult"]["content"] if "toolResult" in block else ()
        for document in [each["document"] for each in (block, *results) if "document" in each]:
            name = document["name"]
            named[name] = named.get(name, 0) + 1
            if named[name] > 1:
                document["name"] = f"{name[:190]} ({named[name]})"


def encode_tool(tool: Tool) -> list[dict[str, Any]]:
    """A tool definition, and the mark behind it."""
    made: dict[str, Any] = {"name": tool.name}
    if tool.description:
        made["description"] = tool.description
    made["inputSchema"] = {"json": tool.parameters or {"type": "object", "properties": {}}}
    if tool.strict:
        made["strict"] = True
    return [{"toolSpec": made}, *_cache_point(tool.beside)]


def _blocks(parts: Sequence[Part], place: str) -> list[Any]:
    made: list[Any] = []
    for at, part in enumerate(parts):
        block = _block(part, f"{place}.content[{at}]", at)
        if block is not None:
            made += [block, *_cache_point(getattr(part, "beside", None))]
    return made


def _block(part: Part, place: str, at: int) -> dict[str, Any] | None:
    """None for what has no place in a request: empty texts, which Bedrock refuses, and thinking without its signature."""
    match part:
        case TextPart() | RefusalPart():
            return {"text": part.text} if part.text else None
        case ImagePart():
            return {"image": _image(part.url, f"{place}.image_url.url")}
        case AudioPart():
            return {"audio": {"format": part.format, "source": {"bytes": part.data}}}
        case FilePart():
            return {"document": _document(part, place, at)}
        case ReasoningPart():
            if not part.signature:
                return None
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
        case OpaquePart(type="redacted_thinking"):
            return {"reasoningContent": {"redactedContent": _redacted_in(part, place)}}
        case OpaquePart():
            raise Untranslatable(f"{place}: Converse has no content of the type {part.type!r}", param=place)


def _cache_point(beside: Beside | None) -> list[dict[str, Any]]:
    raw = (beside or {}).get("cache_control")
    if raw is None or raw == Raw(b"null"):
        return []
    try:
        ttl = _mark.decode(raw).ttl
    except UNREADABLE:
        ttl = None
    return [{"cachePoint": {"type": "default"} if ttl is None else {"type": "default", "ttl": ttl}}]


def _redacted_in(part: OpaquePart, place: str) -> str:
    try:
        return _redacted.decode(part.json).data
    except UNREADABLE as error:
        raise Untranslatable(f"{place} is no redacted thinking: {error}", param=place) from error


def _call(call: ToolCall, place: str) -> dict[str, Any]:
    arguments = Raw(call.arguments.strip().encode() or b"{}")
    try:
        _fields.decode(arguments)
    except UNREADABLE as error:
        raise Untranslatable(
            f"{place}.function.arguments is no JSON object: {error}",
            param=f"{place}.function.arguments",
            hint="Converse takes the input of a tool as an object.",
        ) from error
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments}}


def _result(message: Message, place: str) -> dict[str, Any]:
    made = {"toolUseId": message.tool_call_id or "", "content": _blocks(message.parts, place)}
    return {"toolResult": {**made, "status": "error"} if message.is_error else made}


def _image(url: str, place: str) -> dict[str, Any]:
    if url.startswith("s3://"):
        kind = _IMAGES.get(f"image/{url.rpartition('.')[2].lower()}")
        if kind is None:
            raise Untranslatable(f"{place} does not end in .png, .jpg, .jpeg, .gif or .webp", param=place)
        return {"format": kind, "source": {"s3Location": {"uri": url}}}
    if not url.startswith("data:"):
        raise Untranslatable(
            f"{place} is an address, and Converse takes images only as data or from S3",
            param=place,
            hint="Send the image itself as a `data:` URL.",
        )
    media_type, octets = read_data_url(url, place)
    if media_type not in _IMAGES:
        raise Untranslatable(
            f"{place} is {media_type!r}: Converse takes {', '.join(sorted(set(_IMAGES.values())))}",
            param=place,
        )
    return {"format": _IMAGES[media_type], "source": {"bytes": octets}}


def _document(part: FilePart, place: str, at: int) -> dict[str, Any]:
    if part.data is None:
        raise Untranslatable(
            f"{place}.file.file_id names a file at another vendor",
            param=f"{place}.file.file_id",
            hint="Send the file itself as `file_data`.",
        )
    media_type, octets = read_data_url(part.data, f"{place}.file.file_data")
    if media_type not in _DOCUMENTS:
        raise Untranslatable(
            f"{place}.file.file_data is {media_type!r}: Converse takes {', '.join(_DOCUMENTS.values())}",
            param=f"{place}.file.file_data",
        )
    stem = (part.filename or "").rpartition(".")[0] or part.filename or ""
    name = _NOT_IN_NAMES.sub(" ", stem).strip()[:200] or f"document {at + 1}"
    return {"format": _DOCUMENTS[media_type], "name": name, "source": {"bytes": octets}}
