"""A request's body as it was before it was compressed, never larger than allowed, and the answers of OTLP in both encodings."""

import zlib
from enum import StrEnum

import zstandard

from assay.errors import BadRequest, TooLarge, UnsupportedMediaType
from assay.kit import json

_MAX_WINDOW_BYTES = 1 << 27
ENCODINGS = ("identity", "gzip", "deflate", "zstd")


class Format(StrEnum):
    """The two encodings of OTLP, by media type. An answer has its request's."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def format_of(content_type: str) -> Format:
    """The encoding that a `Content-Type` names. Raises `UnsupportedMediaType`."""
    name = content_type.partition(";")[0].strip().lower()
    if name in ("application/x-protobuf", "application/protobuf"):
        return Format.PROTOBUF
    if name == "application/json":
        return Format.JSON
    raise UnsupportedMediaType(
        f"The Content-Type {name!r} is not OTLP's", hint=f"Send {' or '.join(Format)}."
    )


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a `Content-Encoding`. Raises `TooLarge` as soon as more than `limit` bytes come out, `BadRequest` for a body
    that is not what it says, `UnsupportedMediaType` for an encoding that is not known."""
    name = encoding.strip().lower() or "identity"
    if name == "identity":
        return body
    try:
        if name == "gzip":
            whole = _members(body, limit)
        elif name == "deflate":
            whole = _deflated(body, limit)
        elif name == "zstd":
            whole = _frame(body, limit)
        else:
            raise UnsupportedMediaType(
                f"The Content-Encoding {encoding!r} is not known here", hint=f"Use {', '.join(ENCODINGS)}."
            )
    except (zlib.error, EOFError, zstandard.ZstdError) as error:
        raise BadRequest(f"The body is no {name}: {error}") from error
    if len(whole) > limit:
        raise TooLarge(
            f"The body is larger than {limit / 2**20:g} MiB once it is decompressed",
            hint="Send fewer spans at a time, or raise the setting max_body_mb.",
        )
    return whole


def _members(body: bytes, limit: int) -> bytes:
    """Gzip may be several files one behind the other."""
    whole = bytearray()
    while body and len(whole) <= limit:
        member = zlib.decompressobj(wbits=31)
        whole += member.decompress(body, limit + 1 - len(whole))
        if not member.eof and len(whole) <= limit:
            raise EOFError("it ends too early")
        body = member.unused_data.lstrip(b"\0")
    return bytes(whole)


def _deflated(body: bytes, limit: int) -> bytes:
    """With zlib's head, as the standard asks, or without, as some clients send it."""
    has_head = len(body) >= 2 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    stream = zlib.decompressobj(wbits=15 if has_head else -15)
    whole = stream.decompress(body, limit + 1)
    if not stream.eof and len(whole) <= limit:
        raise EOFError("it ends too early")
    return whole


def _frame(body: bytes, limit: int) -> bytes:
    """The bounded reader takes a frame that was cut off for a whole one, and the other way to read knows no bound; what
    the first has found small enough is read again by the second."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    with decompressor.stream_reader(body) as reader:
        whole = reader.read(limit + 1)
    if len(whole) <= limit:
        frame = decompressor.decompressobj()
        frame.decompress(body)
        if not frame.eof or frame.unused_data:
            raise EOFError("it is not one whole frame")
    return whole


# --- Answers ---


def success(format: Format, *, rejected: int = 0, message: str = "") -> bytes:
    """An `ExportTraceServiceResponse`; with a message it says what was not kept."""
    if format is Format.JSON:
        partial = {"rejectedSpans": str(rejected), "errorMessage": message}
        return json.encode({"partialSuccess": partial} if message else {})
    if not message:
        return b""
    return _octets(1, (_number(1, rejected) if rejected else b"") + _octets(2, message.encode()))


_GRPC = {400: 3, 401: 16, 403: 7, 404: 12, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}
"""HTTP status → code of google.rpc.Status."""


def failure(format: Format, status: int, message: str) -> bytes:
    """A `google.rpc.Status`, which is what OTLP answers with when a request fails."""
    code = _GRPC.get(status, 13)
    if format is Format.JSON:
        return json.encode({"code": code, "message": message})
    return _number(1, code) + _octets(2, message.encode())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _octets(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)
