"""The tables. One list of columns makes the definition, the Arrow batches and what is read back.

`hot_…` tables hold the days that are not sealed yet (`sealed.py`); `spans`, `scores` and `payloads` are views over them
and the sealed files. A row is never edited. `superseded` names the rows that a newer version of the same span has replaced, and `live_spans`
leaves them out by an anti-join: with few such rows that costs next to nothing, where a `row_number()` over all versions
would read every day. `covered` names the rows of foreign spans that tell of a call which a span below them tells as
well: sums (`calls`) leave them out, so that a call is counted once. `day` is the UTC day of arrival, the unit in which days are sealed and dropped.
"""

# ruff: noqa: S608 - the definition is made of names from this module
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from arro3.core import DataType

from assay.spans import previews
from assay.wire.spans import Span
from assay.wire.usage import Usage

VERSION = 2

_LONGEST_TEXT = 16_384
_MOST_USD = Decimal(10) ** 18


class NoUsage:
    """Stands for the usage of a span without one: every count is unknown."""

    input_source = output_source = None


class Column(NamedTuple):
    """A column of `spans` that comes straight from the events; `of` takes them with their usages, all at once."""

    name: str
    type: str
    arrow: DataType
    of: Callable[[Sequence[Span], Sequence[Usage | NoUsage]], Iterable[Any]]


def _of_span(name: str, type: str, arrow: DataType) -> Column:
    get = attrgetter(name)
    return Column(name, type, arrow, lambda spans, _: map(get, spans))


def _of_usage(field: str, name: str, type: str, arrow: DataType) -> Column:
    get = attrgetter(field)
    return Column(name, type, arrow, lambda _, usages: map(get, usages))


def _text(name: str) -> Column:
    return _of_span(name, "VARCHAR", DataType.string())


def _bounded(name: str) -> Column:
    """A text that somebody else's program may make as long as it likes."""
    get = attrgetter(name)
    return Column(name, "VARCHAR", DataType.string(), lambda spans, _: [_cut(get(span)) for span in spans])


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _big(name: str) -> Column:
    return _of_span(name, "BIGINT", DataType.int64())


def _tokens(name: str) -> Column:
    return _of_usage(name, f"{name}_tokens", "BIGINT", DataType.int64())


def _source(name: str) -> Column:
    return _of_usage(name, name, "VARCHAR", DataType.string())


USAGE_CLASSES = tuple(name for name in Usage.__struct_fields__ if not name.endswith("_source"))

for _name in USAGE_CLASSES:
    setattr(NoUsage, _name, None)

NO_USAGE = NoUsage()

_TEXTS_BEFORE = ("project", "environment", "trace_id", "span_id", "parent_id")
_TEXTS_AFTER = (
    "error_type", "provider", "model", "upstream_model", "response_model", "endpoint", "finish_reason",
    "cache", "price_id", "key_id", "user_id", "session_id", "task", "variant", "release_id", "run_id", "case_id", "mapping",
)  # fmt: skip

COLUMNS: tuple[Column, ...] = (
    *map(_text, (*_TEXTS_BEFORE, "kind", "status", *_TEXTS_AFTER)),
    *map(_bounded, ("name", "error_message")),
    _of_span("imported", "BOOLEAN", DataType.bool()),
    _of_span("streamed", "BOOLEAN", DataType.bool()),
    _of_span("attempts", "INTEGER", DataType.int32()),
    *map(_big, ("start_ns", "end_ns", "first_output_ns")),
    *map(_tokens, USAGE_CLASSES),
    *map(_source, ("input_source", "output_source")),
    Column(
        "cost_usd",
        "DECIMAL(38,20)",
        DataType.string(),
        lambda spans, _: [exact(span.cost_usd) for span in spans],
    ),
    Column(
        "attributes",
        "VARCHAR",
        DataType.string(),
        lambda spans, _: [_json(span.attributes) for span in spans],
    ),
    _of_span("request", "BLOB USING COMPRESSION zstd", DataType.binary()),
    Column(
        "input_preview",
        "VARCHAR",
        DataType.string(),
        lambda spans, _: [previews.of_input(span.input) for span in spans],
    ),
    Column(
        "output_preview",
        "VARCHAR",
        DataType.string(),
        lambda spans, _: [previews.of_output(span.output) for span in spans],
    ),
)

