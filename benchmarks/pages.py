"""How long the pages take over 100,000 spans: a real server on a filled data directory, each page asked for one at a time.

    python benchmarks/pages.py [--spans 100000] [--runs 15] [--json FILE]

The median and the slowest of the runs in milliseconds, as a client on the same machine sees them: that is the server's time
and a little more. Exits 1 when the median of a page is above 150 ms.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.quarantine import Quarantine
from spans import call

KEY = "sk-assay-benchmark-0123456789abcdef0123456789abcdef"
MOST_MS = 150.0
DAY_NS = 86_400_000_000_000
AT_ONCE = 17
TURNS = 10
WIDE = "session-wide"
CONFIG = """
[providers.acme]
type = "simulated"
[models.fast]
route = [{ provider = "acme", model = "fast" }]
[models.large]
route = [{ provider = "acme", model = "large" }]
[tasks.polish]
variants.v1 = { model = "fast", prompt = "{{ text }}" }
release = { v1 = 1.0 }
"""


def filled(data: Path, spans: int) -> None:
    """A data directory whose store holds so many spans of the last day: many people talk at once, each conversation with
    half a minute between its turns. `WIDE` is one whose turns lie far apart, the worst case for a store in columns."""
    spool, store = Spool(data / "spool" / "main"), DuckDBStore(data / "spans.duckdb")
    collector = Collector(spool, store, Quarantine(data / "quarantine"))
    chance, talking, begun = random.Random(0), [0] * AT_ONCE, AT_ONCE
    until_ns, calls = time.time_ns(), spans // 2
    for index in range(calls):
        place = index % AT_ONCE
        if chance.random() < 1 / TURNS:
            talking[place], begun = begun, begun + 1
        who = {"session_id": f"session-{talking[place]}", "user_id": f"user-{talking[place] % 500}"}
        if index % (calls // TURNS) == TURNS:
            who = {"session_id": WIDE, "user_id": "user-0"}
        start_ns = until_ns - DAY_NS + index * (DAY_NS // calls)
        spool.append([msgspec.structs.replace(span, **who) for span in call(chance, start_ns)])
        if index % 5000 == 4999:
            spool.flush()
            collector.drain_now()
    collector.drain_now()
    collector.stop()
    spool.close()
    store.close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[httpx.Client]:
    """A client of a server on that directory."""
    (folder / "assay.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "assay", "up", "--config", str(folder / "assay.toml")]
    said = (folder / "said.txt").open("w+")
    server = subprocess.Popen(
        [*command, "--data", str(folder / "data"), "--port", "0"],
        stdout=said,
        stderr=subprocess.STDOUT,
        env={**os.environ, "ASSAY_ADMIN_KEY": KEY, "PYTHONUNBUFFERED": "1"},
    )
    try:
        while (found := re.search(r"is at (http://\S+)", (folder / "said.txt").read_text())) is None:
            if server.poll() is not None:
                raise SystemExit((folder / "said.txt").read_text())
            time.sleep(0.05)
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=found[1], headers=headers, timeout=60) as client:
            yield client
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        said.close()


def pages(client: httpx.Client) -> dict[str, str]:
    """What to ask for."""
    trace = client.get("/api/traces?limit=1").json()["items"][0]["trace_id"]
    sessions = client.get("/api/sessions?limit=50").json()["items"]
    session = max(sessions, key=lambda each: each["traces"] * (each["session_id"] != WIDE))["session_id"]
    second = client.get("/api/traces?limit=50").json()["next"]
    return {
        "overview": "/",
        "overview, 30 days": "/?last=30d",
        "live": "/live",
        "live, filtered": "/live?model=large&status=error",
        "traces": "/traces",
        "traces, second page": f"/traces?cursor={second}",
        "traces, filtered": "/traces?model=large&status=error&min_duration_ms=500",
        "traces, searched": "/traces?q=statistics",
        "trace": f"/traces/{trace}",
        "sessions": "/sessions",
        "sessions, of a user": "/sessions?user=user-7",
        "session": f"/sessions/{session}",
        "session, over a whole day": f"/sessions/{WIDE}",
        "playground": "/playground",
        "prompts": "/prompts",
        "tasks": "/tasks",
        "task": "/tasks/polish",
        "datasets": "/datasets",
        "runs": "/runs",
        "decisions": "/decisions",
        "models": "/models",
        "model": "/models/fast",
        "jobs": "/jobs",
        "settings": "/settings",
        "search by name": "/api/search?q=pol",
        "search by id": f"/api/search?q={trace[-8:]}",
    }


def measure(client: httpx.Client, runs: int) -> dict[str, Any]:
    """Median and slowest of each page in milliseconds."""
    figures: dict[str, Any] = {}
    for name, path in pages(client).items():
        client.get(path).raise_for_status()
        took = []
        for _ in range(runs):
            before = time.perf_counter()
            client.get(path).raise_for_status()
            took.append((time.perf_counter() - before) * 1e3)
        figures[name] = {"median_ms": round(statistics.median(took), 1), "slowest_ms": round(max(took), 1)}
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        filled(folder / "data", chosen.spans)
        with serving(folder) as client:
            figures = {"spans": chosen.spans, "pages": measure(client, chosen.runs)}
    text = json.dumps(figures, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    slow = [name for name, each in figures["pages"].items() if each["median_ms"] > MOST_MS]
    if slow:
        raise SystemExit(f"slower than {MOST_MS:g} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()
