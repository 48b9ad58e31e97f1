"""`/metrics`, read by Prometheus' own parser."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from assay.calls.metrics import Histogram, Tally
from assay.metrics import _escaped
from assay.testing import Script, SimulatedServer

CONFIG = """
[providers.upstream]
type = "openai"
base_url = "{url}"
[models.fast]
route = [{{ provider = "upstream", model = "up" }}]
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }}
retries = 1
[models.cached]
route = [{{ provider = "upstream", model = "up" }}]
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }}
cache = {{ ttl_s = 60 }}
[models.unpriced]
route = [{{ provider = "upstream", model = "up" }}]
"""


def scraped(server: Any) -> dict[str, list[Any]]:
    answer = server.http.get("/metrics").raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def value(samples: list[Any], name: str, **labels: str) -> float:
    found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
    assert len(found) == 1, (name, labels, samples)
    return float(found[0])


def test_calls_are_counted_as_their_spans_say(start_assay: Callable[..., Any]) -> None:
    with SimulatedServer(Script(answer="echo")) as upstream:
        server = start_assay(CONFIG.format(url=upstream.url)).ready()
        for model, stream in (("fast", False), ("fast", True), ("unpriced", False)):
            body = {"model": model, "messages": [{"role": "user", "content": "one two"}], "stream": stream}
            server.http.post("/v1/chat/completions", json=body).raise_for_status()
        upstream.simulation.change(status=500)
        body = {"model": "fast", "messages": [{"role": "user", "content": "one two"}]}
        assert server.http.post("/v1/chat/completions", json=body).status_code == 500
        found = scraped(server)
        anonymous = server.http.get("/metrics", headers={"authorization": "Bearer sk-assay-nobody"})
    fast = {"gen_ai_request_model": "fast", "gen_ai_operation_name": "chat"}
    well = {**fast, "error_type": ""}
    assert value(found["assay_calls"], "assay_calls_total", **well) == 2
    assert value(found["assay_calls"], "assay_calls_total", **fast, error_type="upstream_error") == 1
    assert value(found["assay_attempts"], "assay_attempts_total", **fast, error_type="upstream_error") == 2
    assert value(found["assay_cost_usd"], "assay_cost_usd_total", **well) > 0
    unpriced = found["assay_calls_without_price"]
    assert value(unpriced, "assay_calls_without_price_total", gen_ai_request_model="unpriced") == 1
    durations = found["gen_ai_client_operation_duration_seconds"]
    assert value(durations, "gen_ai_client_operation_duration_seconds_count", **well) == 2
    firsts = found["gen_ai_server_time_to_first_token_seconds"]
    assert value(firsts, "gen_ai_server_time_to_first_token_seconds_count", **well) == 1, "of the stream"
    tokens = found["gen_ai_client_token_usage"]
    assert value(tokens, "gen_ai_client_token_usage_sum", **well, gen_ai_token_type="output") == 4
    overhead = found["assay_gateway_overhead_seconds"]
    assert value(overhead, "assay_gateway_overhead_seconds_count") == 3, "an error began no answer"
    assert value(found["assay_spool_healthy"], "assay_spool_healthy") == 1
    assert value(found["assay_breaker_state"], "assay_breaker_state", upstream_model="up") == 0
    assert anonymous.status_code == 401


def test_what_the_cache_answers_is_counted_and_is_no_duration(start_assay: Callable[..., Any]) -> None:
    with SimulatedServer(Script(answer="echo")) as upstream:
        server = start_assay(CONFIG.format(url=upstream.url)).ready()
        body = {"model": "cached", "messages": [{"role": "user", "content": "one two"}]}
        for _ in range(3):
            server.http.post("/v1/chat/completions", json=body, headers={"idempotency-key": "a"})
            server.http.post("/v1/chat/completions", json=body).raise_for_status()
        found = scraped(server)
    cached = {"gen_ai_request_model": "cached"}
    assert value(found["assay_cache_hits"], "assay_cache_hits_total", **cached) == 3
    assert value(found["assay_cache_misses"], "assay_cache_misses_total", **cached) == 1
    cost = value(found["assay_cost_usd"], "assay_cost_usd_total", gen_ai_provider_name="upstream", **cached)
    saved = value(found["assay_cache_saved_usd"], "assay_cache_saved_usd_total", **cached)
    assert saved == pytest.approx(3 * cost)
    assert value(found["assay_idempotent_replays"], "assay_idempotent_replays_total") == 2
    assert value(found["assay_cache_memory_bytes"], "assay_cache_memory_bytes") > 0
    durations = found["gen_ai_client_operation_duration_seconds"]
    name = "gen_ai_client_operation_duration_seconds_count"
    assert value(durations, name, gen_ai_provider_name="upstream", **cached) == 1
    assert value(durations, name, gen_ai_provider_name="", **cached) == 0


def test_a_histogram_counts_at_or_below_each_bound() -> None:
    histogram = Histogram((1, 2))
    for each in (0.5, 1, 1.5, 2, 2.5):
        histogram.observe(each)
    assert list(histogram.cumulative()) == [("1", 2), ("2", 4), ("+Inf", 5)]
    assert histogram.sum == 7.5


def test_a_tally_passes_on_what_the_sink_says() -> None:
    class Full:
        def admit(self) -> None:
            raise RuntimeError("full")

        def append(self, events: list[Any]) -> bool:
            return not events

        async def keep(self, events: list[Any]) -> bool:
            return not events

    class Other:
        kind = "other"

    tally = Tally(Full())
    with pytest.raises(RuntimeError, match="full"):
        tally.admit()
    other: Any = Other()
    assert tally.append([other]) is False
    assert asyncio.run(tally.keep([other])) is False
    assert tally.rows == {}


def test_a_label_may_hold_anything() -> None:
    text = f'm{{x="{_escaped(chr(92) + chr(34) + chr(10))}"}} 1\n'
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels["x"] == '\\"\n'
