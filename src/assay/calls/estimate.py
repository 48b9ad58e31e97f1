"""Counts for a call that its provider did not count: marked as estimates, never passed off as measured."""

from assay.wire.usage import Usage, UsageSource

BYTES_PER_TOKEN = 4
"""English text in the common tokenizers: 4.0 to 4.7 bytes a token; JSON around it makes 4 a cautious bound."""


def estimated_usage(sent: tuple[bytes, ...], received: tuple[bytes, ...]) -> Usage:
    """From the bytes of the messages that went in and came out."""
    return Usage(
        input=-(-sum(map(len, sent)) // BYTES_PER_TOKEN),
        output=-(-sum(map(len, received)) // BYTES_PER_TOKEN),
        input_source=UsageSource.ESTIMATE,
        output_source=UsageSource.ESTIMATE,
    )
