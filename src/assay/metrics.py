"""`/metrics`: the process and its calls in Prometheus' text format.

The calls are counted by `assay.calls.metrics.Tally`; the rest is read where it is when somebody asks.
"""

from collections.abc import Iterator, Mapping

from litestar import Response, get
from litestar.di import NamedDependency

from assay.access import Right
from assay.access.guards import requires
from assay.calls import Caller
from assay.calls.cache import AnswerCache
from assay.calls.limiter import REFUSALS, Limiter
from assay.calls.metrics import Histogram, Tally
from assay.gateway.idempotency import Replays
from assay.snapshot import SnapshotSource
from assay.spans import Collector, Spool

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_CALL = ("gen_ai_operation_name", "gen_ai_request_model", "gen_ai_provider_name", "error_type")
_STATES = {"closed": 0, "half-open": 1, "open": 2}


@get("/metrics", guards=[requires(Right.OBSERVE)], include_in_schema=False, sync_to_thread=False)
def show_metrics(
    tally: NamedDependency[Tally],
    caller: NamedDependency[Caller],
    limiter: NamedDependency[Limiter],
    spool: NamedDependency[Spool],
    collector: NamedDependency[Collector],
    snapshot: NamedDependency[SnapshotSource],
    replays: NamedDependency[Replays],
    answer_cache: NamedDependency[AnswerCache],
) -> Response[str]:
    """Counters and gauges for Prometheus. Give its scraper a key of the project
    `default` with the role viewer as bearer token: the figures are of all projects."""
    lines = [
        *_calls(tally),
        *_guards(caller),
        *_upstreams(caller),
        *_refused(limiter),
        *_kept(replays, answer_cache),
        *_keeping(spool, collector, snapshot),
    ]
    return Response("\n".join(lines) + "\n", media_type=CONTENT_TYPE)


def _calls(tally: Tally) -> Iterator[str]:
    rows = [(dict(zip(_CALL, labels, strict=True)), row) for labels, row in sorted(tally.rows.items())]
    yield from _head("assay_calls_total", "counter", "Calls of models that ended.")
    yield from (_line("assay_calls_total", labels, row.calls) for labels, row in rows)
    yield from _head("assay_attempts_total", "counter", "Requests to upstreams: calls with their retries.")
    yield from (_line("assay_attempts_total", labels, row.attempts) for labels, row in rows)
    yield from _head("assay_cost_usd_total", "counter", "What the calls with a known price cost, in dollars.")
    yield from (_line("assay_cost_usd_total", labels, float(row.cost_usd)) for labels, row in rows)
    yield from _head("assay_calls_without_price_total", "counter", "Calls whose cost is not known.")
    yield from (_line("assay_calls_without_price_total", labels, row.unpriced) for labels, row in rows)
    name = "gen_ai_client_operation_duration_seconds"
    yield from _head(name, "histogram", "How long calls took, from their decoding to their end.")
    for labels, row in rows:
        yield from _histogram(name, labels, row.duration_s)
    name = "gen_ai_server_time_to_first_token_seconds"
    yield from _head(name, "histogram", "How long streams took to their first output.")
    for labels, row in rows:
        yield from _histogram(name, labels, row.first_token_s)
    name = "gen_ai_client_token_usage"
    yield from _head(name, "histogram", "Tokens of a call.")
    for labels, row in rows:
        yield from _histogram(name, {**labels, "gen_ai_token_type": "input"}, row.input)
        yield from _histogram(name, {**labels, "gen_ai_token_type": "output"}, row.output)
    name = "assay_gateway_overhead_seconds"
    yield from _head(
        name, "histogram", "What Assay added to a call before its answer began, upstreams not counted."
    )
    yield from _histogram(name, {}, tally.overhead_s)


def _guards(caller: Caller) -> Iterator[str]:
    name = "assay_guarded_calls_total"
    yield from _head(name, "counter", "Calls in which a guard found something.")
    for (model, guard, side, action), count in sorted(caller.guards.counts.items()):
        labels = {"gen_ai_request_model": model, "guard": guard, "side": side, "action": action}
        yield _line(name, labels, count)


