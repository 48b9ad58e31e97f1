"""A secret without its value."""

import msgspec


class Secret(msgspec.Struct, frozen=True):
    """What may be known of it."""

    name: str
    created_at_ns: int
    changed_at_ns: int
