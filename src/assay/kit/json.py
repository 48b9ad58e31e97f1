"""JSON as Assay writes it: money as numbers, times as RFC 3339, unknown fields kept where raw JSON is kept."""

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder()


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON; `Decimal` becomes a JSON number with every digit."""
    return _encoder.encode(value)


def decode(data: bytes | str) -> Any:
    """Plain dicts, lists and scalars. Raises `msgspec.DecodeError`."""
    return _decoder.decode(data)


def pretty(value: object) -> str:
    """Indented JSON for people."""
    return msgspec.json.format(encode(value), indent=2).decode()
