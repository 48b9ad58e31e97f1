"""Fills in what was measured: each part of a page between `<!-- from FILE -->` and `<!-- until here -->` is made from FILE."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PART = re.compile(r"(<!-- from (benchmarks/results/(\w+)\.json) -->\n).*?(<!-- until here -->)", re.DOTALL)

THROUGH = {
    "direct": "nothing: straight to the upstream",
    "nginx": "nginx as a bare proxy",
    "bare": "Assay: key check, routing",
    "full": "Assay: priced, spans and messages kept",
    "all": "Assay: that, with limits of every kind and a budget",
    "tensorzero": "TensorZero, nothing kept",
    "portkey": "Portkey's open gateway",
    "litellm": "LiteLLM's proxy, no database",
}
SDKS = {"assay": "Assay", "opentelemetry": "OpenTelemetry SDK", "langfuse": "Langfuse", "mlflow": "MLflow"}


def filled(text: str) -> str:
    """The page with its figures. Raises `KeyError` for a file that nobody knows how to show."""

    def fill(found: re.Match[str]) -> str:
        opening, file, name, closing = found.groups()
        lines = [f"Not measured yet: `python benchmarks/{name}.py` does it."]
        if (ROOT / file).exists():
            lines = list(SHOWN[name](json.loads((ROOT / file).read_text(encoding="utf-8"))))
        return "\n".join([opening, *lines, "", closing])

    return PART.sub(fill, text)


def gateway(measured: dict[str, Any]) -> Iterator[str]:
    """Calls per second, what is added to a call, and the aims."""
    ratios, added = measured["ratio_to_nginx_at_64"], measured["added_p50_ms_at_1"]
    yield "| through | calls/s, 64 connections | × nginx | p50 · p99 ms, 64 | added p50 ms, 1 connection |"
    yield "| --- | --- | --- | --- | --- |"
    for name, by_connections in measured["medians"].items():
        many = by_connections["64"]
        yield (
            f"| {THROUGH[name]} | {many['per_second']:,.0f} | {ratios[name]:.3f} | "
            f"{many['p50_ms']:.1f} · {many['p99_ms']:.1f} | {added[name]:+.2f} |"
        )
    for name, why in measured.get("skipped", {}).items():
        yield f"| {THROUGH[name]} | skipped: {why} | | | |"
    reached = {
        "bare ratio": (ratios["bare"], "× nginx for the bare path"),
        "full ratio": (ratios["full"], "× nginx, priced and kept"),
        "full added p50 ms": (-added["full"], "ms added, priced and kept"),
    }
    told = []
    for name, aim in measured["targets"].items():
        value, words = reached[name]
        is_reached = value >= (-aim if value < 0 else aim)
        told.append(f"{aim:g} {words} ({'reached' if is_reached else f'{abs(value):.2f}, not reached'})")
    yield from ("", f"The aims: {'; '.join(told)}.", "", machine(measured))


def sdk(measured: dict[str, Any]) -> Iterator[str]:
    """Microseconds a span and a prompt cost the application, beside others."""
    spans, away, prompts = (measured["medians_us"].get(part, {}) for part in ("up", "away", "prompt"))
    yield "| SDK | CPU of the application's thread a span, µs | × Assay | while the server is away, µs | a known prompt, µs |"
    yield "| --- | --- | --- | --- | --- |"
    for name, each in spans.items():
        prompt = f"{prompts[name]['get']:.1f}" if name in prompts else "–"
        who = f"{SDKS.get(name, name)} {measured['versions'].get(name, '')}".strip()
        yield (
            f"| {who} | {each['cpu']:.1f} | {measured['ratio_to_assay']['up'][name]:.1f} | "
            f"{away[name]['cpu']:.1f} | {prompt} |"
        )
    yield from ("", machine(measured))


def machine(measured: dict[str, Any]) -> str:
    """Where it was measured."""
    where = measured["machine"]
    return f"On {where['cores']} shared virtual cores, {where['system']}, Python {where['python']}."


SHOWN: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {"gateway": gateway, "sdk": sdk}
