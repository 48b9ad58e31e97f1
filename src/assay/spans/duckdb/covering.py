"""Keeps `covered` true: for the traces that a batch touches, which foreign spans tell of a call that another tells too."""

# ruff: noqa: S608 - only names from the schema are spliced into SQL
from typing import Any

import duckdb

from assay.spans.counting import Told, told_twice
from assay.spans.duckdb.schema import USAGE_CLASSES
from assay.wire.spans import CALL_KINDS

_OUT = ("output", "reasoning")
_CALLS = ", ".join(f"'{kind}'" for kind in sorted(CALL_KINDS))
_TOKENS = {
    side: " + ".join(f"coalesce({name}_tokens, 0)" for name in names)
    for side, names in (
        ("went_in", [name for name in USAGE_CLASSES if not any(word in name for word in _OUT)]),
        ("came_out", [name for name in USAGE_CLASSES if any(word in name for word in _OUT)]),
    )
}
_NEAR = f"""
    WITH touched AS (
        SELECT project, trace_id, min(start_ns) AS first_ns FROM batch
        WHERE mapping IS NOT NULL OR (kind IN ({_CALLS}) AND parent_id IS NOT NULL) GROUP BY ALL
    )
    SELECT row_id, project, trace_id, span_id, parent_id, kind IN ({_CALLS}), mapping IS NOT NULL, start_ns, end_ns,
        model, upstream_model, response_model, task, input_source IS NOT NULL, {_TOKENS["went_in"]}, {_TOKENS["came_out"]},
        row_id IN (SELECT row_id FROM covered)
    FROM live_spans JOIN touched USING (project, trace_id)
    WHERE start_ns >= (SELECT min(first_ns) FROM touched) - 86400000000000
"""


def cover(connection: duckdb.DuckDBPyConnection) -> None:
    """Look at the traces of the registered `batch`, which is in the tables already, and write down what has changed."""
    rows = connection.execute(_NEAR).fetchall()
    before = {row[0] for row in rows if row[-1]}
    now = told_twice(_told(row) for row in rows)
    if gone := sorted(before - now):
        connection.execute("DELETE FROM covered WHERE row_id IN (SELECT unnest(?::BIGINT[]))", [gone])
    if new := sorted(now - before):
        connection.execute("INSERT INTO covered SELECT unnest(?::BIGINT[])", [new])


def _told(row: tuple[Any, ...]) -> Told:
    (row_id, project, trace_id, span_id, parent_id, is_call, is_foreign, start_ns, end_ns, *rest) = row
    model, upstream, response, task, is_counted, went_in, came_out, _ = rest
    names = (model, upstream, response, f"task:{task}" if task else None) if is_call else ()
    return Told(
        row_id,
        (project, trace_id),
        span_id,
        parent_id,
        is_call,
        is_foreign,
        start_ns,
        end_ns,
        frozenset(name.lower() for name in names if name),
        (went_in, came_out) if is_counted else None,
    )
