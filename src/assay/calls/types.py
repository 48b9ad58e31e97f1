"""A call, its answer, and what the pipeline needs from the rooms around it."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from assay.calls.cache_rules import CacheAsk, CacheOutcome
from assay.catalog.guards import GuardRule
from assay.detect import Finding
from assay.providers.types import Endpoint
from assay.wire.embeddings import EmbeddingRequest, EmbeddingResponse
from assay.wire.moderations import ModerationRequest, ModerationResponse
from assay.wire.requests import ModelRequest
from assay.wire.rerank import RerankRequest, RerankResponse
from assay.wire.responses import Response, StreamEvent
from assay.wire.spans import Event, Span


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """Whose call it is and what it belongs to; all of it ends up on the span."""

    project: str
    environment: str = "production"
    key_id: str | None = None
    user: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    trace_id: str | None = None
    parent_id: str | None = None
    task: str | None = None
    variant: str | None = None
    release_id: str | None = None
    run_id: str | None = None
    case_id: str | None = None
    route: str | None = None
    """the provider, or `provider/model`, that a trusted key wants to be asked and no other"""
    attributes: dict[str, Any] = {}


class Call(msgspec.Struct, frozen=True):
    """One request to a model of the catalogue."""

    endpoint: Endpoint
    request: ModelRequest | EmbeddingRequest | RerankRequest | ModerationRequest
    context: CallContext
    guards: tuple["Guard", ...] = ()
    cache: CacheAsk | None = None


class Guard(Protocol):
    """Something that looks at the texts of calls. Pure, and in time linear in their length: it runs on the event loop."""

    rule: GuardRule

    def find(self, text: str) -> Sequence[Finding]:
        """What it objects to. For a check of a whole text one finding says that there is something."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer with what it took. `model` is the one of the catalogue that answered: the one that was asked for, a
    fallback or a cheaper one. `kept` is False when the span could not be written in time, `cache` None where the cache had no
    part in it."""

    response: Response
    span: Span
    upstream_ns: int
    model: str
    kept: bool = True
    cache: CacheOutcome | None = None

    @property
    def cost_usd(self) -> Decimal | None:
        """None when a price is unknown."""
        return self.span.cost_usd


class EmbeddingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors with what they took; like `Answer`."""

    response: EmbeddingResponse
    span: Span
    upstream_ns: int
    kept: bool = True
    cache: CacheOutcome | None = None

    @property
    def cost_usd(self) -> Decimal | None:
        """None when a price is unknown."""
        return self.span.cost_usd


class RerankAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Documents in order with what it took; like `Answer`."""

    response: RerankResponse
    span: Span
    upstream_ns: int
    kept: bool = True
    cache: CacheOutcome | None = None


class ModerationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen in texts, with what it took; like `Answer`. Nobody bills it by the token, so it has no cost."""

    response: ModerationResponse
    span: Span
    upstream_ns: int
    kept: bool = True
    cache: CacheOutcome | None = None


class StreamingAnswer(Protocol):
    """An answer whose first output is there. Iterate `events` to the end or call `aclose`: both settle it."""

    trace_id: str
    model: str
    attempts: int

    @property
    def cache(self) -> CacheOutcome | None:
        """As of an `Answer`."""

    @property
    def upstream_ns(self) -> int:
        """Nanoseconds that the upstream was waited for before its first output."""

    def events(self) -> AsyncIterator[StreamEvent]:
        """What goes to the client, in order. Raises an `Upstream` error when the answer is cut."""

    async def aclose(self) -> None:
        """The client went away: stop the upstream and settle. After the end it does nothing."""

    @property
    def span(self) -> Span | None:
        """The span, once settled."""

    @property
    def kept(self) -> bool:
        """Whether the span was written in time."""


class SpanSink(Protocol):
    """Where settled calls go: the spool, or a list in a test."""

    def admit(self) -> None:
        """Called before the upstream is. Raises `Unavailable` when durability is strict and nothing can be kept."""

    def append(self, events: list[Event]) -> bool:
        """Write without waiting, for exits that cannot wait; False when it could not be written."""

    async def keep(self, events: list[Event]) -> bool:
        """Write, and wait as durability asks: for the fsync when strict, at most 250 ms for a sick disk otherwise."""
