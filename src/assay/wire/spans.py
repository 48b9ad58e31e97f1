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
    """one try at one provider, child of a `model` or `embedding` span"""
    EMBEDDING = "embedding"
    """one call for vectors, with all its attempts"""
    RERANK = "rerank"
    """one call that orders documents, with all its attempts"""
    TASK = "task"
    TOOL = "tool"
    RETRIEVAL = "retrieval"
    SCORER = "scorer"
    AGENT = "agent"
    OTHER = "other"


CALL_KINDS = frozenset({SpanKind.MODEL, SpanKind.EMBEDDING, SpanKind.RERANK})
"""An upstream was asked: their tokens and their cost are counted."""


class SpanStatus(StrEnum):
    """How it ended."""

    OK = "ok"
    ERROR = "error"
    CUT = "cut"
    """the upstream stopped in the middle of its answer"""
    CANCELLED = "cancelled"
    """the client went away"""
    BLOCKED = "blocked"
    """a guard objected: no failure of the model"""


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
    raw: tuple[bytes, ...] = ()
    """of a foreign span: what it was sent with, in the pieces that its attributes refer to"""
    mapping: str | None = None
    """of a foreign span: the rules, with their version, that gave it its meaning"""
    request: bytes | None = None
    """the rest of the request's JSON: sampling, response format, fields that Assay does not know"""
    attributes: dict[str, Any] = {}
    imported: bool = False
    """whether an importer brought it from elsewhere: retention lets imports alone unless the project says otherwise"""


class SpanEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened during a span, as OpenTelemetry tells it."""

    name: str
    at_ns: int
    attributes: dict[str, Any] = {}


class SpanLink(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another span that this one has to do with."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any] = {}


class OtelSpan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="otel"):
    """A span as another program sent it by OTLP, before a dialect gives it meaning (`traces.dialects`).

    `kind` and `status_code` are OTLP's numbers as they came, known or not. `environment` is None where neither the key nor
    a header said it: then the resource may. `dropped` counts what the sender itself left out: attributes, events, links.
    """

    trace_id: str
    span_id: str
    project: str
    name: str
    start_ns: int
    end_ns: int
    parent_id: str | None = None
    environment: str | None = None
    key_id: str | None = None
    kind: int = 0
    status_code: int = 0
    status_message: str = ""
    trace_state: str = ""
    attributes: dict[str, Any] = {}
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    dropped: tuple[int, int, int] = (0, 0, 0)
    resource: dict[str, Any] = {}
    scope: dict[str, Any] = {}
    """`name`, `version`, `schema_url` and `attributes` of the instrumentation, as far as they were sent"""
    imported: bool = False


Event = Span | Score | OtelSpan
"""What the spool carries: a tagged union."""
