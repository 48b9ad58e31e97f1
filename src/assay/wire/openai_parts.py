"""Parts of a message's content in OpenAI's chat format: text to structs and back."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from assay.wire.messages import (
    AudioPart,
    Beside,
    FilePart,
    ImagePart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
)


class _ImageUrl(Struct, frozen=True):
    url: str
    detail: str | None = None


class _Audio(Struct, frozen=True):
    data: str
    format: str


class _File(Struct, frozen=True):
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class _Part(Struct, frozen=True):
    type: str
    text: str | None = None
    image_url: _ImageUrl | None = None
    input_audio: _Audio | None = None
    file: _File | None = None
    refusal: str | None = None
    signature: str | None = None
    cache_control: Raw | UnsetType = UNSET


class _Kind(Struct, frozen=True):
    type: str


_part = msgspec.json.Decoder(_Part)
_kind = msgspec.json.Decoder(_Kind)
_KNOWN = frozenset(("text", "image_url", "input_audio", "file", "refusal", "reasoning"))


def decode_part(raw: Raw) -> Part:
    """One content part. A kind that Assay does not know is kept as it came, whatever its fields are. Raises
    `msgspec.ValidationError` for a part that is not what its type says."""
    try:
        return _read(_part.decode(raw), raw)
    except msgspec.ValidationError:
        kind = _kind.decode(raw).type
        if kind in _KNOWN:
            raise
        return OpaquePart(type=kind, json=raw)


def encode_part(part: Part) -> Any:
    """One content part in this format, with what stands beside it."""
    match part:
        case TextPart():
            return {"type": "text", "text": part.text, **(part.beside or {})}
        case ImagePart():
            image = {"url": part.url} if part.detail is None else {"url": part.url, "detail": part.detail}
            return {"type": "image_url", "image_url": image, **(part.beside or {})}
        case AudioPart():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case FilePart():
            named = {"file_id": part.file_id, "file_data": part.data, "filename": part.filename}
            file = {name: value for name, value in named.items() if value is not None}
            return {"type": "file", "file": file, **(part.beside or {})}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.text}
        case ReasoningPart():
            signed = {} if part.signature is None else {"signature": part.signature}
            return {"type": "reasoning", "text": part.text, **signed}
        case OpaquePart():
            return part.json


def marks(cache_control: Raw | UnsetType) -> Beside | None:
    """What stands beside a part or a tool."""
    return None if cache_control is UNSET else {"cache_control": cache_control}


def _read(sent: _Part, raw: Raw) -> Part:
    match sent:
        case _Part(type="text", text=str(text)):
            return TextPart(text, marks(sent.cache_control))
        case _Part(type="image_url", image_url=_ImageUrl() as image):
            return ImagePart(image.url, image.detail, marks(sent.cache_control))
        case _Part(type="input_audio", input_audio=_Audio() as audio):
            return AudioPart(data=audio.data, format=audio.format)
        case _Part(type="file", file=_File() as file):
            return FilePart(file.file_id, file.file_data, file.filename, marks(sent.cache_control))
        case _Part(type="refusal", refusal=str(text)):
            return RefusalPart(text)
        case _Part(type="reasoning", text=str(text)):
            return ReasoningPart(text, sent.signature)
        case _:
            return OpaquePart(type=sent.type, json=raw)
