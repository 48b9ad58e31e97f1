"""Counters of settled calls, for Prometheus: OpenTelemetry's GenAI metrics by their names, and a few of Assay's own.

Everything is counted from the spans on their way to the spool, so that it agrees with them. Labels are bounded: models and
providers are those of the configuration, whatever a client asked for.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal

from assay.calls.types import SpanSink
from assay.wire.spans import Event, Span, SpanKind, SpanStatus

DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bounds that the GenAI conventions advise for `gen_ai.client.operation.duration`."""
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""And for `gen_ai.client.token.usage`."""
FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""And for `gen_ai.server.time_to_first_token`."""
OVERHEAD_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

_OPERATIONS = {"chat": "chat", "completions": "text_completion", "embeddings": "embeddings"}

Labels = tuple[str, ...]


class Histogram:
    """Counts of values at or below each bound, and their sum. Not thread-safe."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """Each bound as text, `+Inf` last, with how many values lie at or below it."""
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            yield ("+Inf" if bound == float("inf") else f"{bound:g}", total)


class Row:
    """What is counted for one kind of call."""

    __slots__ = (
        "attempts",
        "calls",
        "cost_usd",
        "duration_s",
        "first_token_s",
        "input",
        "output",
        "unpriced",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.attempts = 0
        self.cost_usd = Decimal(0)
        self.unpriced = 0
        self.duration_s = Histogram(DURATION_S)
        self.first_token_s = Histogram(FIRST_TOKEN_S)
        self.input = Histogram(TOKENS)
        self.output = Histogram(TOKENS)


class Tally:
    """A sink that counts what passes through it. `rows` are by operation, model, provider and error type (empty: none)."""

    def __init__(self, sink: SpanSink) -> None:
        self.rows: dict[Labels, Row] = {}
        self.overhead_s = Histogram(OVERHEAD_S)
        self._sink = sink

    def admit(self) -> None:
        self._sink.admit()

    def append(self, events: list[Event]) -> bool:
        self._count(events)
        return self._sink.append(events)

    async def keep(self, events: list[Event]) -> bool:
        self._count(events)
        return await self._sink.keep(events)

    def _count(self, events: list[Event]) -> None:
        span = events[-1]
        if not isinstance(span, Span) or span.kind is SpanKind.ATTEMPT:
            return
        labels = (
            _OPERATIONS.get(span.endpoint or "", span.endpoint or ""),
            span.model or "",
            span.provider or "",
            span.error_type or ("" if span.status is SpanStatus.OK else span.status.value),
        )
        row = self.rows.get(labels)
        if row is None:
            row = self.rows[labels] = Row()
        row.calls += 1
        row.attempts += span.attempts
        if span.cache != "hit":  # it says nothing of how long a model takes
            row.duration_s.observe((span.end_ns - span.start_ns) / 1e9)
            if span.first_output_ns is not None:
                row.first_token_s.observe((span.first_output_ns - span.start_ns) / 1e9)
        if span.cost_usd is not None:
            row.cost_usd += span.cost_usd
        else:
            row.unpriced += 1
        if span.usage is not None:
            row.input.observe(span.usage.total_input)
            row.output.observe(span.usage.total_output)
