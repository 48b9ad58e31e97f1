"""A server that is killed under a running application: the application never notices, and the books add up."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import assay

BOUND = 300


def test_a_killed_server_costs_the_application_nothing_but_what_was_over_the_bound(
    start_assay: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_assay(folder=tmp_path).ready()
    assay.init(server.url, server.key, max_spans=BOUND, interval_s=0.05)
    try:
        before = application(100)
        assert assay.flush(30.0)
        server.kill()
        during = application(1_000)
        told = assay.status()
        assert (told.spans.recorded, told.spans.waiting) == (1_100, BOUND)
        assert told.spans.dropped == {"full": 1_000 - BOUND}
        back = start_assay(folder=tmp_path, port=server.port).ready()
        assert assay.flush(60.0)
        after = application(50)
        assert assay.flush(30.0)
        told = assay.status()
        assert told.spans.delivered == 100 + BOUND + 50
        assert told.spans.recorded == told.spans.delivered + told.spans.dropped["full"] == 1_150
        assert (told.reachable, told.spans.waiting, told.faults) == (True, 0, 0)
        assert [kept(back, trace) for trace in (before, during, after)] == [100, BOUND, 50]
    finally:
        assay.shutdown()


def application(steps: int) -> str:
    """Work in four threads that belongs to one trace; it fails if anything of the SDK shows. Gives the trace's id."""
    with assay.span("work") as top, ThreadPoolExecutor(4) as threads:
        headers = assay.headers()

        def work(count: int) -> None:
            with assay.continue_trace(headers):
                for number in range(count):
                    with assay.span(f"step {number}", input={"number": number}):
                        pass

        share = (steps - 1) // 4
        began = time.monotonic()
        for done in [threads.submit(work, count) for count in (share, share, share, steps - 1 - 3 * share)]:
            done.result()
        assert time.monotonic() - began < 30
    return top.trace_id or ""


def kept(server: Any, trace_id: str) -> int:
    """How many spans of the trace the server has, each once."""
    found: list[str] = []
    cursor = None
    while True:
        asked = {"limit": 500, **({"cursor": cursor} if cursor else {})}
        page = server.http.get(f"/api/traces/{trace_id}", params=asked).raise_for_status().json()
        found += [span["span_id"] for span in page["spans"]]
        cursor = page["next"]
        if cursor is None:
            assert len(found) == len(set(found))
            return len(found)
