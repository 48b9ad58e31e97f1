"""Spans: kept on disk before an answer is over, drained into a store exactly once, read by everything above.

`Spool` is the append-only log that the hot path writes to, `Collector` drains it, `SpanStore` is what can be asked
(`DuckDBStore` is the embedded one). `Projector` is how rooms above give raw spans their meaning on the way.
"""

from assay.spans.collector import Collector, CollectorState, Projector
from assay.spans.duckdb.store import DuckDBStore
from assay.spans.quarantine import Quarantine
from assay.spans.sink import CallSink
from assay.spans.spool import Receipt, Spool, SpoolState
from assay.spans.types import SpanStore

__all__ = [
    "CallSink",
    "Collector",
    "CollectorState",
    "DuckDBStore",
    "Projector",
    "Quarantine",
    "Receipt",
    "SpanStore",
    "Spool",
    "SpoolState",
]
