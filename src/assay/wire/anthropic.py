"""Anthropic's Messages format, requests: text to structs and back.

One turn of this format may hold what `wire.messages` keeps apart: two tool results and a text of the user are three messages
here. So a decoded message has no `raw`. What goes to an upstream of the same format is the request's `fields`, letter for
letter; `wire.anthropic_turns` is for messages that came in another format.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.errors import BadRequest
from assay.wire.messages import (
    Beside,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    TextPart,
    Tool,
    ToolCall,
)
from assay.wire.openai_chat import MAX_MESSAGES, UNREADABLE, bad_field, decode_body
from assay.wire.requests import AssayFields, Fields, MessagesRequest

# --- The wire's own shapes: only what is read or checked; msgspec skips the rest. ---


class _Turn(Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


class _ToolChoice(Struct, frozen=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Metadata(Struct, frozen=True):
    user_id: str | None = None


class _Thinking(Struct, frozen=True):
    type: str
    budget_tokens: int | None = None


class _Counted(Struct, frozen=True, kw_only=True):
    """What `/v1/messages/count_tokens` takes too."""

    model: str
    messages: list[_Turn]
    system: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    assay: AssayFields | None = None


class _Messages(_Counted, frozen=True, kw_only=True):
    max_tokens: int
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    metadata: _Metadata | None = None
    output_config: dict[str, Any] | None = None


class _Tool(Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    input_schema: Raw | UnsetType = UNSET
    strict: bool | None = None


class _Kind(Struct, frozen=True):
    type: str


class _Text(Struct, frozen=True):
    text: str


class _Source(Struct, frozen=True):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class _Pictured(Struct, frozen=True):
    source: _Source
    title: str | None = None


class _Thought(Struct, frozen=True):
    thinking: str
    signature: str = ""


class _ToolUse(Struct, frozen=True):
    id: str
    name: str
    input: Raw


class _ToolResult(Struct, frozen=True):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None


_messages = msgspec.json.Decoder(_Messages)
_counted = msgspec.json.Decoder(_Counted)
_fields = msgspec.json.Decoder(Fields)
_kind = msgspec.json.Decoder(_Kind)
_text = msgspec.json.Decoder(_Text)
_pictured = msgspec.json.Decoder(_Pictured)
_thought = msgspec.json.Decoder(_Thought)
_tool_use = msgspec.json.Decoder(_ToolUse)
_tool_result = msgspec.json.Decoder(_ToolResult)
_tool = msgspec.json.Decoder(_Tool)
_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")


# --- Requests in ---


def decode_messages(body: bytes) -> MessagesRequest:
    """A `/v1/messages` body. Raises `BadRequest` whose `param` is the field's path, e.g. `messages[2].content[0].source`."""
    return _decoded(body, _messages)


def decode_counted(body: bytes) -> MessagesRequest:
    """A `/v1/messages/count_tokens` body: the same without `max_tokens` and what steers the answer."""
    return _decoded(body, _counted)


def encode_fields(fields: Fields, *, model: str) -> bytes:
    """The body for an upstream of this format: the client's fields letter for letter, with the upstream's name for the model
    and without `assay`."""
    edited = {**fields, "model": Raw(_encode(model))}
    edited.pop("assay", None)
    return _encode(edited)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[Any]) -> MessagesRequest:
    fields, sent = decode_body(body, decoder)
    if not sent.messages:
        raise BadRequest("messages is empty", param="messages", hint="Send at least one message.")
    if len(sent.messages) > MAX_MESSAGES:
        raise BadRequest(f"More than {MAX_MESSAGES:,} messages cannot be sent at once", param="messages")
    placed = list(_system(sent.system)) if sent.system else []
    for at, turn in enumerate(sent.messages):
        placed += _split(turn, f"messages[{at}]")
    return MessagesRequest(
        model=sent.model,
        messages=tuple([message for message, _ in placed]),
        places=tuple([place for _, place in placed]),
        tools=tuple([_tool_of(raw, f"tools[{at}]") for at, raw in enumerate(sent.tools or ())]),
        stream=bool(getattr(sent, "stream", None)),
        include_usage=True,
        assay=sent.assay,
        fields=fields,
    )


_Placed = tuple[Message, str]


def _system(sent: str | list[Raw]) -> Iterator[_Placed]:
    parts: tuple[Part, ...] = (TextPart(sent),) if isinstance(sent, str) else ()
    if not isinstance(sent, str):
        blocks = [decode_block(raw, f"system[{at}]") for at, raw in enumerate(sent)]
        parts = tuple([block for block in blocks if not isinstance(block, ToolCall | Message)])
    yield Message(role="system", parts=parts), "system"


