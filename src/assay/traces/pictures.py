"""The overview's pictures."""

from collections.abc import Sequence

import msgspec

from assay.charts.scales import Unit
from assay.charts.series import time_bars, time_lines
from assay.charts.svg import Svg
from assay.traces.overview import Overview


class Picture(msgspec.Struct, frozen=True):
    """A titled picture."""

    title: str
    svg: Svg


def pictures_of(overview: Overview) -> list[Picture]:
    """Traffic, errors, cost, latencies and tokens over time.

    A stretch in which no cost is known is a gap; one in which some are is drawn with those.
    """
    times = [bucket.start_ns for bucket in overview.over_time]
    traffic = [bucket.traffic for bucket in overview.over_time]
    step_ns = overview.bucket_ns
    costs = [None if one.calls and one.cost_unknown == one.calls else float(one.cost_usd) for one in traffic]
    first: dict[str, Sequence[float | None]] = {
        "median": [one.first_output_p50_ms for one in traffic],
        "95 %": [one.first_output_p95_ms for one in traffic],
    }
    tokens = [one.input_tokens + one.output_tokens for one in traffic]
    latency: dict[str, Sequence[float | None]] = {
        "median": [one.p50_ms for one in traffic],
        "95 %": [one.p95_ms for one in traffic],
    }
    bars = {
        "Calls": time_bars(times, [one.calls for one in traffic], step_ns=step_ns, title="Calls"),
        "Errors": time_bars(
            times, [one.errors for one in traffic], step_ns=step_ns, title="Errors", series=2
        ),
        "Cost": time_bars(times, costs, step_ns=step_ns, title="Cost", unit=Unit.USD, series=3),
        "Latency": time_lines(times, latency, step_ns=step_ns, title="Latency", unit=Unit.MS),
        "First output": time_lines(times, first, step_ns=step_ns, title="First output", unit=Unit.MS),
        "Tokens": time_bars(times, tokens, step_ns=step_ns, title="Tokens", series=4),
    }
    return [Picture(title, svg) for title, svg in bars.items()]
