"""What every endpoint that calls a model does around the call: who may, whose call it is, and what its answer says of it."""

import time

from assay.access import Principal, Right
from assay.calls import CallContext, StreamingAnswer
from assay.calls.cache_rules import CacheOutcome
from assay.errors import Forbidden
from assay.gateway.exchange import Exchange
from assay.gateway.origin import Origin
from assay.kit import json, money
from assay.wire.spans import Span


def check_may_call(principal: Principal) -> None:
    """Raises `Forbidden` for a key that calls no models."""
    if not principal.may(Right.CALL):
        raise Forbidden(
            f"A key with the role {principal.role.value!r} calls no models",
            hint="Use a key with the role app.",
        )


def context_of(origin: Origin, principal: Principal) -> CallContext:
    """Whose call it is."""
    return CallContext(
        project=principal.project,
        environment=origin.environment,
        key_id=principal.key_id,
        user=origin.user,
        session=origin.session,
        tags=origin.tags,
        trace_id=origin.trace_id,
        parent_id=origin.parent_id,
        route=origin.route,
    )


def label(
    exchange: Exchange,
    context: CallContext,
    trace_id: str,
    upstream_ns: int,
    *,
    model: str,
    kept: bool = True,
    cache: CacheOutcome | None = None,
) -> None:
    """The headers that every answer carries."""
    overhead_ms = exchange.overhead_ms = (time.perf_counter_ns() - exchange.began_ns - upstream_ns) / 1e6
    exchange.out += (
        (b"x-assay-trace-id", trace_id.encode()),
        (b"x-assay-model", model.encode()),
        (b"x-assay-cache", b"none" if cache is None else cache.state.encode()),
        (b"x-assay-overhead-ms", f"{overhead_ms:.3f}".encode()),
    )
    if context.variant is not None:
        exchange.out.append((b"x-assay-variant", context.variant.encode()))
    if cache is not None and cache.similarity is not None:
        exchange.out.append((b"x-assay-cache-similarity", f"{cache.similarity:.4f}".encode()))
    if not kept:
        exchange.out.append((b"x-assay-kept", b"false"))


def label_cost(exchange: Exchange, span: Span) -> None:
    """And those of an answer that is whole. Without a price there is no cost, rather than none to pay."""
    if span.cost_usd is not None:
        exchange.out.append((b"x-assay-cost-usd", money.text(span.cost_usd).encode()))
    exchange.out.append((b"x-assay-attempts", str(span.attempts).encode()))


def trailer(answer: StreamingAnswer) -> bytes:
    """The comment line at the end of a stream: what is known only then."""
    span = answer.span
    cost = None if span is None else span.cost_usd
    kept = {} if answer.kept else {"x-assay-kept": False}
    return (
        b": " + json.encode({"x-assay-cost-usd": cost, "x-assay-attempts": answer.attempts, **kept}) + b"\n\n"
    )
