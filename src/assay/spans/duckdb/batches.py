"""Events as Arrow tables, the fastest way into DuckDB (docs/decisions/0031)."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, cast

import msgspec
from arro3.core import Array, DataType, Table, list_array

from assay.kit.clock import DAY_NS
from assay.spans.duckdb.schema import COLUMNS, HASHES, LONG, LONGEST, NO_USAGE, exact
from assay.spans.types import Arrival
from assay.wire.scores import Score
from assay.wire.spans import CALL_KINDS, Span

_string, _binary, _int32, _int64 = DataType.string(), DataType.binary(), DataType.int32(), DataType.int64()

PayloadKey = tuple[str, int, str, bytes, bool]
"""Project, day of arrival, person ('' for nobody's), SHA-256, whether it was imported."""


class SpanBatch:
    """Spans on their way in: the table, and the messages that it refers to, each once."""

    def __init__(self, arrivals: Sequence[Arrival], *, first_row_id: int) -> None:
        """Raises `ValueError`, `TypeError` or `OverflowError` for an event that does not fit the columns."""
        self.payloads: dict[PayloadKey, bytes] = {}
        kept = [arrival for arrival in arrivals if type(arrival[0]) is Span]
        spans = cast("list[Span]", [arrival[0] for arrival in kept])
        received = [arrival[1] for arrival in kept]
        self.count = len(spans)
        self.repeats = len({(span.span_id, span.trace_id, span.project) for span in spans}) < self.count
        """whether two of the spans are versions of one"""
        self.may_cover = any(
            span.mapping is not None or (span.kind in CALL_KINDS and span.parent_id is not None)
            for span in spans
        )
        """whether one of the spans may tell of the same call as another"""
        usages = [span.usage or NO_USAGE for span in spans]
        days = [at // DAY_NS for at in received]
        arrays = {"row_id": Array(range(first_row_id, first_row_id + self.count), type=_int64)}
        for column in COLUMNS:
            values = list(column.of(spans, usages))
            if column.name in LONG:
                hashes = self._without_long(values, spans, days)
                arrays[LONG[column.name]] = Array(hashes, type=_binary)
            arrays[column.name] = Array(values, type=column.arrow)
        arrays["tags"] = _lists([span.tags for span in spans], _string)
        for field, name in HASHES.items():
            messages = map(attrgetter(field), spans)
            refers = [
                self._refer(span, day, said) if said else ()
                for span, day, said in zip(spans, days, messages, strict=True)
            ]
            arrays[name] = _lists(refers, _binary)
        arrays["received_at_ns"] = Array(received, type=_int64)
        arrays["day"] = Array(days, type=_int32)
        self.table = _table(arrays)

    def _refer(self, span: Span, day: int, messages: Sequence[bytes]) -> list[bytes]:
        hashes = [hashlib.sha256(message).digest() for message in messages]
        for digest, message in zip(hashes, messages, strict=True):
            key = (span.project, day, span.user_id or "", digest, span.imported)
            self.payloads.setdefault(key, message)
        return hashes

    def _without_long(
        self, values: list[Any], spans: Sequence[Span], days: Sequence[int]
    ) -> list[bytes | None]:
        """Take the long values out of a column; the hashes under which they are kept instead."""
        hashes: list[bytes | None] = [None] * len(values)
        for at, value in enumerate(values):
            if value is not None and len(value) > LONGEST:
                body = value.encode("utf-8") if isinstance(value, str) else value
                values[at], hashes[at] = None, self._refer(spans[at], days[at], [body])[0]
        return hashes

    def payload_table(self) -> Table:
        """The messages as rows, a long one in several."""
        rows = [
            (key, part, body[at : at + LONGEST])
            for key, body in self.payloads.items()
            for part, at in enumerate(range(0, len(body) or 1, LONGEST))
        ]
        return _table(
            {
                "project": Array([key[0] for key, _, _ in rows], type=_string),
                "day": Array([key[1] for key, _, _ in rows], type=_int32),
                "person": Array([key[2] for key, _, _ in rows], type=_string),
                "hash": Array([key[3] for key, _, _ in rows], type=_binary),
                "imported": Array([key[4] for key, _, _ in rows], type=DataType.bool()),
                "part": Array([part for _, part, _ in rows], type=_int32),
                "body": Array([body for _, _, body in rows], type=_binary),
            }
        )


def score_table(arrivals: Sequence[Arrival]) -> Table | None:
    """The scores among the arrivals, each id once; None when there are none."""
    scores: dict[str, tuple[Score, int]] = {}
    for event, at in arrivals:
        if isinstance(event, Score):
            scores.setdefault(event.score_id, (event, at))
    if not scores:
        return None
    rows = [score for score, _ in scores.values()]
    received = [at for _, at in scores.values()]
    texts = (
        "score_id",
        "project",
        "name",
        "trace_id",
        "span_id",
        "session_id",
        "case_id",
        "scorer_version",
        "explanation",
        "author",
    )
    arrays = {name: Array([getattr(score, name) for score in rows], type=_string) for name in texts}
    arrays["value"] = Array([msgspec.json.encode(score.value).decode() for score in rows], type=_string)
    arrays["number"] = Array([_number(score.value) for score in rows], type=DataType.float64())
    arrays["source"] = Array([score.source.value for score in rows], type=_string)
    arrays["at_ns"] = Array([score.at_ns for score in rows], type=_int64)
    arrays["cost_usd"] = Array([exact(score.cost_usd) for score in rows], type=_string)
    arrays["offsets"] = Array(
        [msgspec.json.encode(score.offsets).decode() if score.offsets else None for score in rows],
        type=_string,
    )
    arrays["imported"] = Array([score.imported for score in rows], type=DataType.bool())
    arrays["received_at_ns"] = Array(received, type=_int64)
    arrays["day"] = Array([at // DAY_NS for at in received], type=_int32)
    return _table(arrays)


def _number(value: bool | float | str) -> float | None:
    if isinstance(value, str):
        return None
    if not math.isfinite(value):
        raise ValueError(f"a score of {value!r} cannot be kept")
    return float(value)


def _lists(rows: Iterable[Sequence[Any]], type: DataType) -> Array:
    flat: list[Any] = []
    offsets = [0]
    for row in rows:
        if row:
            flat.extend(row)
        offsets.append(len(flat))
    return list_array(Array(offsets, type=_int32), Array(flat, type=type))


def _table(arrays: dict[str, Array]) -> Table:
    return Table.from_arrays(list(arrays.values()), names=list(arrays))
