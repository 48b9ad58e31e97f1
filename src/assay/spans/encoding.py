"""Events as MessagePack, the payload of a spool record."""

from collections.abc import Sequence
from typing import Any

import msgspec

from assay.wire.spans import Event

_encoder = msgspec.msgpack.Encoder(enc_hook=str)
_decoder = msgspec.msgpack.Decoder(list[Event])
_LARGEST = (1 << 64) - 1
_SMALLEST = -(1 << 63)
_DEEPEST = 64


def encode(events: Sequence[Event], buffer: bytearray, offset: int) -> None:
    """Write the events behind `offset` of a buffer.

    Attributes may hold what MessagePack cannot: huge integers, lone surrogates, values without end. Such an event is
    written with those as text, since a call is never lost for an attribute.
    """
    try:
        _encoder.encode_into(events, buffer, offset)
    except (TypeError, ValueError, OverflowError, RecursionError):
        plain = [
            _plain(msgspec.structs.asdict(event)) | {"type": type(event).__struct_config__.tag}
            for event in events
        ]
        _encoder.encode_into(plain, buffer, offset)


def decode(payload: bytes) -> list[Event]:
    """The events of a record. Raises `msgspec.MsgspecError` for a payload that is none."""
    return _decoder.decode(payload)


def _plain(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return value if _SMALLEST <= value <= _LARGEST else str(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return _plain(str(value), depth + 1)
