"""What can be asked. Every statement names its columns from this module; every value is a parameter."""

# ruff: noqa: S608 - only names from this module are spliced into SQL
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from assay.errors import NotFound
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.spans.duckdb.filters import FACET_COLUMNS, GROUP_COLUMNS, condition
from assay.spans.duckdb.schema import HASHES, LONG, USAGE_CLASSES
from assay.spans.duckdb.sealed import EVERYWHERE, Scope
from assay.spans.types import (
    Bucket,
    Facet,
    Group,
    GroupField,
    Saving,
    SpanFilter,
    SpanRow,
    Spending,
    StoredSpan,
    TraceRow,
    Traffic,
)
from assay.wire.scores import Offsets, Score, ScoreSource
from assay.wire.spans import CALL_KINDS, Span, SpanKind, SpanStatus
from assay.wire.usage import Usage, UsageSource

_USAGE = (*(f"{name}_tokens" for name in USAGE_CLASSES), "input_source", "output_source")
ROW = tuple(name for name in SpanRow.__struct_fields__ if name != "usage") + _USAGE
_CONTENT = tuple(HASHES)
_DETAIL = (
    tuple(name for name in Span.__struct_fields__ if name not in ("usage", *_CONTENT))
    + _USAGE
    + (*HASHES.values(), *LONG.values(), "received_at_ns", "day", "row_id", "is_covered")
)
_ROW_ID = _DETAIL.index("row_id")
SELECT_DETAIL = f"""SELECT {", ".join(_DETAIL[:-1])}, row_id IN (SELECT row_id FROM covered) AS is_covered FROM live_spans"""
P = TypeVar("P")

_HOUR_NS = 3_600_000_000_000
_LONGEST_CALL_NS = 24 * _HOUR_NS
"""No time-out of a model is longer."""
LAST_NS = 1 << 62
FAILED = "status IN ('error', 'cut')"
CACHED = "coalesce(cache, '') = 'hit'"
_INPUTS = " + ".join(
    f"coalesce({name}_tokens, 0)" for name in USAGE_CLASSES if "output" not in name and name != "reasoning"
)
_OUTPUTS = " + ".join(
    f"coalesce({name}_tokens, 0)" for name in USAGE_CLASSES if "output" in name or name == "reasoning"
)
TOKENS = f"{_INPUTS} + {_OUTPUTS}"
COUNTED = "kind IN ('model', 'embedding', 'rerank') AND covered.row_id IS NULL"
_FIGURES = f"""
    count(*), count(*) FILTER ({FAILED}), coalesce(sum(cost_usd), 0), count(*) FILTER (cost_usd IS NULL),
    coalesce(sum({_INPUTS}), 0)::BIGINT, coalesce(sum({_OUTPUTS}), 0)::BIGINT,
    quantile_cont((end_ns - start_ns) / 1e6, [0.5, 0.95]) FILTER (status = 'ok' AND NOT {CACHED}),
    quantile_cont((first_output_ns - start_ns) / 1e6, [0.5, 0.95])
        FILTER (status = 'ok' AND first_output_ns IS NOT NULL AND NOT {CACHED}),
    count(*) FILTER ({CACHED})
"""
_WEIGHT = "CASE WHEN parent_id IS NULL THEN 200000000000000000 WHEN kind = 'model' THEN 100000000000000000 ELSE 0 END::HUGEINT"
"""Nanoseconds, some years of them: what a trace was asked and answered is said by its root, else by its calls, else by any."""
_TRACES = f"""
    WITH hits AS (SELECT unnest(?) AS trace_id)
    SELECT trace_id, min(start_ns), max(end_ns), count(*), count(*) FILTER ({FAILED} AND kind <> 'attempt'),
        count(*) FILTER ({COUNTED}), coalesce(sum(cost_usd) FILTER ({COUNTED}), 0),
        count(*) FILTER ({COUNTED} AND cost_usd IS NULL),
        coalesce(sum({TOKENS}) FILTER ({COUNTED}), 0)::BIGINT,
        first({{name: name, kind: kind}} ORDER BY parent_id IS NOT NULL, kind = 'attempt', start_ns, live_spans.row_id),
        {{model: arg_min(model, start_ns), task: arg_min(task, start_ns), variant: arg_min(variant, start_ns),
            user_id: arg_min(user_id, start_ns), session_id: arg_min(session_id, start_ns),
            input_preview: coalesce(arg_min(nullif(input_preview, ''), start_ns - {_WEIGHT}), ''),
            output_preview: coalesce(arg_max(nullif(output_preview, ''), end_ns + {_WEIGHT}), '')}}
    FROM live_spans JOIN hits USING (trace_id) LEFT JOIN covered ON covered.row_id = live_spans.row_id
    WHERE project = ? AND start_ns >= ? AND start_ns < ?
    GROUP BY trace_id
"""
_NEWEST = """
    SELECT trace_id, max(start_ns) AS newest_ns FROM live_spans WHERE <where>
    GROUP BY trace_id <having> ORDER BY newest_ns DESC, trace_id DESC LIMIT ?
"""
_SCORE = (
    "score_id", "project", "name", "value", "source", "at_ns", "trace_id", "span_id", "session_id", "case_id",
    "scorer_version", "cost_usd", "explanation", "author", "offsets",
)  # fmt: skip


