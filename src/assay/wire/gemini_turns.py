"""Messages and tools of other formats, said in Gemini's `generateContent` format.

Models from Gemini 3 on sign the calls of tools that they make and refuse a conversation in which a signature is missing. A
chat client gets it as `extra_content.google.thought_signature` of the call (or of the message, for a signed text), the place
that Google's own OpenAI-compatible endpoint has for it, and most send it back with the message. For those that do not,
`Signatures` remembers; and for calls that Gemini never made there is Google's word `UNSIGNED`.

What the format cannot say is an `Untranslatable` whose `param` is the path in OpenAI's format.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

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

UNSIGNED = "skip_thought_signature_validator"
"""Google's word for a call that has no signature, since another model made it."""
MOST_SIGNATURES = 10_000
_TYPE_OF = {
    **{ending: f"image/{ending}" for ending in ("png", "jpeg", "gif", "webp", "heic", "heif")},
    **{ending: f"audio/{ending}" for ending in ("mp3", "wav", "aiff", "aac", "ogg", "flac")},
    **{ending: f"video/{ending}" for ending in ("mp4", "mpeg", "webm", "wmv")},
    "jpg": "image/jpeg",
    "mov": "video/quicktime",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "html": "text/html",
}
"""What an address ends in → its media type."""

_fields = msgspec.json.Decoder(Fields)


class Signatures:
    """The latest signatures by the id of their call, for clients that do not send them back."""

    def __init__(self) -> None:
        self._by_call: OrderedDict[str, str] = OrderedDict()

    def keep(self, call: str, signature: str) -> None:
        """Remember one; the oldest goes when there are too many."""
        self._by_call[call] = signature
        if len(self._by_call) > MOST_SIGNATURES:
            self._by_call.popitem(last=False)

    def find(self, call: str) -> str | None:
        """What a call was signed with, if it is still known."""
        return self._by_call.get(call)


class Turns(Struct, frozen=True):
    """The `systemInstruction`, if any, and the `contents`."""

    system: dict[str, Any] | None
    contents: list[dict[str, Any]]


def encode_contents(
    messages: Sequence[Message],
    signatures: Signatures,
    *,
    must_be_signed: bool = False,
    places: Sequence[str] = (),
) -> Turns:
    """Messages in this format. The results of parallel calls stand in one turn, in the order in which they were sent.

    `must_be_signed`: the model refuses calls without a signature. `places` says where each message stood, if not in `messages`.
    """
    system: list[Any] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    answers_tools = False
    for at, message in enumerate(messages):
        place = places[at] if places else f"messages[{at}]"
        if message.role in ("system", "developer"):
            if contents:
                raise Untranslatable(
                    f"{place}.role is {message.role!r} after other messages: Gemini's format has system instructions only "
                    "before all others",
                    param=f"{place}.role",
                    hint="Put it first, or send it as the user's.",
                )
            system += _parts(message, place)
        elif message.role == "tool":
            if not answers_tools:
                contents.append({"role": "user", "parts": []})
            contents[-1]["parts"].append(_result(message, names, place))
        elif message.role == "user":
            contents.append({"role": "user", "parts": _parts(message, place) or [{"text": ""}]})
        elif message.role == "assistant":
            names |= {call.id: call.name for call in message.tool_calls}
            if parts := _spoken(message, place, signatures, must_be_signed=must_be_signed):
                contents.append({"role": "model", "parts": parts})
        else:
            raise Untranslatable(
                f"{place}.role is 'function', which Gemini's format does not have",
                param=f"{place}.role",
                hint="Send tools and messages of the role 'tool'.",
            )
        answers_tools = message.role == "tool"
    return Turns({"parts": system} if system else None, contents)


def encode_declaration(tool: Tool) -> dict[str, Any]:
    """A tool definition. Its schema goes as JSON Schema, not as the older dialect of OpenAPI's."""
    made: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        made["description"] = tool.description
    if tool.parameters is not None:
        made["parametersJsonSchema"] = tool.parameters
    return made


# --- Signatures in a chat message ---


class _Google(Struct, frozen=True):
    thought_signature: str | None = None


class _Extra(Struct, frozen=True):
    google: _Google | None = None

    @property
    def signature(self) -> str | None:
        return self.google.thought_signature if self.google else None


class _SignedCall(Struct, frozen=True):
    extra_content: _Extra | None = None


class _Signed(Struct, frozen=True):
    extra_content: _Extra | None = None
    tool_calls: list[_SignedCall] | None = None


_signed = msgspec.json.Decoder(_Signed)
_extra = msgspec.json.Decoder(_Extra)


def extra_content(signature: str) -> dict[str, Any]:
    """How a chat message or call carries a signature."""
    return {"extra_content": {"google": {"thought_signature": signature}}}


def _signatures_in(message: Message) -> tuple[str | None, list[str | None]]:
    """Of the message and of each of its calls, as the client sent them back."""
    if message.raw is not None and b"extra_content" in bytes(message.raw):
        try:
            sent = _signed.decode(message.raw)
        except UNREADABLE:
            return None, [None] * len(message.tool_calls)
        calls = [
            call.extra_content.signature if call.extra_content else None for call in sent.tool_calls or ()
        ]
        return (sent.extra_content.signature if sent.extra_content else None), calls
    return _beside(message), [_beside(call) for call in message.tool_calls]