LONG = {"request": "request_hash", "attributes": "attributes_hash"}
"""Columns whose value lies among the payloads when it is long, and where its hash is then."""
LONGEST = 16 << 10
"""Bytes of one value in the tables. DuckDB rewrites whole row groups (122,880 rows) when it folds its log into the file,
and fails for good when many values of 64 KiB and more do not fit into its memory limit. So a longer payload is kept in
parts, a longer request or attributes as a payload, and a longer text is cut."""

HASHES = {"input": "input_hashes", "output": "output_hashes", "tools": "tool_hashes", "raw": "raw_hashes"}

_encoder = msgspec.json.Encoder(enc_hook=str)


def _json(value: dict[str, Any]) -> str | None:
    return _encoder.encode(value).decode() if value else None


def exact(amount: Decimal | None) -> str | None:
    """An amount as text for DECIMAL(38,20). Raises `ValueError` for one that does not fit."""
    if amount is None:
        return None
    if not amount.is_finite() or abs(amount) >= _MOST_USD:
        raise ValueError(f"a cost of {amount} US dollars does not fit DECIMAL(38,20)")
    return format(amount, "f")


DEFINITION = f"""
CREATE TABLE IF NOT EXISTS layout (
    version INTEGER NOT NULL, generation BIGINT NOT NULL, row_id_floor BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS hot_spans (
    row_id BIGINT NOT NULL,
    {", ".join(f"{column.name} {column.type}" for column in COLUMNS)},
    tags VARCHAR[],
    {", ".join(f"{name} BLOB[]" for name in HASHES.values())},
    {", ".join(f"{name} BLOB" for name in LONG.values())},
    received_at_ns BIGINT NOT NULL,
    day INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS superseded (row_id BIGINT NOT NULL, by_row_id BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS covered (row_id BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS hot_scores (
    score_id VARCHAR NOT NULL, project VARCHAR NOT NULL, name VARCHAR NOT NULL, value VARCHAR NOT NULL, number DOUBLE,
    source VARCHAR NOT NULL, at_ns BIGINT NOT NULL, trace_id VARCHAR, span_id VARCHAR, session_id VARCHAR, case_id VARCHAR,
    scorer_version VARCHAR, cost_usd DECIMAL(38,20), explanation VARCHAR, author VARCHAR, offsets VARCHAR,
    imported BOOLEAN, received_at_ns BIGINT NOT NULL, day INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS hot_payloads (
    project VARCHAR NOT NULL, day INTEGER NOT NULL, person VARCHAR NOT NULL, hash BLOB NOT NULL, part INTEGER,
    body BLOB USING COMPRESSION zstd, imported BOOLEAN
);
CREATE TABLE IF NOT EXISTS positions (
    source VARCHAR PRIMARY KEY, segment BIGINT NOT NULL, "offset" BIGINT NOT NULL, sequence BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS sealed_files (
    file VARCHAR NOT NULL, kind VARCHAR NOT NULL, project VARCHAR NOT NULL, day INTEGER NOT NULL, imported BOOLEAN NOT NULL,
    rows BIGINT NOT NULL, bytes BIGINT NOT NULL, from_ns BIGINT, to_ns BIGINT, has_content BOOLEAN NOT NULL, columns VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS doomed_files (file VARCHAR NOT NULL);
CREATE OR REPLACE VIEW spans AS SELECT * FROM hot_spans;
CREATE OR REPLACE VIEW scores AS SELECT * FROM hot_scores;
CREATE OR REPLACE VIEW payloads AS SELECT * FROM hot_payloads;
CREATE OR REPLACE VIEW live_spans AS SELECT * FROM hot_spans ANTI JOIN superseded USING (row_id);
CREATE OR REPLACE VIEW calls AS SELECT * FROM live_spans ANTI JOIN covered USING (row_id) WHERE kind IN ('model', 'embedding', 'rerank');
"""

TABLES = (
    "layout", "hot_spans", "superseded", "covered", "hot_scores", "hot_payloads", "positions", "sealed_files", "doomed_files",
)  # fmt: skip
"""Every table, for whoever copies the store."""
