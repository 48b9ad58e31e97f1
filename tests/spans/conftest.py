"""Spans to write and a store to write them to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.kit import ids
from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.quarantine import Quarantine
from assay.wire.spans import Span, SpanKind

START_NS = 1_780_000_000_000_000_000
MakeSpan = Callable[..., Span]


def _make(**fields: Any) -> Span:
    given: dict[str, Any] = {
        "trace_id": ids.uuid7_hex(),
        "span_id": ids.span_id(),
        "project": "default",
        "name": "chat fast",
        "kind": SpanKind.MODEL,
        "start_ns": START_NS,
        "end_ns": START_NS + 250_000_000,
        "model": "fast",
    }
    return Span(**given | fields)


@pytest.fixture
def make_span() -> MakeSpan:
    """A span of a model call; give the fields that matter."""
    return _make


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool with small segments."""
    made = Spool(tmp_path / "spool", segment_bytes=4096)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    """An empty store."""
    made = DuckDBStore(tmp_path / "spans.duckdb", memory_mb=128, threads=1)
    yield made
    made.close()


@pytest.fixture
def collector(spool: Spool, store: DuckDBStore, tmp_path: Path) -> Collector:
    """A collector that collects when told."""
    return Collector(spool, store, Quarantine(tmp_path / "quarantine"))
