"""AWS's event streams (`application/vnd.amazon.eventstream`), sans I/O: bytes in, messages out.

A message is its own length and that of its headers, a checksum over these two, the headers, the payload, and a checksum over
all before it; numbers are big-endian, checksums CRC-32.
"""

import struct
import zlib
from typing import Any

import msgspec

MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""AWS's own limit; a longer one is no message."""
MAX_HEADERS_BYTES = 128 * 1024

_PRELUDE = struct.Struct(">III")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_FIXED = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_TIMESTAMP = struct.Struct(">q")
_LEAST = _PRELUDE.size + _U32.size


class EventMessage(msgspec.Struct, frozen=True):
    """One message. `is_damaged` when its checksum or its headers are wrong: then it says nothing."""

    headers: dict[str, Any]
    payload: bytes
    is_damaged: bool = False


class EventStreamDecoder:
    """Feed it chunks cut anywhere; it returns each message that is complete.

    Raises `ValueError` when the beginning of a message is wrong: nobody can tell then where the next one begins.
    """

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_between(self) -> bool:
        """Whether the stream may end here: no message has begun."""
        return not self._buffer

    def feed(self, chunk: bytes) -> list[EventMessage]:
        """Take the next bytes; returns zero or more messages."""
        self._buffer += chunk
        made: list[EventMessage] = []
        at = 0
        while len(self._buffer) - at >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(self._buffer, at)
            if zlib.crc32(self._buffer[at : at + 8]) != checksum:
                raise ValueError("a message of an event stream whose beginning has a wrong checksum")
            if not _LEAST <= total <= MAX_MESSAGE_BYTES or headers > min(total - _LEAST, MAX_HEADERS_BYTES):
                raise ValueError(f"a message of an event stream of {total} bytes, with {headers} of headers")
            if len(self._buffer) - at < total:
                break
            made.append(_message(bytes(self._buffer[at : at + total]), headers))
            at += total
        del self._buffer[:at]
        return made


def _message(whole: bytes, headers: int) -> EventMessage:
    begins, ends = _PRELUDE.size + headers, len(whole) - _U32.size
    if zlib.crc32(whole[:ends]) != _U32.unpack_from(whole, ends)[0]:
        return EventMessage({}, b"", is_damaged=True)
    try:
        return EventMessage(_headers(whole[_PRELUDE.size : begins]), whole[begins:ends])
    except (struct.error, IndexError, ValueError):
        return EventMessage({}, b"", is_damaged=True)


def _headers(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = 0
    while at < len(raw):
        name, at = _taken(raw, at + 1, raw[at])
        kind = raw[at]
        at += 1
        value: Any
        if kind in (0, 1):
            value = kind == 0
        elif kind in _FIXED:
            (value,) = _FIXED[kind].unpack_from(raw, at)
            at += _FIXED[kind].size
        elif kind in (6, 7):
            (length,) = _U16.unpack_from(raw, at)
            value, at = _taken(raw, at + 2, length)
            value = value.decode() if kind == 7 else value
        elif kind == 8:
            (value,) = _TIMESTAMP.unpack_from(raw, at)
            at += _TIMESTAMP.size
        elif kind == 9:
            value, at = _taken(raw, at, 16)
        else:
            raise ValueError(f"a header of the unknown type {kind}")
        found[name.decode()] = value
    return found


def _taken(raw: bytes, at: int, length: int) -> tuple[bytes, int]:
    if at + length > len(raw):
        raise ValueError("a header that is longer than all headers")
    return raw[at : at + length], at + length
