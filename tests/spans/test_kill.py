"""A real process is killed while it appends and collects."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.quarantine import Quarantine
from assay.spans.types import SpanFilter

WRITER = """
import sys
from pathlib import Path
from assay.kit import ids
from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.quarantine import Quarantine
from assay.wire.spans import Span, SpanKind

data, start = Path(sys.argv[1]), int(sys.argv[2])
spool = Spool(data / "spool", segment_bytes=20_000)
collector = Collector(spool, DuckDBStore(data / "spans.duckdb", threads=1), Quarantine(data / "q"), every_s=0.005)
collector.start()
for number in range(start, start + 100_000):
    span = Span(trace_id=ids.uuid7_hex(), span_id=ids.span_id(), project="default", name=f"{number:08d}",
                kind=SpanKind.MODEL, start_ns=number, end_ns=number + 1, input=(b'{"role":"user","content":"hi"}',))
    if spool.append([span]) is not None:
        sys.stdout.write(f"{number:08d}\\n")
        sys.stdout.flush()
"""


def test_every_acknowledged_span_is_there_exactly_once_after_kills(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: list[str] = []
    for round_number in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(round_number * 1_000_000)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(chance.randint(100, 1500))]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if len(line) == 9]
        process.stdout.close()
        process.wait()

    spool, store = Spool(tmp_path / "spool"), DuckDBStore(tmp_path / "spans.duckdb", threads=1)
    collector = Collector(spool, store, Quarantine(tmp_path / "q"))
    collector.drain_now()
    kept = [name for (name,) in store._rows("SELECT name FROM spans", [])]
    live = store.traffic(SpanFilter(project="default", from_ns=0, to_ns=1 << 62)).calls
    spool.close()
    store.close()

    assert len(kept) == len(set(kept)) == live
    assert set(acknowledged) - set(kept) == set()
    assert len(set(kept) - set(acknowledged)) <= 4, (
        "at most one span per kill was written and not yet acknowledged"
    )
    assert collector.state.damaged_bytes == 0
