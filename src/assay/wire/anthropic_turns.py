"""Messages and tools that came in another format, said in Anthropic's.

What it cannot say is an `Untranslatable` whose `param` is the path in OpenAI's format, where such messages come from.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from assay.errors import Untranslatable
from assay.wire.inline_media import read_data_url
from assay.wire.messages import (
    AudioPart,
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

PDF = "application/pdf"

NATIVE = frozenset(
    (
        *("document", "search_result", "redacted_thinking", "image", "container_upload", "server_tool_use"),
        *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"),
        *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
        *("tool_search_tool_result", "tool_reference", "mcp_tool_use", "mcp_tool_result"),
    )
)
"""Blocks of this format that Assay carries without understanding them."""

_fields = msgspec.json.Decoder(Fields)


class Turns(Struct, frozen=True):
    """The top-level `system`, if any, and the `messages`."""

    system: Any
    messages: list[dict[str, Any]]


def encode_turns(messages: Sequence[Message]) -> Turns:
    """Messages in this format.

    The results of parallel calls stand in one turn, as Anthropic demands, with the user's next words behind them. A system
    message before all others is the system prompt; a later one stays where it is.
    """
    system: list[Any] = []
    turns: list[dict[str, Any]] = []
    answers_tools = False
    for at, message in enumerate(messages):
        place = f"messages[{at}]"
        if message.role in ("system", "developer"):
            blocks = _blocks(message.parts, place)
            if turns:
                turns.append({"role": "system", "content": _plain(blocks)})
            else:
                system += blocks
            answers_tools = False
        elif message.role == "tool":
            if not answers_tools:
                turns.append({"role": "user", "content": []})
            turns[-1]["content"].append(_encode_result(message, place))
            answers_tools = True
        elif message.role == "user":
            blocks = _blocks(message.parts, place)
            if answers_tools:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": "user", "content": _plain(blocks)})
            answers_tools = False
        elif message.role == "assistant":
            turns.append({"role": "assistant", "content": _plain(_spoken(message, place))})
            answers_tools = False
        else:
            raise Untranslatable(
                f"{place}.role is 'function', which Anthropic's format does not have",
                param=f"{place}.role",
                hint="Send tools and messages of the role 'tool'.",
            )
    return Turns(_plain(system) if system else None, turns)


def encode_block(part: Part, place: str = "content") -> Any:
    """One content block; None for what has no place in a request (thinking without its signature)."""
    match part:
        case TextPart():
            return {"type": "text", "text": part.text, **(part.beside or {})}
        case ImagePart():
            return {"type": "image", "source": _image_source(part.url, place), **(part.beside or {})}
        case FilePart():
            return _encode_document(part, place)
        case ReasoningPart():
            if not part.signature:
                return None
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case RefusalPart():
            return {"type": "text", "text": part.text}
        case OpaquePart() if part.type in NATIVE:
            return part.json
        case OpaquePart() | AudioPart():
            kind = "input_audio" if isinstance(part, AudioPart) else part.type
            raise Untranslatable(
                f"{place}: Anthropic's format has no content of the type {kind!r}", param=place
            )


def encode_call(call: ToolCall, place: str = "tool_calls") -> dict[str, Any]:
    """A tool call; its arguments must be a JSON object by now."""
    arguments = Raw(call.arguments.strip().encode() or b"{}")
    try:
        _fields.decode(arguments)
    except UNREADABLE as error:
        raise Untranslatable(
            f"{place}.function.arguments is no JSON object: {error}",
            param=f"{place}.function.arguments",
            hint="Anthropic's format takes the input of a tool as an object.",
        ) from error
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments, **(call.beside or {})}


def encode_tool(tool: Tool, place: str = "tools") -> dict[str, Any]:
    """A tool definition."""
    made: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        made["description"] = tool.description
    made["input_schema"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None:
        made["strict"] = tool.strict
    return made | (tool.beside or {})


def _blocks(parts: Sequence[Part], place: str) -> list[Any]:
    made = [encode_block(part, f"{place}.content[{at}]") for at, part in enumerate(parts)]
    return [block for block in made if block is not None]


def _spoken(message: Message, place: str) -> list[Any]:
    calls = [encode_call(call, f"{place}.tool_calls[{at}]") for at, call in enumerate(message.tool_calls)]
    return [*_blocks(message.parts, place), *calls]


def _plain(blocks: list[Any]) -> Any:
    """A single text is said as a text."""
    if not blocks:
        return ""
    only = blocks[0]
    is_text = len(blocks) == 1 and isinstance(only, dict) and only.keys() == {"type", "text"}
    return only["text"] if is_text and only["text"] else blocks


def _encode_result(message: Message, place: str) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
    blocks = _blocks(message.parts, place)
    if blocks:
        made["content"] = _plain(blocks)
    if message.is_error:
        made["is_error"] = True
    return made | (message.beside or {})


def _image_source(url: str, place: str) -> dict[str, str]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    media_type, octets = read_data_url(url, f"{place}.image_url.url")
    return {"type": "base64", "media_type": media_type, "data": octets}


def _encode_document(part: FilePart, place: str) -> dict[str, Any]:
    if part.data is None:
        raise Untranslatable(
            f"{place}.file.file_id names a file at another vendor",
            param=f"{place}.file.file_id",
            hint="Send the file itself as `file_data`.",
        )
    media_type, octets = read_data_url(part.data, f"{place}.file.file_data")
    if media_type != PDF:
        raise Untranslatable(
            f"{place}.file.file_data is {media_type!r}: Anthropic's format takes PDF only",
            param=f"{place}.file.file_data",
            hint="Send other documents as text.",
        )
    source = {"type": "base64", "media_type": media_type, "data": octets}
    titled = {} if part.filename is None else {"title": part.filename}
    return {"type": "document", "source": source, **titled, **(part.beside or {})}