def _beside(signed: Message | ToolCall) -> str | None:
    raw = (signed.beside or {}).get("extra_content")
    try:
        return None if raw is None else _extra.decode(raw).signature
    except UNREADABLE:
        return None


# --- Pieces ---


def _spoken(
    message: Message, place: str, signatures: Signatures, *, must_be_signed: bool
) -> list[dict[str, Any]]:
    of_message, of_calls = _signatures_in(message)
    parts = [part for part in _parts(message, place) if part != {"text": ""}]
    if of_message is not None:
        texts = [part for part in parts if "text" in part]
        if not texts:
            texts = [{"text": ""}]
            parts += texts
        texts[-1]["thoughtSignature"] = of_message
    calls = [_call(call, f"{place}.tool_calls[{at}]") for at, call in enumerate(message.tool_calls)]
    for part, call, sent_back in zip(calls, message.tool_calls, of_calls, strict=True):
        if (signature := sent_back or signatures.find(call.id)) is not None:
            part["thoughtSignature"] = signature
    # Of parallel calls Gemini signs only the first.
    if must_be_signed and calls and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = UNSIGNED
    return [*parts, *calls]


def _call(call: ToolCall, place: str) -> dict[str, Any]:
    arguments = Raw(call.arguments.strip().encode() or b"{}")
    try:
        _fields.decode(arguments)
    except UNREADABLE as error:
        raise Untranslatable(
            f"{place}.function.arguments is no JSON object: {error}",
            param=f"{place}.function.arguments",
            hint="Gemini's format takes the arguments of a function as an object.",
        ) from error
    named = {"id": call.id} if call.id else {}
    return {"functionCall": {**named, "name": call.name, "args": arguments}}


def _result(message: Message, names: dict[str, str], place: str) -> dict[str, Any]:
    name = names.get(message.tool_call_id or "") or message.name
    if not name:
        raise Untranslatable(
            f"{place}.tool_call_id {message.tool_call_id!r} belongs to no call before it, so that its function has no name",
            param=f"{place}.tool_call_id",
            hint="Send the assistant's message with the call before its result.",
        )
    made: dict[str, Any] = {"name": name}
    if message.tool_call_id:
        made["id"] = message.tool_call_id
    made["response"] = {"error" if message.is_error else "output": _structured(message.text)}
    pictures = [part for part in _parts(message, place) if "text" not in part]
    return {"functionResponse": {**made, "parts": pictures} if pictures else made}


def _structured(text: str) -> Any:
    """A result that is a JSON object or list goes as one, anything else as the text that it is."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        msgspec.json.decode(text)
    except UNREADABLE:
        return text
    return Raw(text.encode())


def _parts(message: Message, place: str) -> list[dict[str, Any]]:
    made = [_part(part, f"{place}.content[{at}]") for at, part in enumerate(message.parts)]
    return [part for part in made if part is not None]


def _part(part: Part, place: str) -> dict[str, Any] | None:
    """None for what has no place in a request: thinking goes back by its signature."""
    match part:
        case TextPart() | RefusalPart():
            return {"text": part.text}
        case ImagePart():
            return _of_url(part.url, f"{place}.image_url.url")
        case AudioPart():
            return {"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}
        case FilePart(data=str(url)):
            media_type, octets = read_data_url(url, f"{place}.file.file_data")
            return {"inlineData": {"mimeType": media_type, "data": octets}}
        case FilePart(file_id=str(id)) if id.startswith(("https://", "gs://")):
            return _of_url(id, f"{place}.file.file_id")
        case FilePart():
            raise Untranslatable(
                f"{place}.file.file_id names a file at another vendor",
                param=f"{place}.file.file_id",
                hint="Send the file itself as `file_data`, or the URI of a file at Google as `file_id`.",
            )
        case ReasoningPart():
            return None
        case OpaquePart():
            raise Untranslatable(
                f"{place}: Gemini's format has no content of the type {part.type!r}", param=place
            )


def _of_url(url: str, place: str) -> dict[str, Any]:
    """Data within the request, or where Google fetches it. It wants to be told the type of what it fetches, but for files of
    its own."""
    if url.startswith("data:"):
        media_type, octets = read_data_url(url, place)
        return {"inlineData": {"mimeType": media_type, "data": octets}}
    parts = urlsplit(url)
    seen = _TYPE_OF.get(parts.path.rpartition(".")[2].lower())
    is_googles = parts.hostname == "generativelanguage.googleapis.com" and "/files/" in parts.path
    if seen is None and not is_googles:
        raise Untranslatable(
            f"{place} does not show by its ending what it is, and Gemini's format must say it",
            param=place,
            hint="Send the data itself as a `data:` URL, or an address that ends e.g. in .png.",
        )
    typed = {} if seen is None else {"mimeType": seen}
    return {"fileData": {**typed, "fileUri": url}}
