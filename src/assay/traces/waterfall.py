"""A trace as a tree on one time line."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from assay.spans.types import StoredSpan
from assay.wire.spans import CALL_KINDS, Span, SpanKind


class Bar(msgspec.Struct, frozen=True):
    """One span of the waterfall; times are milliseconds from the start of the trace. `cost_usd` is None as well where
    another span tells of the same call, so that the bars' costs add up."""

    span: Span
    depth: int
    start_ms: float
    duration_ms: float
    first_ms: float | None
    cost_usd: Decimal | None


class Waterfall(msgspec.Struct, frozen=True):
    """Spans so that children follow their parent, in the order of their start."""

    bars: list[Bar]
    total_ms: float


def lay_out(stored: Sequence[StoredSpan]) -> Waterfall:
    """Order the spans as a tree. One whose parent is not here, or that is its own ancestor, stands at the top."""
    spans = {item.span.span_id: item.span for item in stored}
    twice = {item.span.span_id for item in stored if item.span.kind in CALL_KINDS and not item.is_counted}
    children: dict[str | None, list[Span]] = {}
    for span in spans.values():
        parent = span.parent_id if span.parent_id in spans and span.parent_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    begin_ns = min((span.start_ns for span in spans.values()), default=0)
    end_ns = max((span.end_ns for span in spans.values()), default=0)
    bars: list[Bar] = []
    seen: set[str] = set()
    for top in [*children.get(None, []), *spans.values()]:
        waiting = [(top, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            bars.append(_bar(span, depth, begin_ns, is_counted=span.span_id not in twice))
            below = sorted(children.get(span.span_id, []), key=lambda child: child.start_ns, reverse=True)
            waiting += [(child, depth + 1) for child in below]
    return Waterfall(bars, max(0.0, (end_ns - begin_ns) / 1e6))


def chosen(stored: Sequence[StoredSpan], span_id: str | None) -> StoredSpan:
    """The span that a page shows: the one asked for, else the first model call, else the first."""
    for item in stored:
        if item.span.span_id == span_id:
            return item
    return next((item for item in stored if item.span.kind is SpanKind.MODEL), stored[0])


def _bar(span: Span, depth: int, begin_ns: int, *, is_counted: bool) -> Bar:
    return Bar(
        span=span,
        depth=depth,
        start_ms=(span.start_ns - begin_ns) / 1e6,
        duration_ms=max(0.0, (span.end_ns - span.start_ns) / 1e6),
        first_ms=None if span.first_output_ns is None else (span.first_output_ns - begin_ns) / 1e6,
        cost_usd=span.cost_usd if is_counted else None,
    )
