"""OpenAI's chat completions and completions formats: text to structs and back.

`decode_chat` validates what Assay relies on (types, roles, shape of tool calls) and names the field that is wrong; what
it does not know it keeps. Two things of other vendors have a place in it: reasoning (`reasoning_content`, or a part of the type
`reasoning`) and `cache_control` on a part or a tool.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.errors import BadRequest
from assay.wire.messages import (
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    Tool,
    ToolCall,
)
from assay.wire.openai_parts import decode_part, encode_part, marks
from assay.wire.openai_usage import SentUsage, usage_of
from assay.wire.requests import AssayFields, ChatRequest, CompletionRequest, Fields, StreamOptions
from assay.wire.responses import Choice, Response, StreamEvent

MAX_MESSAGES = 10_000
"""Of one request: reading each takes time in which no other call goes on."""

# --- The wire's own shapes: only what is read or checked; msgspec skips the rest. ---


class _Function(Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class _ToolCall(Struct, frozen=True):
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, frozen=True, gc=False):
    role: Role
    content: str | list[Raw] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: Raw | UnsetType = UNSET
    reasoning: Raw | UnsetType = UNSET
    is_error: Raw | UnsetType = UNSET


class _ToolFunction(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: Raw | UnsetType = UNSET  # not `Raw | None`: msgspec then takes nothing but null
    strict: bool | None = None


class _Tool(Struct, frozen=True):
    type: str
    function: _ToolFunction | None = None
    cache_control: Raw | UnsetType = UNSET


class _Sampling(Struct, frozen=True, kw_only=True):
    """Fields of both endpoints whose types are checked before anything is sent."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    assay: AssayFields | None = None


class _Chat(_Sampling, frozen=True, kw_only=True, gc=False):
    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None


class _Completion(_Sampling, frozen=True, kw_only=True):
    prompt: str | list[str | int | list[int]]
    logprobs: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


class _Choice(Struct, frozen=True, gc=False):
    message: Raw | UnsetType = UNSET
    text: str | None = None
    finish_reason: str | None = None


class _Response(Struct, frozen=True, gc=False):
    choices: list[_Choice] = []
    id: str | None = None
    model: str | None = None
    usage: SentUsage | None = None


class _Delta(Struct, frozen=True, gc=False):
    content: str | None = None
    tool_calls: Raw | UnsetType = UNSET
    function_call: Raw | UnsetType = UNSET
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    audio: Raw | UnsetType = UNSET


class _StreamChoice(Struct, frozen=True, gc=False):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(Struct, frozen=True, gc=False):
    choices: list[_StreamChoice] = []
    model: str | None = None
    usage: SentUsage | None = None
    error: Raw | UnsetType = UNSET


