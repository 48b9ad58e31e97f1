"""A span: one piece of work with its times, and one wide row where it is kept.

A span arrives once, whole. A later version of the same `span_id` supersedes it; facts that come later (scores,
corrections, repricing) are rows of their own. `input`, `output` and `tools` hold each message, tool definition or
document as its own JSON text, so that the store can keep equal ones once (`bytes`, since `msgspec.Raw` inside MessagePack
would be taken for MessagePack).
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from assay.wire.scores import Score
from assay.wire.usage import Usage


class SpanKind(StrEnum):
    """What sort of work it was."""

    MODEL = "model"
    """one call of a client or a feature, with all its attempts"""
    ATTEMPT = "attempt"
    """one try at one provider, child of a `model` span"""
    TASK = "task"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    SCORER = "scorer"
    AGENT = "agent"
    OTHER = "other"


class SpanStatus(StrEnum):
    """How it ended."""

    OK = "ok"
    ERROR = "error"
    CUT = "cut"
    """the upstream stopped in the middle of its answer"""
    CANCELLED = "cancelled"
    """the client went away"""


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="span"):
    """Times are nanoseconds since the epoch. Ids are W3C: 32 and 16 hexadecimal digits. Unknown is None."""

    trace_id: str
    span_id: str
    project: str
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    parent_id: str | None = None
    status: SpanStatus = SpanStatus.OK
    error_type: str | None = None
    error_message: str | None = None
    environment: str = "production"

    provider: str | None = None
    model: str | None = None
    """what was asked for"""
    upstream_model: str | None = None
    """what the provider was asked for"""
    response_model: str | None = None
    """what the provider said it was"""
    endpoint: str | None = None
    streamed: bool = False
    first_output_ns: int | None = None
    finish_reason: str | None = None
    attempts: int = 1
    cache: str | None = None

    usage: Usage | None = None
    cost_usd: Decimal | None = None
    price_id: str | None = None
    """which price row, with its effective date, made `cost_usd`"""

    key_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    task: str | None = None
    variant: str | None = None
    release_id: str | None = None
    run_id: str | None = None
    case_id: str | None = None
    tags: tuple[str, ...] = ()

    input: tuple[bytes, ...] = ()
    output: tuple[bytes, ...] = ()
    tools: tuple[bytes, ...] = ()
    request: bytes | None = None
    """the rest of the request's JSON: sampling, response format, fields that Assay does not know"""
    attributes: dict[str, Any] = {}


Event = Span | Score
"""What the spool carries: a tagged union."""
