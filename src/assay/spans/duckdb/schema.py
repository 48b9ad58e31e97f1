"""The tables. One list of columns makes the definition, the Arrow batches and what is read back.

A row is never edited. `superseded` names the rows that a newer version of the same span has replaced, and `live_spans`
leaves them out by an anti-join: with few such rows that costs next to nothing, where a `row_number()` over all versions
would read every day. `day` is the UTC day of arrival, the unit in which days will be sealed and dropped.
"""

# ruff: noqa: S608 - the definition is made of names from this module
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from arro3.core import DataType

from assay.spans import previews
from assay.wire.spans import Span
from assay.wire.usage import Usage

VERSION = 1

DAY_NS = 86_400_000_000_000


class Column(NamedTuple):
    """A column of `spans` that comes straight from the event."""

    name: str
    type: str
    arrow: DataType
    of: Callable[[Span], Any]


def _text(name: str) -> Column:
    def of(span: Span) -> Any:
        return getattr(span, name)

    return Column(name, "VARCHAR", DataType.string(), of)


def _big(name: str) -> Column:
    def of(span: Span) -> Any:
        return getattr(span, name)

    return Column(name, "BIGINT", DataType.int64(), of)


def _tokens(name: str) -> Column:
    def of(span: Span) -> Any:
        return None if span.usage is None else getattr(span.usage, name)

    return Column(f"{name}_tokens", "BIGINT", DataType.int64(), of)


def _source(name: str) -> Column:
    def of(span: Span) -> Any:
        return None if span.usage is None else getattr(span.usage, name).value

    return Column(name, "VARCHAR", DataType.string(), of)


USAGE_CLASSES = tuple(name for name in Usage.__struct_fields__ if not name.endswith("_source"))

_TEXTS_BEFORE = ("project", "environment", "trace_id", "span_id", "parent_id", "name")
_TEXTS_AFTER = (
    "error_type", "error_message", "provider", "model", "upstream_model", "response_model", "endpoint", "finish_reason",
    "cache", "price_id", "key_id", "user_id", "session_id", "task", "variant", "release_id", "run_id", "case_id",
)  # fmt: skip

COLUMNS: tuple[Column, ...] = (
    *map(_text, _TEXTS_BEFORE),
    Column("kind", "VARCHAR", DataType.string(), lambda span: span.kind.value),
    Column("status", "VARCHAR", DataType.string(), lambda span: span.status.value),
    *map(_text, _TEXTS_AFTER),
    Column("streamed", "BOOLEAN", DataType.bool(), lambda span: span.streamed),
    Column("attempts", "INTEGER", DataType.int32(), lambda span: span.attempts),
    *map(_big, ("start_ns", "end_ns", "first_output_ns")),
    *map(_tokens, USAGE_CLASSES),
    *map(_source, ("input_source", "output_source")),
    Column(
        "cost_usd",
        "DECIMAL(38,20)",
        DataType.string(),
        lambda span: None if span.cost_usd is None else format(span.cost_usd, "f"),
    ),
    Column(
        "attributes",
        "VARCHAR",
        DataType.string(),
        lambda span: _json(span.attributes) if span.attributes else None,
    ),
    Column("request", "BLOB USING COMPRESSION zstd", DataType.binary(), lambda span: span.request),
    Column("input_preview", "VARCHAR", DataType.string(), lambda span: previews.of_input(span.input)),
    Column("output_preview", "VARCHAR", DataType.string(), lambda span: previews.of_output(span.output)),
)

HASHES = {"input": "input_hashes", "output": "output_hashes", "tools": "tool_hashes"}

_encoder = msgspec.json.Encoder(enc_hook=str)


def _json(value: object) -> str:
    return _encoder.encode(value).decode()


DEFINITION = f"""
CREATE TABLE IF NOT EXISTS layout (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS spans (
    row_id BIGINT NOT NULL,
    {", ".join(f"{column.name} {column.type}" for column in COLUMNS)},
    tags VARCHAR[],
    {", ".join(f"{name} BLOB[]" for name in HASHES.values())},
    received_at_ns BIGINT NOT NULL,
    day INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS superseded (row_id BIGINT NOT NULL, by_row_id BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS scores (
    score_id VARCHAR NOT NULL, project VARCHAR NOT NULL, name VARCHAR NOT NULL, value VARCHAR NOT NULL, number DOUBLE,
    source VARCHAR NOT NULL, at_ns BIGINT NOT NULL, trace_id VARCHAR, span_id VARCHAR, session_id VARCHAR, case_id VARCHAR,
    scorer_version VARCHAR, cost_usd DECIMAL(38,20), explanation VARCHAR, author VARCHAR, offsets VARCHAR,
    received_at_ns BIGINT NOT NULL, day INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS payloads (
    project VARCHAR NOT NULL, day INTEGER NOT NULL, person VARCHAR NOT NULL, hash BLOB NOT NULL,
    body BLOB USING COMPRESSION zstd
);
CREATE TABLE IF NOT EXISTS positions (
    source VARCHAR PRIMARY KEY, segment BIGINT NOT NULL, "offset" BIGINT NOT NULL, sequence BIGINT NOT NULL
);
CREATE OR REPLACE VIEW live_spans AS SELECT * FROM spans ANTI JOIN superseded USING (row_id);
"""
