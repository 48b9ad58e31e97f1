"""OpenAI's Responses format: a request read into the same messages as a chat's.

A conversation is a list of items here: messages, calls of tools, their outputs, reasoning. Items that one answer consists of
(reasoning, words, calls) become one message of the assistant. What Assay does not know stays as it came in an `OpaquePart`, for an
upstream of the same format; for any other the translation names it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from assay.errors import BadRequest
from assay.wire.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    Tool,
    ToolCall,
    text_message,
)
from assay.wire.openai_chat import MAX_MESSAGES, UNREADABLE, bad_field, decode_body
from assay.wire.requests import AssayFields, ChatRequest

OWN_THINKING = "assay:"
"""How the `encrypted_content` begins of reasoning that came from an upstream of another format."""


class ResponsesRequest(ChatRequest, frozen=True, kw_only=True):
    """A request of this format: `fields` are that format's, `items` the input as it came, and `messages` what they amount to,
    after the instructions. `places` says for each message where it stood, e.g. `input[3]`.
    """

    items: tuple[Raw, ...] = ()
    places: tuple[str, ...] = ()
    store: bool = True
    previous_response_id: str | None = None
    instructions: str | None = None


# --- The wire's own shapes: only what is read or checked. ---


class _Tool(Struct, frozen=True):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw | UnsetType = UNSET
    strict: bool | None = None


class _Request(Struct, frozen=True, kw_only=True):
    model: str
    input: Raw | UnsetType = UNSET
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    metadata: dict[str, str] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    include: list[str] | None = None
    background: bool | None = None
    user: str | None = None
    assay: AssayFields | None = None


class _Text(Struct, frozen=True):
    text: str = ""


class _Item(Struct, frozen=True):
    type: str | None = None
    role: Role | None = None
    content: Raw | UnsetType = UNSET
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Raw | UnsetType = UNSET
    summary: list[_Text] | None = None
    encrypted_content: str | None = None


class _Part(Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


_request = msgspec.json.Decoder(_Request)
_item = msgspec.json.Decoder(_Item)
_part = msgspec.json.Decoder(_Part)
_raws = msgspec.json.Decoder(list[Raw])
_texts = msgspec.json.Decoder(list[_Text])
_string = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_ELSEWHERE = {
    "conversation": "Send previous_response_id, or the earlier items in input.",
    "prompt": "It is kept at OpenAI. Make a task of it and ask for the model task:<name>.",
}


def decode_responses(body: bytes) -> ResponsesRequest:
    """A `/v1/responses` body. Raises `BadRequest` whose `param` is the field's path, e.g. `input[2].content[0]`."""
    fields, sent = decode_body(body, _request)
    if sent.background:
        raise BadRequest(
            "background is not served here", param="background", hint="Send it in a batch: POST /v1/batches."
        )
    for name, hint in _ELSEWHERE.items():
        if fields.get(name, _NULL) != _NULL:
            raise BadRequest(f"{name} is not served here", param=name, hint=hint)
    only_inputs = sent.assay is not None and sent.assay.inputs is not None and sent.model.startswith("task:")
    items = () if sent.input is UNSET else read_items(sent.input)
    if not items and not only_inputs:
        raise BadRequest(
            "input is missing or empty", param="input", hint="Send a text, or at least one item."
        )
    request = ResponsesRequest(
        model=sent.model,
        messages=(),
        tools=tuple([_tool(tool) for tool in sent.tools or ()]),
        stream=bool(sent.stream),
        assay=sent.assay,
        fields=fields,
        store=sent.store is not False,
        previous_response_id=sent.previous_response_id,
        instructions=sent.instructions,
    )
    return with_items(request, items)


def with_items(request: ResponsesRequest, items: Sequence[Raw], *, earlier: int = 0) -> ResponsesRequest:
    """The same request about these items, the first `earlier` of which came from the responses before it."""
    if len(items) > MAX_MESSAGES:
        raise BadRequest(f"More than {MAX_MESSAGES:,} items cannot be sent at once", param="input")
    messages, places = _messages(items, earlier)
    if request.instructions:
        messages.insert(0, text_message("system", request.instructions))
        places.insert(0, "instructions")
    return replace(request, items=tuple(items), messages=tuple(messages), places=tuple(places))


