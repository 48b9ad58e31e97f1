"""What a dialect can say of a span."""

from decimal import Decimal

import msgspec

from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of the wide row; None is what the dialect does not know. Messages are JSON in OpenAI's shape, each by itself."""

    kind: SpanKind | None = None
    status: SpanStatus | None = None
    error_type: str | None = None
    error_message: str | None = None
    environment: str | None = None
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    endpoint_host: str | None = None
    """where the call went, as far as the span says it: decides whose prices apply"""
    finish_reason: str | None = None
    streamed: bool | None = None
    first_output_ns: int | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    """what the sender says that it cost"""
    session: str | None = None
    user: str | None = None
    task: str | None = None
    tags: tuple[str, ...] | None = None
    input: tuple[bytes, ...] | None = None
    output: tuple[bytes, ...] | None = None
    tools: tuple[bytes, ...] | None = None
    request: bytes | None = None


NOTHING = Meaning()


def merged(*meanings: Meaning) -> Meaning:
    """For each column the first that knows it."""
    first, *others = map(msgspec.structs.astuple, meanings)
    said = list(first)
    for other in others:
        for at, value in enumerate(other):
            if value is not None and said[at] is None:
                said[at] = value
    return Meaning(**dict(zip(Meaning.__struct_fields__, said, strict=True)))
