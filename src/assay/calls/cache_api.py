"""`/api/cache`: what lies in the cache, and what it saved."""

import asyncio
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.calls.cache import AnswerCache
from assay.kit import money
from assay.kit.clock import DAY_NS, SYSTEM
from assay.spans.types import Saving, SpanFilter, SpanStore

MOST_DAYS = 400


class CacheAnswer(msgspec.Struct, kw_only=True):
    """The cache of a project: what lies there now, and what it did in the last `days`. `saved_usd` leaves out `unpriced` hits."""

    entries: int
    bytes: int
    days: int
    hits: int
    misses: int
    saved_usd: Decimal
    unpriced: int
    models: list[Saving]


class Cleared(msgspec.Struct):
    """How many answers were taken away."""

    removed: int


@get("/api/cache", guards=[requires(Right.READ)])
async def show(
    principal: NamedDependency[Principal],
    answer_cache: NamedDependency[AnswerCache],
    span_store: NamedDependency[SpanStore],
    days: Annotated[int, QueryParameter(ge=1, le=MOST_DAYS)] = 7,
) -> CacheAnswer:
    """What lies in the cache of the project, and what it saved in the last days, by model."""
    savings = await asyncio.to_thread(savings_of, span_store, principal.project, days)
    return answer_of(answer_cache, principal.project, savings, days=days)


@delete("/api/cache", guards=[requires(Right.EDIT)], status_code=200)
async def clear(principal: NamedDependency[Principal], answer_cache: NamedDependency[AnswerCache]) -> Cleared:
    """Forget every answer of the project, also on the disk. What is kept for an Idempotency-Key stays."""
    return Cleared(answer_cache.clear(principal.project))


def savings_of(store: SpanStore, project: str, days: int) -> list[Saving]:
    """What the cache did in the last days. Raises `StoreDown`."""
    now_ns = SYSTEM.now_ns()
    return store.savings(
        SpanFilter(project=project, from_ns=now_ns - days * DAY_NS, to_ns=now_ns + 60_000_000_000)
    )


def answer_of(cache: AnswerCache, project: str, savings: list[Saving], *, days: int) -> CacheAnswer:
    """The whole, for API and page."""
    size = cache.size(project)
    saved = money.NOTHING
    for each in savings:
        saved = money.add(saved, each.saved_usd)
    return CacheAnswer(
        entries=size.entries,
        bytes=size.bytes,
        days=days,
        hits=sum(each.hits for each in savings),
        misses=sum(each.misses for each in savings),
        saved_usd=saved,
        unpriced=sum(each.unpriced for each in savings),
        models=savings,
    )


handlers = [show, clear]
