"""Token counts as OpenAI's formats say them, where classes overlap, and the disjoint classes of `wire.usage`.

`prompt_tokens` includes what was read from and written to a cache, `completion_tokens` includes reasoning.
"""

from typing import Any

from msgspec import Struct

from assay.wire.usage import Usage


class _PromptDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class _CompletionDetails(Struct, frozen=True):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class SentUsage(Struct, frozen=True):
    """The `usage` object."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


def usage_of(sent: SentUsage | None) -> Usage | None:
    """The classes taken apart. None when neither side was counted. A cache write has no class for its own duration here and
    counts as one of five minutes."""
    if sent is None or (sent.prompt_tokens is None and sent.completion_tokens is None):
        return None
    prompt, completion = sent.prompt_tokens or 0, sent.completion_tokens or 0
    into, out = sent.prompt_tokens_details, sent.completion_tokens_details
    cached = (into.cached_tokens if into else None) or 0
    written = (into.cache_write_tokens if into else None) or 0
    heard = (into.audio_tokens if into else None) or 0
    thought = (out.reasoning_tokens if out else None) or 0
    spoken = (out.audio_tokens if out else None) or 0
    return Usage(
        input=max(prompt - cached - written - heard, 0),
        cache_read=cached,
        cache_write_5m=written,
        audio_input=heard,
        output=max(completion - thought - spoken, 0),
        reasoning=thought,
        audio_output=spoken,
    )


def encode_usage(usage: Usage) -> dict[str, Any]:
    """The `usage` object that says these classes."""
    return {
        "prompt_tokens": usage.total_input,
        "completion_tokens": usage.total_output,
        "total_tokens": usage.total_input + usage.total_output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
        },
    }