def read_items(raw: Raw) -> tuple[Raw, ...]:
    """The input as items; a text is one message of the user."""
    try:
        if _begins_with(raw, b'"'):
            text = _string.decode(raw)
            return (Raw(_encode({"type": "message", "role": "user", "content": text})),) if text else ()
        return tuple(_raws.decode(raw))
    except UNREADABLE as error:
        raise bad_field(error, "input") from error


def _messages(items: Sequence[Raw], earlier: int) -> tuple[list[Message], list[str]]:
    messages: list[Message] = []
    places: list[str] = []
    for at, raw in enumerate(items):
        place = f"input[{at - earlier}]" if at >= earlier else f"previous_response_id, item {at}"
        try:
            made = _message(raw, place)
        except UNREADABLE as error:
            raise bad_field(error, place) from error
        if messages and made.role == "assistant" and messages[-1].role == "assistant":
            last = messages[-1]
            messages[-1] = replace(
                last, parts=last.parts + made.parts, tool_calls=last.tool_calls + made.tool_calls
            )
        else:
            messages.append(made)
            places.append(place)
    return messages, places


def _message(raw: Raw, place: str) -> Message:
    sent = _item.decode(raw)
    match sent:
        case _Item(type=None | "message", role=str(role)):
            return Message(role=role, parts=_parts(sent.content, f"{place}.content"))
        case _Item(type=None | "message"):
            raise BadRequest(
                f"{place}.role is missing", param=f"{place}.role", hint="Send user or assistant."
            )
        case _Item(type="function_call", call_id=str(id), name=str(name), arguments=str(arguments)):
            return Message(role="assistant", tool_calls=(ToolCall(id, name, arguments),))
        case _Item(type="function_call_output", call_id=str(id), output=Raw() as output):
            return Message(role="tool", tool_call_id=id, parts=_parts(output, f"{place}.output"))
        case _Item(type="function_call" | "function_call_output"):
            wanted = "call_id, name and arguments" if sent.type == "function_call" else "call_id and output"
            raise BadRequest(f"{place} of the type {sent.type!r} needs {wanted}", param=place)
        case _Item(type="reasoning"):
            return Message(role="assistant", parts=(ReasoningPart(_thought(sent), sent.encrypted_content),))
        case _:
            return Message(role=sent.role or "user", parts=(OpaquePart(str(sent.type), raw),))


def _thought(sent: _Item) -> str:
    """The thinking itself where the upstream shows it, else its summary."""
    said = _texts.decode(sent.content) if sent.content is not UNSET and sent.content != _NULL else ()
    return "\n".join([each.text for each in said or sent.summary or ()])


def _parts(content: Raw | UnsetType, place: str) -> tuple[Part, ...]:
    if content is UNSET or content == _NULL:
        raise BadRequest(f"{place} is missing", param=place, hint="Send a text or a list of parts.")
    if _begins_with(content, b'"'):
        text = _string.decode(content)
        return (TextPart(text),) if text else ()
    made = []
    for at, raw in enumerate(_raws.decode(content)):
        try:
            made.append(_content_part(raw))
        except UNREADABLE as error:
            raise bad_field(error, f"{place}[{at}]") from error
    return tuple(made)


def _content_part(raw: Raw) -> Part:
    sent = _part.decode(raw)
    match sent:
        case _Part(type="input_text" | "output_text" | "text", text=str(text)):
            return TextPart(text)
        case _Part(type="refusal", refusal=str(text)):
            return RefusalPart(text)
        case _Part(type="input_image", image_url=str(url)):
            return ImagePart(url, sent.detail)
        case _Part(type="input_file") if sent.file_id is not None or sent.file_data is not None:
            return FilePart(sent.file_id, sent.file_data, sent.filename)
        case _:
            return OpaquePart(sent.type, raw)


def _tool(sent: _Tool) -> Tool:
    return Tool(
        name=sent.name or sent.type,
        description=sent.description,
        parameters=None if sent.parameters is UNSET or sent.parameters == _NULL else sent.parameters,
        strict=sent.strict,
    )


def _begins_with(raw: Raw, sign: bytes) -> bool:
    return bytes(raw).lstrip()[:1] == sign
