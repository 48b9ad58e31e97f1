"""Hashes that name content."""

import hashlib

import msgspec

_canonical = msgspec.json.Encoder(order="sorted", decimal_format="string")


def content_hash(data: bytes) -> str:
    """The name of some bytes: SHA-256 in 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def value_hash(value: object) -> str:
    """The name of a JSON-like value: the hash of its canonical JSON (sorted keys, no spaces)."""
    return content_hash(_canonical.encode(value))