class Reads(ABC):
    """The reading half of the store."""

    @abstractmethod
    def _rows(self, sql: str, parameters: Sequence[Any], scope: Scope = EVERYWHERE) -> list[tuple[Any, ...]]:
        """What a statement answers, from what lies in the scope; the other half holds the connection."""

    def list_spans(self, filter: SpanFilter, *, limit: int = 50, cursor: str | None = None) -> Page[SpanRow]:
        behind, position, newest_ns = "", [], filter.to_ns
        if cursor is not None:
            behind = " AND (start_ns, row_id) < (?, ?) AND start_ns <= ?"
            newest_ns, row_id = from_cursor(cursor, tuple[int, int])
            position = [newest_ns, row_id, newest_ns]
        rows: list[tuple[Any, ...]] = []
        for part in _growing(filter, newest_ns):
            where, parameters = condition(part)
            rows = self._rows(
                f"SELECT {', '.join(ROW)}, row_id FROM live_spans WHERE {where}{behind} ORDER BY start_ns DESC, row_id DESC LIMIT ?",
                [*parameters, *position, limit + 1],
                scope_of(part),
            )
            if len(rows) > limit:
                break
        items = [span_row(row) for row in rows[:limit]]
        return Page(items, to_cursor(items[-1].start_ns, rows[limit - 1][-1]) if len(rows) > limit else None)

    def list_traces(
        self, filter: SpanFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TraceRow]:
        having, position, newest_ns = "", [], filter.to_ns
        if cursor is not None:
            having = "HAVING (max(start_ns), trace_id) < (?, ?)"
            newest_ns, trace_id = from_cursor(cursor, tuple[int, str])
            position = [newest_ns, trace_id]
        hits: list[tuple[Any, ...]] = []
        for part in _growing(filter, newest_ns):
            where, parameters = condition(part)
            hits = self._rows(
                _NEWEST.replace("<where>", where).replace("<having>", having),
                [*parameters, *position, limit + 1],
                scope_of(part),
            )
            if len(hits) > limit:
                break
        found = {row.trace_id: row for row in self._trace_rows(filter, [hit[0] for hit in hits[:limit]])}
        items = [found[trace_id] for trace_id, _ in hits[:limit] if trace_id in found]
        return Page(items, to_cursor(hits[limit - 1][1], hits[limit - 1][0]) if len(hits) > limit else None)

    def trace(
        self, project: str, trace_id: str, *, limit: int = 500, cursor: str | None = None
    ) -> Page[StoredSpan]:
        where = "project = ? AND trace_id = ?"
        parameters: list[Any] = [project, trace_id]
        if cursor is not None:
            where += " AND (start_ns, row_id) > (?, ?)"
            parameters += from_cursor(cursor, tuple[int, int])
        rows = self._rows(
            f"{SELECT_DETAIL} WHERE {where} ORDER BY start_ns, row_id LIMIT ?",
            [*parameters, limit + 1],
            Scope(project),
        )
        if not rows and cursor is None:
            raise NotFound(
                f"There is no trace {trace_id!r}.",
                hint="It may not have been collected yet.",
            )
        spans = self._resolve(project, rows[:limit])
        return Page(
            spans, to_cursor(spans[-1].span.start_ns, rows[limit - 1][_ROW_ID]) if len(rows) > limit else None
        )

    def get_span(self, project: str, span_id: str, *, trace_id: str | None = None) -> StoredSpan:
        where, parameters = "project = ? AND span_id = ?", [project, span_id]
        if trace_id is not None:
            where += " AND trace_id = ?"
            parameters.append(trace_id)
        rows = self._rows(
            f"{SELECT_DETAIL} WHERE {where} ORDER BY row_id DESC LIMIT 1",
            parameters,
            Scope(project),
        )
        if not rows:
            raise NotFound(
                f"There is no span {span_id!r}.",
                hint="It may not have been collected yet.",
            )
        return self._resolve(project, rows, with_raw=True)[0]

    def list_scores(
        self,
        project: str,
        *,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        case_id: str | None = None,
        limit: int = 1000,
    ) -> list[Score]:
        targets = {"trace_id": trace_id, "span_id": span_id, "session_id": session_id, "case_id": case_id}
        chosen = {name: value for name, value in targets.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in chosen) or "TRUE"
        return self._scores(where, [project, *chosen.values()], limit)

    def traffic(self, filter: SpanFilter) -> Traffic:
        where, parameters = condition(filter)
        rows = self._rows(f"SELECT {_FIGURES} FROM calls WHERE {where}", parameters, scope_of(filter))
        return _traffic(rows[0])

    def traffic_over_time(self, filter: SpanFilter, *, bucket_ns: int) -> list[Bucket]:
        where, parameters = condition(filter)
        rows = self._rows(
            f"SELECT (start_ns // ?) * ? AS bucket, {_FIGURES} FROM calls WHERE {where} GROUP BY 1 ORDER BY 1",
            [bucket_ns, bucket_ns, *parameters],
            scope_of(filter),
        )
        return [Bucket(row[0], _traffic(row[1:])) for row in rows]

    def traffic_by(self, filter: SpanFilter, field: GroupField, *, limit: int = 50) -> list[Group]:
        where, parameters = condition(filter)
        rows = self._rows(
            f"SELECT {GROUP_COLUMNS[field]}, {_FIGURES} FROM calls WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",
            [*parameters, limit],
            scope_of(filter),
        )
        return [Group(row[0], _traffic(row[1:])) for row in rows]

    def facets(self, filter: SpanFilter, *, limit: int = 20) -> list[Facet]:
        where, parameters = condition(filter)
        sets = ", ".join(f"({name})" for name in FACET_COLUMNS)
        rows = self._rows(
            f"SELECT {', '.join(FACET_COLUMNS)}, count(*) AS n FROM live_spans WHERE {where} GROUP BY GROUPING SETS ({sets}) ORDER BY n DESC",
            parameters,
            scope_of(filter),
        )
        values: dict[str, list[tuple[str, int]]] = {name: [] for name in FACET_COLUMNS}
        for row in rows:
            for name, value in zip(FACET_COLUMNS, row, strict=False):
                if value is not None and len(values[name]) < limit:
                    values[name].append((value, row[-1]))
        return [Facet(name, tuple(found)) for name, found in values.items()]

    def savings(self, filter: SpanFilter) -> list[Saving]:
        where, parameters = condition(filter)
        usd, sent, made = (
            f"json_extract_string(attributes, '$.\"assay.cache.saved_{name}\"')"
            for name in ("usd", "input_tokens", "output_tokens")
        )
        rows = self._rows(
            f"""
            SELECT coalesce(model, ''), count(*) FILTER ({CACHED}), count(*) FILTER (NOT {CACHED}),
                coalesce(sum({usd}::DECIMAL(38,20)) FILTER ({CACHED}), 0), count(*) FILTER ({CACHED} AND {usd} IS NULL),
                coalesce(sum({sent}::BIGINT) FILTER ({CACHED}), 0)::BIGINT,
                coalesce(sum({made}::BIGINT) FILTER ({CACHED}), 0)::BIGINT
            FROM calls WHERE {where} AND cache IN ('hit', 'miss') GROUP BY 1 ORDER BY 4 DESC, 2 DESC, 1
            """,
            parameters,
            scope_of(filter),
        )
        return [Saving(**dict(zip(Saving.__struct_fields__, row, strict=True))) for row in rows]

    def spending(self, project: str, *, after_ns: int, until_ns: int) -> list[Spending]:
        began_ns = max(after_ns - _LONGEST_CALL_NS, 0)
        rows = self._rows(
            "SELECT key_id, user_id, tags, model, sum(cost_usd) FROM live_spans WHERE project = ? AND start_ns >= ?"
            " AND end_ns > ? AND end_ns <= ? AND endpoint IS NOT NULL AND cost_usd > 0 GROUP BY ALL",
            [project, began_ns, after_ns, until_ns],
            Scope(project, began_ns, until_ns + 1),
        )
        return [Spending(key, user, tuple(tags or ()), model, usd) for key, user, tags, model, usd in rows]

    def _scores(self, where: str, parameters: Sequence[Any], limit: int) -> list[Score]:
        rows = self._rows(
            f"SELECT {', '.join(_SCORE)} FROM scores WHERE project = ? AND {where} ORDER BY at_ns, score_id LIMIT ?",
            [*parameters, limit],
            Scope(parameters[0]),
        )
        return [_score(row) for row in rows]

    def _trace_rows(self, around: SpanFilter, trace_ids: Sequence[str]) -> list[TraceRow]:
        """Some traces, in no order, with their spans up to a day outside a filter's time range.

        Where exactly they lie is asked first, of few columns: then the wide rows around it are all that is read.
        """
        if not trace_ids:
            return []
        margin = 24 * _HOUR_NS
        ((first, last),) = self._rows(
            "SELECT min(start_ns), max(start_ns) FROM live_spans WHERE project = ? AND trace_id IN (SELECT unnest(?)) AND start_ns >= ? AND start_ns < ?",
            [around.project, list(trace_ids), around.from_ns - margin, around.to_ns + margin],
            scope_of(around, around_ns=margin),
        )
        if first is None:
            return []
        rows = self._rows(
            _TRACES,
            [list(trace_ids), around.project, first, last + 1],
            Scope(around.project, first, last),
        )
        return [_trace_row(row) for row in rows]

    def _resolve(
        self, project: str, rows: Sequence[tuple[Any, ...]], *, with_raw: bool = False
    ) -> list[StoredSpan]:
        """Rows of `_DETAIL` with their messages, which one statement fetches for all."""
        records = [dict(zip(_DETAIL, row, strict=True)) for row in rows]
        wanted = [name for field, name in HASHES.items() if with_raw or field != "raw"]
        hashes = {digest for record in records for name in wanted for digest in record[name] or ()}
        hashes |= {digest for record in records for name in LONG.values() if (digest := record[name])}
        if not hashes:
            return [_stored(record, {}) for record in records]
        days = sorted({record["day"] for record in records})
        people = sorted({record["user_id"] or "" for record in records})
        found = self._rows(
            """SELECT day, person, hash, part, body FROM payloads WHERE project = ? AND day BETWEEN ? AND ?
            AND person IN (SELECT unnest(?)) AND hash IN (SELECT unnest(?::BLOB[]))""",
            [project, days[0], days[-1], people, sorted(hashes)],
            Scope(project, days=(days[0], days[-1])),
        )
        bodies = _whole(found)
        return [_stored(record, bodies) for record in records]


