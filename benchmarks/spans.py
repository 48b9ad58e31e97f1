"""How fast spans come in and how fast they are read: 100,000 realistic spans through the spool, the collector and DuckDB.

    python benchmarks/spans.py [--spans 100000] [--days 7] [--json FILE]

Appending is timed alone, then draining, then each question of the pages: the median of 15 runs on one connection, over the
last day and over all of them; while everything is hot, and again once every day but today is sealed as Parquet.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from assay.kit import ids
from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.quarantine import Quarantine
from assay.spans.types import SpanFilter
from assay.testing import FakeClock
from assay.wire.spans import Event, Span, SpanKind, SpanStatus
from assay.wire.usage import Usage

HOUR_NS = 3_600_000_000_000
WORDS = Path(__file__).read_text().split()
MODELS = {"fast": "0.00000015", "large": "0.0000025", "local": None, "judge": "0.000001"}


def conversation(chance: random.Random, turns: int) -> list[bytes]:
    """A system prompt that many share and turns that nobody else has."""
    shared = (
        f"You are assistant number {chance.randrange(20)}. "
        + "Answer shortly and say when you do not know. " * 10
    )
    messages = [{"role": "system", "content": shared}]
    for turn in range(turns):
        text = " ".join(chance.choices(WORDS, k=chance.randint(10, 150)))
        messages.append({"role": "user" if turn % 2 == 0 else "assistant", "content": text})
    return [json.dumps(message).encode() for message in messages]


def call(chance: random.Random, start_ns: int) -> list[Event]:
    """One call as the gateway keeps it: the span of the call and that of its attempt."""
    model = chance.choice(list(MODELS))
    price = MODELS[model]
    took_ns = round(chance.lognormvariate(0, 0.6) * 8e8)
    usage = Usage(
        input=chance.randint(50, 4000), output=chance.randint(5, 900), cache_read=chance.choice([0, 0, 1024])
    )
    status = chance.choices([SpanStatus.OK, SpanStatus.ERROR, SpanStatus.CUT], weights=[96, 3, 1])[0]
    messages = conversation(chance, chance.choice([1, 1, 3, 5]))
    answer = json.dumps({"role": "assistant", "content": " ".join(chance.choices(WORDS, k=60))}).encode()
    trace_id, span_id = ids.uuid7_hex(), ids.span_id()
    made = Span(
        trace_id=trace_id, span_id=span_id, project="default", name=f"chat {model}", kind=SpanKind.MODEL, start_ns=start_ns,
        end_ns=start_ns + took_ns, status=status, error_type=None if status is SpanStatus.OK else "upstream_error",
        provider="acme", model=model, upstream_model=f"{model}-2026", response_model=f"{model}-2026", endpoint="chat",
        streamed=True, first_output_ns=start_ns + took_ns // 4, finish_reason="stop", usage=usage,
        cost_usd=None if price is None else Decimal(price) * usage.total_input, key_id=f"key-{chance.randrange(5)}",
        user_id=f"user-{chance.randrange(500)}", session_id=f"session-{chance.randrange(5000)}",
        task=chance.choice([None, "polish", "triage"]), variant=chance.choice(["v1", "v2"]), tags=("batch",),
        input=tuple(messages), output=(answer,), request=b'{"temperature":0.2,"max_tokens":300}', attributes={"app": "shop"},
    )  # fmt: skip
    attempt = Span(
        trace_id=trace_id, span_id=ids.span_id(), parent_id=span_id, project="default", name="attempt acme",
        kind=SpanKind.ATTEMPT, start_ns=start_ns + 50_000, end_ns=start_ns + took_ns, status=status, provider="acme",
        model=model, upstream_model=f"{model}-2026", usage=usage,
    )  # fmt: skip
    return [made, attempt]


def fill(
    spool: Spool, collector: Collector, clock: FakeClock, *, spans: int, days: int, seed: int = 0
) -> tuple[float, float]:
    """Append calls spread over so many days up to now; the median of an append in µs and the spans drained per second."""
    chance = random.Random(seed)
    took: list[int] = []
    drained_s = 0.0
    step_s = days * 86_400 / (spans // 2)
    for index in range(spans // 2):
        clock.advance(step_s)
        events = call(chance, clock.now_ns())
        before = time.perf_counter_ns()
        spool.append(events)
        took.append(time.perf_counter_ns() - before)
        if index % 5000 == 4999:
            spool.flush()
            before_s = time.perf_counter()
            collector.drain_now()
            drained_s += time.perf_counter() - before_s
    collector.drain_now()
    return statistics.median(took) / 1e3, spans / drained_s if drained_s else 0.0


def median_ms(ask: Callable[[], Any], runs: int = 15) -> float:
    """The median of several runs."""
    times = []
    for _ in range(runs):
        before = time.perf_counter()
        ask()
        times.append((time.perf_counter() - before) * 1e3)
    return round(statistics.median(times), 2)


async def strict_ms(spool: Spool, clients: int, calls: int = 40) -> float:
    """The median wait of clients that append and wait for the fsync, one call after the other."""
    events = call(random.Random(1), time.time_ns())

    async def client() -> list[float]:
        waits = []
        for _ in range(calls):
            before = time.perf_counter()
            receipt = spool.append(events)
            assert receipt is not None
            assert await spool.kept(receipt)
            waits.append((time.perf_counter() - before) * 1e3)
        return waits

    return round(
        statistics.median(chain.from_iterable(await asyncio.gather(*(client() for _ in range(clients))))), 3
    )


def ask(store: DuckDBStore, now_ns: int, days: int) -> dict[str, float]:
    """Each question of the pages over so many days."""
    range_ = SpanFilter(project="default", from_ns=now_ns - days * 24 * HOUR_NS, to_ns=now_ns + HOUR_NS)
    narrowed = msgspec.structs.replace(
        range_, model="large", status=(SpanStatus.ERROR,), min_duration_ms=500.0
    )
    searched = msgspec.structs.replace(range_, text="statistics")
    first = store.list_traces(range_)
    bucket_ns = HOUR_NS * days
    return {
        "list_traces_ms": median_ms(lambda: store.list_traces(range_)),
        "list_traces_next_page_ms": median_ms(lambda: store.list_traces(range_, cursor=first.next)),
        "list_traces_filtered_ms": median_ms(lambda: store.list_traces(narrowed)),
        "list_traces_search_ms": median_ms(lambda: store.list_traces(searched)),
        "list_spans_ms": median_ms(lambda: store.list_spans(range_)),
        "trace_ms": median_ms(lambda: store.trace("default", first.items[0].trace_id)),
        "traffic_ms": median_ms(lambda: store.traffic(range_)),
        "traffic_over_time_ms": median_ms(lambda: store.traffic_over_time(range_, bucket_ns=bucket_ns)),
        "traffic_by_model_ms": median_ms(lambda: store.traffic_by(range_, "model")),
        "facets_ms": median_ms(lambda: store.facets(range_)),
    }


def ask_all(store: DuckDBStore, now_ns: int, days: int) -> dict[str, dict[str, float]]:
    """The questions over the last day and over all days."""
    return {f"{count}_days": ask(store, now_ns, count) for count in sorted({1, days})}


def measure(directory: Path, spans: int, days: int) -> dict[str, Any]:
    """All figures."""
    now_ns = time.time_ns()
    clock = FakeClock(start_ns=now_ns - days * 24 * HOUR_NS)
    spool, store = Spool(directory / "spool" / "main", clock=clock), DuckDBStore(directory / "spans.duckdb")
    collector = Collector(spool, store, Quarantine(directory / "quarantine"))
    append_us, drained_per_s = fill(spool, collector, clock, spans=spans, days=days)
    figures: dict[str, Any] = {"append_us": round(append_us, 2), "drained_per_s": round(drained_per_s)}
    figures["strict_1_ms"] = asyncio.run(strict_ms(spool, 1))
    figures["strict_64_ms"] = asyncio.run(strict_ms(spool, 64))
    collector.drain_now()
    figures["hot_mb"] = round(store.size().hot_bytes / 1e6, 1)
    figures["hot"] = ask_all(store, now_ns, days)
    before = time.perf_counter()
    store.seal(before_day=now_ns // (24 * HOUR_NS))
    figures["seal_s"] = round(time.perf_counter() - before, 2)
    before = time.perf_counter()
    store.compact(even_little=True)
    figures["compact_s"] = round(time.perf_counter() - before, 2)
    size = store.size()
    figures["left_hot_mb"] = round(size.hot_bytes / 1e6, 1)
    figures["sealed_rows_mb"] = round(size.sealed_bytes / 1e6, 1)
    figures["sealed_content_mb"] = round(size.content_bytes / 1e6, 1)
    figures["sealed"] = ask_all(store, now_ns, days)
    collector.stop()
    spool.close()
    store.close()
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), chosen.spans, chosen.days)
    text = json.dumps(figures, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