def _upstreams(caller: Caller) -> Iterator[str]:
    conditions = [
        ({"gen_ai_provider_name": provider, "upstream_model": model, "key": str(key)}, state, condition)
        for (provider, model, key), (state, condition) in sorted(caller.health.conditions().items())
    ]
    yield from _head("assay_breaker_state", "gauge", "0 closed, 1 half-open, 2 open.")
    for labels, state, _ in conditions:
        yield _line("assay_breaker_state", labels, _STATES[state])
    yield from _head("assay_upstream_in_flight", "gauge", "Requests that an upstream has not finished.")
    for labels, _, condition in conditions:
        yield _line("assay_upstream_in_flight", labels, condition.in_flight)


def _kept(replays: Replays, cache: AnswerCache) -> Iterator[str]:
    saved = {model: float(amount) for model, amount in cache.saved_usd.items()}
    counters: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("assay_cache_hits_total", "Calls that the cache answered.", cache.hits),
        ("assay_cache_misses_total", "Calls for which it had no answer.", cache.misses),
        ("assay_cache_saved_usd_total", "What the answers had cost when a model gave them.", saved),
    )
    for name, text, counts in counters:
        yield from _head(name, "counter", text)
        for model, value in sorted(counts.items()):
            yield _line(name, {"gen_ai_request_model": model}, value)
    for name, text, size in (
        ("assay_cache_memory_bytes", "Bytes of cached answers in memory.", cache.shelf.memory_bytes),
        ("assay_cache_disk_bytes", "Bytes of cached answers on the disk.", cache.shelf.disk_bytes),
    ):
        if size is not None:
            yield from _head(name, "gauge", text)
            yield _line(name, {}, size)
    name = "assay_idempotent_replays_total"
    yield from _head(name, "counter", "Requests answered with what was kept under their Idempotency-Key.")
    yield _line(name, {}, replays.replayed)


def _refused(limiter: Limiter) -> Iterator[str]:
    yield from _head("assay_limited_calls_total", "counter", "Calls that a limit or a budget refused.")
    for what in REFUSALS:
        yield _line("assay_limited_calls_total", {"limit": what}, limiter.refused[what])


def _keeping(spool: Spool, collector: Collector, snapshot: SnapshotSource) -> Iterator[str]:
    kept, collected = spool.state, collector.state
    for name, kind, text, value in (
        ("assay_spool_backlog_bytes", "gauge", "Bytes that wait to be collected.", kept.backlog_bytes),
        ("assay_spool_healthy", "gauge", "1 while spans can be kept.", int(kept.healthy)),
        ("assay_lost_calls_total", "counter", "Calls answered and not kept.", kept.lost_calls),
        ("assay_free_disk_bytes", "gauge", "Free bytes below the data directory.", kept.free_disk_bytes),
        ("assay_collector_lag_seconds", "gauge", "Age of the oldest record to collect.", collected.lag_s),
        ("assay_collected_events_total", "counter", "Events brought into the store.", collected.collected),
        ("assay_quarantined_total", "counter", "Pieces set aside as unreadable.", collected.quarantined),
        (
            "assay_snapshot_stale",
            "gauge",
            "1 while the records cannot be read.",
            int(snapshot.stale_since is not None),
        ),
    ):
        if value is not None:
            yield from _head(name, kind, text)
            yield _line(name, {}, value)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _histogram(name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[str]:
    count = 0
    for bound, count in histogram.cumulative():
        yield _line(f"{name}_bucket", {**labels, "le": bound}, count)
    yield _line(f"{name}_sum", labels, histogram.sum)
    yield _line(f"{name}_count", labels, count)


def _line(name: str, labels: dict[str, str], value: float) -> str:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{said}}} {value!r}" if said else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


handlers = [show_metrics]