Bodies = Mapping[tuple[int, str, bytes], bytes]
"""Messages by day of arrival, person and SHA-256."""


def _growing(filter: SpanFilter, newest_ns: int) -> Iterator[SpanFilter]:
    """Ever longer stretches of the filter's time range, back from where a page begins; the last is all of it.

    What is listed newest first is mostly found in the first. A trace is placed by its newest span, so a stretch that holds
    a page of traces holds the right ones.
    """
    length = min(newest_ns, filter.to_ns) - filter.from_ns
    if length > _HOUR_NS:
        for share in (64, 8):
            yield msgspec.structs.replace(filter, from_ns=min(newest_ns, filter.to_ns) - length // share)
    yield filter


def scope_of(filter: SpanFilter, *, around_ns: int = 0) -> Scope:
    """Where the spans lie that a filter lets through, and those so near to them."""
    return Scope(filter.project, filter.from_ns - around_ns, filter.to_ns + around_ns)


def _whole(rows: Sequence[tuple[int, str, bytes, int, bytes]]) -> Bodies:
    """Payloads from their parts. A part may come twice, when a late span brought its message to a sealed day again."""
    parts: dict[tuple[int, str, bytes], dict[int, bytes]] = {}
    for day, person, digest, part, body in rows:
        parts.setdefault((day, person, bytes(digest)), {})[part] = body
    return {
        key: found[0] if len(found) == 1 else b"".join(found[part] for part in sorted(found))
        for key, found in parts.items()
    }


def _stored(record: dict[str, Any], bodies: Bodies) -> StoredSpan:
    day, received_at_ns = record.pop("day"), record.pop("received_at_ns")
    del record["row_id"]
    is_covered = record.pop("is_covered")
    person = record["user_id"] or ""
    missing = 0
    for field, column in HASHES.items():
        hashes = record.pop(column) or ()
        content = [
            body for digest in hashes if (body := bodies.get((day, person, bytes(digest)))) is not None
        ]
        is_whole = len(content) == len(hashes)
        if field == "raw":  # of use only when it is whole, and no message
            record[field] = tuple(content) if is_whole else ()
            continue
        missing += len(hashes) - len(content)
        record[field] = tuple(content)
    for field, column in LONG.items():
        digest = record.pop(column)
        if digest is not None:
            record[field] = bodies.get((day, person, bytes(digest)))
            missing += record[field] is None
    record["usage"] = _usage([record.pop(name) for name in _USAGE])
    record["kind"], record["status"] = SpanKind(record["kind"]), SpanStatus(record["status"])
    record["tags"] = tuple(record["tags"] or ())
    record["attributes"] = msgspec.json.decode(record["attributes"]) if record["attributes"] else {}
    record["imported"] = bool(record["imported"])
    span = Span(**record)
    return StoredSpan(
        span=span,
        received_at_ns=received_at_ns,
        missing=missing,
        is_counted=span.kind in CALL_KINDS and not is_covered,
    )


def span_row(row: Sequence[Any]) -> SpanRow:
    """What a row of `ROW` says; what follows in it is passed over."""
    record = dict(zip(ROW, row, strict=False))
    usage = _usage([record.pop(name) for name in _USAGE])
    record["kind"], record["status"] = SpanKind(record["kind"]), SpanStatus(record["status"])
    return SpanRow(usage=usage, **record)


def _trace_row(row: Sequence[Any]) -> TraceRow:
    (
        trace_id,
        start_ns,
        end_ns,
        spans,
        errors,
        calls,
        cost_usd,
        cost_unknown,
        total_tokens,
        named,
        known,
    ) = row
    return TraceRow(
        trace_id=trace_id,
        start_ns=start_ns,
        end_ns=end_ns,
        spans=spans,
        errors=errors,
        calls=calls,
        cost_usd=cost_usd,
        cost_unknown=cost_unknown,
        total_tokens=total_tokens,
        name=named["name"],
        kind=SpanKind(named["kind"]),
        **known,
    )


def _traffic(row: Sequence[Any]) -> Traffic:
    calls, errors, cost_usd, cost_unknown, inputs, outputs, latency, first_output, cached = row
    p50_ms, p95_ms = latency or (None, None)
    first_output_p50_ms, first_output_p95_ms = first_output or (None, None)
    return Traffic(
        calls=calls,
        cached=cached,
        errors=errors,
        cost_usd=Decimal(cost_usd),
        cost_unknown=cost_unknown,
        input_tokens=inputs,
        output_tokens=outputs,
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        first_output_p50_ms=first_output_p50_ms,
        first_output_p95_ms=first_output_p95_ms,
    )


def _usage(values: Sequence[Any]) -> Usage | None:
    *counts, input_source, output_source = values
    if input_source is None:
        return None
    counted = dict(zip(USAGE_CLASSES, (count or 0 for count in counts), strict=True))
    return Usage(**counted, input_source=UsageSource(input_source), output_source=UsageSource(output_source))


def _score(row: Sequence[Any]) -> Score:
    record = dict(zip(_SCORE, row, strict=True))
    record["value"] = msgspec.json.decode(record["value"], type=bool | float | str)
    record["source"] = ScoreSource(record["source"])
    record["offsets"] = (
        msgspec.json.decode(record["offsets"], type=tuple[Offsets, ...]) if record["offsets"] else ()
    )
    return Score(**record)
