"""Identifiers. Records, traces and spans get ids that sort by the time they were made."""

import os
import secrets
import time
from random import Random

# A private generator seeded by the operating system: ids need to be unique, not secret, and
# `getrandbits` costs a tenth of `secrets.token_bytes`. A forked child must not repeat its parent's.
_random = Random(secrets.randbits(256))
os.register_at_fork(after_in_child=lambda: _random.seed(secrets.randbits(256)))


def uuid7() -> str:
    """A UUID version 7 (RFC 9562) in its usual form of 36 characters: 48 bits of milliseconds, 74 random."""
    text = uuid7_hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7_hex() -> str:
    """The same in 32 hexadecimal digits: also a valid W3C trace id, so traces sort by time."""
    bits = _random.getrandbits(74)
    value = (time.time_ns() // 1_000_000) << 80
    value |= 0x7 << 76 | (bits >> 62) << 64
    value |= 0b10 << 62 | bits & 0x3FFF_FFFF_FFFF_FFFF
    return f"{value:032x}"


def span_id() -> str:
    """A W3C span id: 16 hexadecimal digits, never all zero."""
    return f"{_random.getrandbits(64) | 1:016x}"
