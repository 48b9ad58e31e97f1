"""Messages of the dialects as OpenAI's chat messages, the shape in which every span keeps them."""

from collections.abc import Iterator
from typing import Any

from assay.traces.dialects.reading import decoded, encoded

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "function": "tool",
    "chat": "user",
}
_BY_PART = {"image": "image_url", "audio": "input_audio"}


def role_of(sent: Any, otherwise: str = "user") -> str:
    """A role that OpenAI's format knows, where the word means one."""
    word = sent.lower() if isinstance(sent, str) and sent else otherwise
    return _ROLES.get(word, word)


def chat(
    role: str,
    content: Any,
    *,
    calls: list[dict[str, Any]] | None = None,
    answers: str | None = None,
    name: str | None = None,
) -> bytes:
    """One message. `calls` are tool calls, `answers` is the id of the call that a tool's message answers."""
    made: dict[str, Any] = {"role": role, "content": content}
    if name:
        made["name"] = name
    if calls:
        made["tool_calls"] = calls
    if answers:
        made["tool_call_id"] = answers
    return encoded(made)


def tool_call(id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A tool call; arguments that were sent as a value become JSON text."""
    said = (
        arguments
        if isinstance(arguments, str)
        else encoded(arguments if arguments is not None else {}).decode()
    )
    return {
        "id": id if isinstance(id, str) else "",
        "type": "function",
        "function": {"name": name if isinstance(name, str) else "", "arguments": said},
    }


def plain(value: Any) -> str:
    """A value where a message holds text."""
    return value if isinstance(value, str) else encoded(value).decode()


# --- OpenTelemetry: `{"role", "parts": [...]}` ---


def from_parts(sent: Any, otherwise: str = "user") -> Iterator[bytes]:
    """The messages of a list in OpenTelemetry's shape. Those that are in OpenAI's already stay as they are."""
    for message in sent if isinstance(sent, list) else [sent]:
        if isinstance(message, dict) and isinstance(message.get("parts"), list):
            yield from _with_parts(message, otherwise)
        elif isinstance(message, dict):
            yield encoded({**message, "role": role_of(message.get("role"), otherwise)})
        elif message is not None:
            yield chat(otherwise, plain(message))


def system(sent: Any) -> Iterator[bytes]:
    """`gen_ai.system_instructions`, a list of parts or a text, as a system message."""
    if isinstance(sent, list) and sent:
        yield from _with_parts({"role": "system", "parts": sent}, "system")


def _with_parts(message: dict[str, Any], otherwise: str) -> Iterator[bytes]:
    content: list[Any] = []
    calls: list[dict[str, Any]] = []
    for part in message["parts"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("content"), str):
            content.append({"type": "text", "text": part["content"]})
        elif kind == "tool_call":
            calls.append(tool_call(part.get("id"), part.get("name"), part.get("arguments")))
        elif kind == "tool_call_response":
            result, id = part.get("response", part.get("result")), part.get("id")
            yield chat("tool", plain(result), answers=id if isinstance(id, str) else None)
        else:
            content.append(_part(part))
    if content or calls:
        name = message.get("name")
        yield chat(
            role_of(message.get("role"), otherwise),
            _joined(content),
            calls=calls,
            name=name if isinstance(name, str) else None,
        )


def _joined(content: list[Any]) -> Any:
    """A single text is said as a text."""
    if len(content) == 1 and content[0].keys() == {"type", "text"} and content[0]["type"] == "text":
        return content[0]["text"]
    return content or None


def _part(part: Any) -> dict[str, Any]:
    match part:
        case str(said):
            return {"type": "text", "text": said}
        case {"type": "reasoning", "content": str(said)}:
            return {"type": "reasoning", "text": said}
        case {"type": "blob", "modality": "image", "content": str(octets), "mime_type": str(mime)}:
            return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{octets}"}}
        case {"type": "blob", "modality": "audio", "content": str(octets), "mime_type": str(mime)}:
            return {"type": "input_audio", "input_audio": {"data": octets, "format": mime.partition("/")[2]}}
        case {"type": "uri", "modality": "image", "uri": str(address)}:
            return {"type": "image_url", "image_url": {"url": address}}
        case {"type": "file", "file_id": str(id)}:
            return {"type": "file", "file": {"file_id": id}}
        case {"type": str()}:
            return dict(part)
        case _:
            return {"type": "unknown", "value": part}


# --- OpenInference: `message.role`, `message.content`, `message.contents`, `message.tool_calls` ---


def from_openinference(flattened: list[Any], otherwise: str) -> Iterator[bytes]:
    """Messages that `reading.indexed` has put together again."""
    for entry in flattened:
        message = entry.get("message") if isinstance(entry, dict) else None
        if not isinstance(message, dict):
            continue
        calls = [
            tool_call(call.get("id"), function.get("name"), function.get("arguments"))
            for item in _list(message.get("tool_calls"))
            if isinstance(call := item.get("tool_call"), dict)
            and isinstance(function := call.get("function", {}), dict)
        ]
        if isinstance(asked := message.get("function_call_name"), str):
            calls.append(tool_call(None, asked, message.get("function_call_arguments_json")))
        contents = [_openinference_part(item) for item in _list(message.get("contents"))]
        content = message.get("content")
        answers, name = message.get("tool_call_id"), message.get("name")
        yield chat(
            role_of(message.get("role"), otherwise),
            _joined(contents) if contents else (None if content is None else plain(content)),
            calls=calls,
            answers=answers if isinstance(answers, str) else None,
            name=name if isinstance(name, str) else None,
        )


def _openinference_part(item: Any) -> dict[str, Any]:
    match item.get("message_content"):
        case {"type": "text", "text": str(said)} | {"text": str(said)}:
            return {"type": "text", "text": said}
        case {"type": "image", "image": {"image": {"url": str(address)}}}:
            return {"type": "image_url", "image_url": {"url": address}}
        case {"type": "reasoning", "text": str(said)}:
            return {"type": "reasoning", "text": said}
        case {"type": str()} as other:
            return dict(other)
        case other:
            return {"type": "unknown", "value": other}


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# --- Flattened prompts of the years before: `gen_ai.prompt.0.role`, `gen_ai.completion.0.content` ---


def from_indexed(flattened: list[Any], otherwise: str) -> Iterator[bytes]:
    """Messages of `gen_ai.prompt.N.*` and `gen_ai.completion.N.*`."""
    for entry in flattened:
        if not isinstance(entry, dict):
            continue
        calls = [
            tool_call(call.get("id"), call.get("name"), call.get("arguments"))
            for call in _list(entry.get("tool_calls"))
        ]
        content, answers = entry.get("content"), entry.get("tool_call_id")
        if isinstance(content, str) and content[:1] == "[" and isinstance(parts := decoded(content), list):
            content = parts if all(isinstance(part, dict) and "type" in part for part in parts) else content
        yield chat(
            role_of(entry.get("role"), otherwise),
            content if content is None or isinstance(content, list) else plain(content),
            calls=calls,
            answers=answers if isinstance(answers, str) else None,
        )