_fields = msgspec.json.Decoder(Fields)
_chat = msgspec.json.Decoder(_Chat)
_completion = msgspec.json.Decoder(_Completion)
_message = msgspec.json.Decoder(_Message)
_raws = msgspec.json.Decoder(list[Raw])
_response = msgspec.json.Decoder(_Response)
_chunk = msgspec.json.Decoder(_Chunk)
_encode = msgspec.json.Encoder().encode
_NULL, _TRUE = Raw(b"null"), Raw(b"true")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for text that is no JSON of the shape asked for, no UTF-8, or nested beyond all use."""


# --- Requests ---


def decode_chat(body: bytes) -> ChatRequest:
    """A `/v1/chat/completions` body. Raises `BadRequest` whose `param` is the field's path, e.g. `messages[2].role`. With a task's
    inputs the messages are history, of which there may be none."""
    fields, sent = decode_body(body, _chat)
    only_inputs = sent.assay is not None and sent.assay.inputs is not None and sent.model.startswith("task:")
    if not sent.messages and not only_inputs:
        raise BadRequest("messages is empty", param="messages", hint="Send at least one message.")
    if len(sent.messages) > MAX_MESSAGES:
        raise BadRequest(f"More than {MAX_MESSAGES:,} messages cannot be sent at once", param="messages")
    return ChatRequest(
        model=sent.model,
        messages=_messages(sent.messages, _raws.decode(fields["messages"])),
        tools=tuple(_tool(tool) for tool in sent.tools) if sent.tools else (),
        stream=bool(sent.stream),
        include_usage=bool(sent.stream_options and sent.stream_options.include_usage),
        assay=sent.assay,
        fields=fields,
    )


def decode_completion(body: bytes) -> CompletionRequest:
    """A `/v1/completions` body. Raises `BadRequest` like `decode_chat`."""
    fields, sent = decode_body(body, _completion)
    return CompletionRequest(
        model=sent.model,
        prompt=sent.prompt,
        stream=bool(sent.stream),
        include_usage=bool(sent.stream_options and sent.stream_options.include_usage),
        assay=sent.assay,
        fields=fields,
    )


def encode_request(fields: Fields, *, model: str, stream: bool) -> bytes:
    """The body for an upstream of this format: the client's fields letter for letter, with the upstream's name for the
    model, with usage asked for at the end of a stream, and without `assay`."""
    edited = {**fields, "model": Raw(_encode(model))}
    edited.pop("assay", None)
    if stream:
        options = (
            msgspec.json.decode(fields["stream_options"])
            if fields.get("stream_options", _NULL) != _NULL
            else {}
        )
        edited["stream_options"] = Raw(_encode({**options, "include_usage": True}))
    return _encode(edited)


def decode_message(raw: Raw, path: str = "message") -> Message:
    """One message; its text is kept in `raw`."""
    try:
        return _made(_message.decode(raw), raw)
    except UNREADABLE as error:
        raise bad_field(error, path) from error


def encode_message(message: Message) -> Raw:
    """A message in this format: its own text where it came from this format, else made from its parts."""
    if message.raw is not None:
        return message.raw
    parts, only = message.parts, message.parts[0] if len(message.parts) == 1 else None
    is_plain = isinstance(only, TextPart) and only.text != "" and only.beside is None
    nothing = None if message.role == "assistant" else ""
    content: Any = message.text if is_plain else [encode_part(part) for part in parts] or nothing
    made: dict[str, Any] = {"role": message.role, "content": content}
    if message.name is not None:
        made["name"] = message.name
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **(call.beside or {}),
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        made["tool_call_id"] = message.tool_call_id
    if message.is_error:
        made["is_error"] = True
    return Raw(_encode(made if message.beside is None else {**message.beside, **made}))


def chat_request(model: str, messages: tuple[Message, ...], **options: Any) -> ChatRequest:
    """Make a request from values instead of from a body; `options` are fields of the format, None is left out."""
    fields: Fields = {
        "model": Raw(_encode(model)),
        "messages": Raw(_encode([encode_message(message) for message in messages])),
    }
    fields.update({name: Raw(_encode(value)) for name, value in options.items() if value is not None})
    return ChatRequest(model=model, messages=messages, stream=bool(options.get("stream")), fields=fields)


# --- Answers ---


def decode_response(body: bytes) -> Response:
    """A whole answer of either endpoint. Raises one of `UNREADABLE` when it is not one."""
    sent = _response.decode(body)
    return Response(
        raw=body,
        choices=tuple(_choice(choice) for choice in sent.choices),
        model=sent.model,
        id=sent.id,
        usage=usage_of(sent.usage),
    )


def decode_chunk(data: bytes, *, hide_usage: bool) -> StreamEvent:
    """One `data:` of a stream. With `hide_usage` the chunk that only carries usage is kept from the client.

    Raises one of `UNREADABLE` for what is not JSON of this shape and `StreamError` for an error sent in the stream.
    """
    sent = _chunk.decode(data)
    if sent.error is not UNSET:
        raise StreamError(data)
    usage = usage_of(sent.usage)
    if not sent.choices:
        return StreamEvent(raw=None if hide_usage and usage else data, usage=usage, model=sent.model)
    first = sent.choices[0]
    text = first.text or ""
    is_output = bool(text)
    if first.delta is not None:
        text = first.delta.content or ""
        is_output = bool(text) or _has_output(first.delta)
    return StreamEvent(
        raw=data,
        is_output=is_output or any(_speaks(choice) for choice in sent.choices[1:]),
        index=first.index,
        text=text,
        finish_reason=first.finish_reason,
        usage=usage,
        model=sent.model,
    )


class StreamError(Exception):
    """The upstream sent an error inside a stream that had begun with 200; `body` is the event's JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body[:500].decode("utf-8", "replace"))
        self.body = body


# --- Pieces ---


