"""Tokens of the dialects in disjoint classes.

OpenTelemetry and OpenInference count inclusively: the input includes what was read from and written to a cache, the output
includes reasoning. Some emitters pass on Anthropic's own counts, whose input excludes the cached tokens; where the cached
tokens are more than the input they can be nothing else.
"""

from assay.wire.usage import Usage


def disjoint(
    *,
    input: int | None,
    output: int | None,
    cache_read: int | None = None,
    cache_write: int | None = None,
    reasoning: int | None = None,
    audio_input: int | None = None,
    audio_output: int | None = None,
) -> Usage | None:
    """The classes out of counts that overlap. None when neither side was counted.

    A cache write counts as one of five minutes, since no dialect says for how long.
    """
    if input is None and output is None:
        return None
    read, written, heard = cache_read or 0, cache_write or 0, audio_input or 0
    thought, spoken = reasoning or 0, audio_output or 0
    inside = read + written + heard
    into, out = input or 0, output or 0
    return Usage(
        input=into if read + written > into else max(into - inside, 0),
        cache_read=read,
        cache_write_5m=written,
        audio_input=heard,
        output=out if thought + spoken > out else out - thought - spoken,
        reasoning=thought,
        audio_output=spoken,
    )