def _split(turn: _Turn, place: str) -> Iterator[_Placed]:
    """One turn as messages: each tool result is its own, with what stands before and after it in its order."""
    if isinstance(turn.content, str):
        parts = (TextPart(turn.content),) if turn.content else ()
        yield Message(role=turn.role, parts=parts), place
        return
    parts_now: list[Part] = []
    calls: list[ToolCall] = []
    is_whole = True
    for at, raw in enumerate(turn.content):
        block = decode_block(raw, f"{place}.content[{at}]")
        if isinstance(block, Message):
            if parts_now:
                yield Message(role=turn.role, parts=tuple(parts_now)), place
                parts_now = []
            yield block, f"{place}.content[{at}]"
            is_whole = False
        elif isinstance(block, ToolCall):
            calls.append(block)
        else:
            parts_now.append(block)
    if parts_now or calls or is_whole:
        yield Message(role=turn.role, parts=tuple(parts_now), tool_calls=tuple(calls)), place


def decode_block(raw: Raw, place: str = "content") -> Part | ToolCall | Message:
    """One content block: a part, a tool call, or a tool's result as a message. A kind that Assay does not know is kept as it
    came. Raises `BadRequest`."""
    try:
        kind = _kind.decode(raw).type
        decode = _BLOCKS.get(kind)
        return OpaquePart(kind, raw) if decode is None else decode(raw, place)
    except UNREADABLE as error:
        raise bad_field(error, place) from error


def _text_of(raw: Raw, _: str) -> Part:
    return TextPart(_text.decode(raw).text, _beside(raw, "text"))


def _image_of(raw: Raw, _: str) -> Part:
    match _pictured.decode(raw).source:
        case _Source(type="base64", media_type=str(media_type), data=str(octets)):
            return ImagePart(f"data:{media_type};base64,{octets}", beside=_beside(raw, "source"))
        case _Source(type="url", url=str(url)):
            return ImagePart(url, beside=_beside(raw, "source"))
        case _:
            return OpaquePart("image", raw)


def _document_of(raw: Raw, _: str) -> Part:
    sent = _pictured.decode(raw)
    match sent.source:
        case _Source(type="base64", media_type=str(media_type), data=str(octets)):
            url = f"data:{media_type};base64,{octets}"
            return FilePart(data=url, filename=sent.title, beside=_beside(raw, "source", "title"))
        case _:
            return OpaquePart("document", raw)


def _thought_of(raw: Raw, _: str) -> Part:
    sent = _thought.decode(raw)
    return ReasoningPart(sent.thinking, sent.signature)


def _call_of(raw: Raw, place: str) -> ToolCall:
    sent = _tool_use.decode(raw)
    arguments = bytes(sent.input)
    if arguments[:1] != b"{":
        raise BadRequest(f"{place}.input: Expected `object`", param=f"{place}.input")
    return ToolCall(sent.id, sent.name, arguments.decode(), _beside(raw, "id", "name", "input"))


def _result_of(raw: Raw, place: str) -> Message:
    sent = _tool_result.decode(raw)
    parts: list[Part] = [TextPart(sent.content)] if isinstance(sent.content, str) and sent.content else []
    if isinstance(sent.content, list):
        for at, inner in enumerate(sent.content):
            block = decode_block(inner, f"{place}.content[{at}]")
            if isinstance(block, ToolCall | Message):
                raise BadRequest(
                    f"{place}.content[{at}] cannot stand in a tool_result", param=f"{place}.content[{at}]"
                )
            parts.append(block)
    return Message(
        role="tool",
        parts=tuple(parts),
        tool_call_id=sent.tool_use_id,
        is_error=bool(sent.is_error),
        beside=_beside(raw, "tool_use_id", "content", "is_error"),
    )


_BLOCKS: dict[str, Callable[[Raw, str], Part | ToolCall | Message]] = {
    "text": _text_of,
    "image": _image_of,
    "document": _document_of,
    "thinking": _thought_of,
    "tool_use": _call_of,
    "tool_result": _result_of,
}


def _beside(raw: Raw, *known: str) -> Beside | None:
    rest = {
        name: value for name, value in _fields.decode(raw).items() if name not in known and name != "type"
    }
    return rest or None


def _tool_of(raw: Raw, place: str) -> Tool:
    """A tool of the client's; one of Anthropic's own has its `type` beside it."""
    try:
        sent, beside = _tool.decode(raw), _fields.decode(raw)
    except UNREADABLE as error:
        raise bad_field(error, place) from error
    for name in ("name", "description", "input_schema", "strict"):
        beside.pop(name, None)
    if beside.get("type") in (_NULL, Raw(b'"custom"')):
        beside.pop("type", None)
    if "type" not in beside:
        if not sent.name:
            raise BadRequest(f"{place}.name is missing", param=f"{place}.name", hint="Name the tool.")
        if sent.input_schema is UNSET:
            raise BadRequest(f"{place}.input_schema is missing", param=f"{place}.input_schema")
    return Tool(
        name=sent.name or "",
        description=sent.description,
        parameters=None if sent.input_schema is UNSET else sent.input_schema,
        strict=sent.strict,
        beside=beside or None,
    )