def decode_body(body: bytes, decoder: msgspec.json.Decoder[Any]) -> tuple[Fields, Any]:
    """The fields of a body as they came, and what of them a decoder reads. Raises `BadRequest` naming the field."""
    try:
        return _fields.decode(body), decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_field(error) from error
    except UNREADABLE as error:
        raise BadRequest(f"The body is not JSON: {error}", hint="Send one JSON object in UTF-8.") from error


def bad_field(error: Exception, prefix: str = "") -> BadRequest:
    """msgspec says "Expected `str`, got `int` - at `$.messages[0].role`"; the path becomes `param`."""
    what, _, where = str(error).partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    joined = f"{prefix}.{path}" if prefix and path and not path.startswith("[") else prefix + path
    missing = "missing required field `" in what
    if missing:
        name = what.split("`")[-2]
        joined = f"{joined}.{name}" if joined else name
        return BadRequest(f"{joined} is missing", param=joined, hint=f"Send the field {joined!r}.")
    if not joined:
        return BadRequest(
            f"The body is not what this endpoint takes: {what}", hint="Send one JSON object in UTF-8."
        )
    return BadRequest(f"{joined}: {what}", param=joined)


def _tool(sent: _Tool) -> Tool:
    if sent.function is None:
        return Tool(name=sent.type)
    made = sent.function
    return Tool(
        name=made.name,
        description=made.description,
        parameters=None if made.parameters is UNSET or made.parameters == _NULL else made.parameters,
        strict=made.strict,
        beside=marks(sent.cache_control),
    )


def _messages(sent: list[_Message], raws: list[Raw]) -> tuple[Message, ...]:
    made = []
    for at, message in enumerate(sent):
        try:
            made.append(_made(message, raws[at]))
        except UNREADABLE as error:
            raise bad_field(error, f"messages[{at}]") from error
    return tuple(made)


def _made(sent: _Message, raw: Raw) -> Message:
    return Message(
        role=sent.role,
        parts=_parts(sent),
        tool_calls=tuple(_call(call) for call in sent.tool_calls) if sent.tool_calls else (),
        tool_call_id=sent.tool_call_id,
        name=sent.name,
        is_error=sent.is_error is not UNSET and sent.is_error == _TRUE,
        raw=raw,
    )


def _call(sent: _ToolCall) -> ToolCall:
    function = sent.function or _Function()
    return ToolCall(id=sent.id or "", name=function.name, arguments=function.arguments)


def _parts(sent: _Message) -> tuple[Part, ...]:
    parts: tuple[Part, ...] = ()
    if isinstance(sent.content, str):
        parts = (TextPart(sent.content),) if sent.content else ()
    elif sent.content is not None:
        parts = tuple(decode_part(raw) for raw in sent.content)
    if sent.reasoning_content is not UNSET or sent.reasoning is not UNSET:
        parts = (*_thought(sent), *parts)
    return (*parts, RefusalPart(sent.refusal)) if sent.refusal else parts


def _thought(sent: _Message) -> tuple[Part, ...]:
    """Servers disagree on the field's name, and some keep other things there: only a text is reasoning."""
    for raw in (sent.reasoning_content, sent.reasoning):
        if raw is not UNSET and bytes(raw)[:1] == b'"' and raw != Raw(b'""'):
            return (ReasoningPart(msgspec.json.decode(raw)),)
    return ()


def _choice(sent: _Choice) -> Choice:
    if sent.message is UNSET:
        text = sent.text or ""
        return Choice(
            message=Message(role="assistant", parts=(TextPart(text),)), finish_reason=sent.finish_reason
        )
    return Choice(message=decode_message(sent.message), finish_reason=sent.finish_reason)


def _has_output(delta: _Delta) -> bool:
    return bool(
        delta.refusal
        or delta.reasoning_content
        or delta.reasoning
        or (delta.tool_calls is not UNSET and delta.tool_calls not in (_NULL, Raw(b"[]")))
        or (delta.function_call is not UNSET and delta.function_call != _NULL)
        or (delta.audio is not UNSET and delta.audio != _NULL)
    )


def _speaks(choice: _StreamChoice) -> bool:
    return bool(choice.text) or (
        choice.delta is not None and (bool(choice.delta.content) or _has_output(choice.delta))
    )
