"""Token counts in disjoint classes: no token is counted in two of them, so a cost is a plain sum."""

from enum import StrEnum

import msgspec


class UsageSource(StrEnum):
    """Who counted."""

    PROVIDER = "provider"
    TOKENIZER = "tokenizer"
    ESTIMATE = "estimate"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one call consumed. Vendors whose input count includes cached tokens, or whose output count includes
    reasoning, are taken apart by their codec: `input + cache_read + cache_write_*` is all that went in."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    input_source: UsageSource = UsageSource.PROVIDER
    output_source: UsageSource = UsageSource.PROVIDER

    def __add__(self, other: "Usage") -> "Usage":
        """What two calls consumed; an estimate in one of them makes it one."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        estimate = UsageSource.ESTIMATE
        return Usage(
            **counts,
            input_source=estimate if other.input_source is estimate else self.input_source,
            output_source=estimate if other.output_source is estimate else self.output_source,
        )

    @property
    def total_input(self) -> int:
        """Every token that went in, cached or not."""
        return (
            self.input
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.audio_input
            + self.image_input
        )

    @property
    def total_output(self) -> int:
        """Every token that came out, reasoning included."""
        return self.output + self.reasoning + self.audio_output + self.image_output


_COUNTS = tuple(name for name in Usage.__struct_fields__ if not name.endswith("_source"))
