"""How a record lies in a spool file, as functions over bytes: no file is opened here.

    magic 4 · crc32 4 · length 4 · sequence 8 · written_at_ns 8 · payload (length bytes)      little-endian, 28 bytes + payload

The checksum covers all that follows it. It guards against torn and rotted writes, not against people: CRC-32 finds every
burst of up to 32 bits, is in the standard library and takes 0.3 µs a KiB. The magic is only for finding the next whole
record behind a damaged one.
"""

import zlib
from enum import StrEnum
from struct import Struct
from typing import NamedTuple

MAGIC = b"\xf5asy"
"""0xF5 never occurs in UTF-8, so no text inside a payload looks like the start of a record."""

_HEADER = Struct("<4sIIQQ")
_CHECKSUM = Struct("<I")
_COVERED_FROM = 8

HEADER_BYTES = _HEADER.size
MAX_PAYLOAD_BYTES = (1 << 32) - 1


class Record(NamedTuple):
    """A whole record; `end` is the offset behind it."""

    sequence: int
    written_at_ns: int
    payload: bytes
    end: int


class Flaw(StrEnum):
    """Why there is no record at an offset."""

    SHORT = "the bytes end before the record does"
    BAD = "it is not a record, or its checksum is wrong"


def reserve() -> bytearray:
    """An empty buffer with room for the header, to which the payload is added."""
    return bytearray(HEADER_BYTES)


def seal(buffer: bytearray, sequence: int, written_at_ns: int) -> None:
    """Fill in the header of a buffer that begins with reserved room. Raises `ValueError` for a payload of 4 GiB or more."""
    length = len(buffer) - HEADER_BYTES
    if length > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {length} bytes does not fit into the spool")
    _HEADER.pack_into(buffer, 0, MAGIC, 0, length, sequence, written_at_ns)
    with memoryview(buffer) as view:
        checksum = zlib.crc32(view[_COVERED_FROM:])
    _CHECKSUM.pack_into(buffer, len(MAGIC), checksum)


def read(data: bytes, offset: int) -> Record | Flaw:
    """The record at an offset, or why there is none."""
    if len(data) - offset < HEADER_BYTES:
        return Flaw.SHORT if MAGIC.startswith(data[offset : offset + len(MAGIC)]) else Flaw.BAD
    magic, checksum, length, sequence, written_at_ns = _HEADER.unpack_from(data, offset)
    if magic != MAGIC:
        return Flaw.BAD
    end = offset + HEADER_BYTES + length
    if end > len(data):
        return Flaw.SHORT
    with memoryview(data) as view:
        if zlib.crc32(view[offset + _COVERED_FROM : end]) != checksum:
            return Flaw.BAD
    return Record(sequence, written_at_ns, data[offset + HEADER_BYTES : end], end)


def resync(data: bytes, offset: int) -> int | None:
    """The first offset behind `offset` at which a whole record lies, or None."""
    at = data.find(MAGIC, offset + 1)
    while at != -1:
        if isinstance(read(data, at), Record):
            return at
        at = data.find(MAGIC, at + 1)
    return None
