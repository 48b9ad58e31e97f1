"""The store: what is written to it and what it answers."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import Unavailable
from assay.spans.duckdb.batches import SpanBatch, score_table
from assay.spans.duckdb.covering import cover
from assay.spans.duckdb.engine import Connection, Engine, scalar
from assay.spans.duckdb.keeping import Keeping
from assay.spans.duckdb.layout import BeforeUpgrade
from assay.spans.duckdb.sealed import EVERYWHERE, KINDS, Scope
from assay.spans.segments import Position
from assay.spans.types import Arrival, StoreDown
from assay.wire.scores import Score
from assay.wire.spans import Span

_SUPERSEDE = """
    INSERT INTO superseded
    SELECT old.row_id, new.row_id FROM batch new JOIN live_spans old
    ON old.trace_id = new.trace_id AND old.span_id = new.span_id AND old.project = new.project
"""
_SUPERSEDE_WITHIN = """
    INSERT INTO superseded SELECT row_id, by_row_id FROM (
        SELECT row_id, lead(row_id) OVER (PARTITION BY project, trace_id, span_id ORDER BY row_id) AS by_row_id FROM batch)
    WHERE by_row_id IS NOT NULL
"""
_INSERT_PAYLOADS = """
    INSERT INTO hot_payloads BY NAME SELECT * FROM batch new ANTI JOIN hot_payloads old
    ON old.day = new.day AND old.hash = new.hash AND old.project = new.project AND old.person = new.person
    AND old.imported = new.imported
"""
_INSERT_SCORES = """
    INSERT INTO hot_scores BY NAME SELECT * REPLACE (cost_usd::DECIMAL(38,20) AS cost_usd) FROM batch new ANTI JOIN scores old
    ON old.score_id = new.score_id AND old.project = new.project
"""
_INSERT_SPANS = (
    "INSERT INTO hot_spans BY NAME SELECT * REPLACE (cost_usd::DECIMAL(38,20) AS cost_usd) FROM batch"
)
_MOVE = """
    INSERT INTO positions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
    SET segment = excluded.segment, "offset" = excluded.offset, sequence = excluded.sequence
"""
_NEXT_ROW = """
    SELECT 1 + greatest((SELECT coalesce(max(row_id), 0) FROM hot_spans), (SELECT max(row_id_floor) FROM layout))
"""
_HOUR_NS = 3_600_000_000_000
_SAME_START_NS = _HOUR_NS
"""Versions of a span, and copies of a score, are looked for among those whose time is at most this far from theirs."""
_ONE_TRACE_NS = 24 * _HOUR_NS


class DuckDBStore(Keeping):
    """A `SpanStore` in one DuckDB file and the sealed days beside it. Only one process may open it."""

    def __init__(
        self,
        path: Path,
        *,
        memory_mb: int = 512,
        threads: int | None = None,
        read_timeout_s: float = 10.0,
        before_upgrade: BeforeUpgrade = lambda path, found: None,
    ) -> None:
        """Open or make the file. Raises `Unusable` when it is held by another process, damaged, or from a newer Assay.

        `before_upgrade` is told of a file in an older layout before it is brought to this one.
        """
        self._read_timeout_s = read_timeout_s
        self._next_row_id = 1
        self._has_seen_files = False
        self._engine = Engine(
            path,
            memory_mb=memory_mb,
            threads=threads,
            opened=self._opened,
            before_upgrade=before_upgrade,
        )

    def write(self, arrivals: Sequence[Arrival], *, source: str, position: Position) -> None:
        try:
            with self._engine.writing() as connection:
                with _transaction(connection):
                    added = self._insert(connection, arrivals)
                    self._move(connection, source, position)
                self._next_row_id += added
        except StoreDown:
            # DuckDB can fail after the commit, while it folds its log into the file.
            if self.position(source) != position:
                raise

    def check(self, arrivals: Sequence[Arrival]) -> None:
        with self._engine.writing() as connection:
            connection.begin()
            try:
                self._insert(connection, arrivals)
            finally:
                connection.rollback()

    def position(self, source: str) -> Position | None:
        with self._engine.writing() as connection:
            found = connection.execute(
                'SELECT segment, "offset", sequence FROM positions WHERE source = ?', [source]
            ).fetchall()
        return Position(*found[0]) if found else None

    def close(self) -> None:
        self._engine.close()

    @property
    def _last_row_id(self) -> int:
        return self._next_row_id - 1

    def _opened(self, connection: Connection) -> None:
        self._next_row_id = scalar(connection, _NEXT_ROW)
        self._has_seen_files = False

    def _insert(self, connection: Connection, arrivals: Sequence[Arrival]) -> int:
        """Raises `ValueError` and its like, or `duckdb.DataError`, for what does not fit."""
        batch = SpanBatch(arrivals, first_row_id=self._next_row_id)
        scores = score_table(arrivals)
        self._look_around(connection, arrivals, may_cover=batch.may_cover)
        if batch.count:
            with _registered(connection, batch.table):
                connection.execute(_SUPERSEDE)
                if batch.repeats:
                    connection.execute(_SUPERSEDE_WITHIN)
                connection.execute(_INSERT_SPANS)
                if batch.may_cover:
                    cover(connection)
            if batch.payloads:
                with _registered(connection, batch.payload_table()):
                    connection.execute(_INSERT_PAYLOADS)
        if scores is not None:
            with _registered(connection, scores):
                connection.execute(_INSERT_SCORES)
        return batch.count

    def _look_around(self, connection: Connection, arrivals: Sequence[Arrival], *, may_cover: bool) -> None:
        """Let the writer see the sealed days in which older versions and copies of the arrivals can lie: for what comes
        as it happens, none."""
        if not self._engine.files_in(connection) and not self._has_seen_files:
            return
        if self._has_seen_files:
            self._engine.forget_views(connection)
        self._has_seen_files = True  # for good: a transaction that fails may bring a view back
        margin = _ONE_TRACE_NS if may_cover else _SAME_START_NS
        spans = [event.start_ns for event, _ in arrivals if isinstance(event, Span)]
        scores = [event.at_ns for event, _ in arrivals if isinstance(event, Score)]
        if spans:
            near = Scope(from_ns=min(spans) - margin, to_ns=max(spans) + margin)
            self._engine.look(connection, near, kinds=("spans",))
        if scores:
            near = Scope(scores_ns=(min(scores) - _SAME_START_NS, max(scores) + _SAME_START_NS))
            self._engine.look(connection, near, kinds=("scores",))

    def _move(self, connection: Connection, source: str, position: Position) -> None:
        connection.execute(_MOVE, [source, position.segment, position.offset, position.sequence])

    def _rows(self, sql: str, parameters: Sequence[Any], scope: Scope = EVERYWHERE) -> list[tuple[Any, ...]]:
        kinds = [kind for kind in KINDS if kind in sql or (kind == "spans" and "calls" in sql)]
        try:
            with self._engine.reading(scope, kinds=kinds) as cursor:
                alarm = threading.Timer(self._read_timeout_s, cursor.interrupt)
                alarm.daemon = True
                alarm.start()
                try:
                    return cursor.execute(sql, list(parameters)).fetchall()
                finally:
                    alarm.cancel()
        except duckdb.InterruptException as error:
            raise Unavailable(
                f"This took longer than {self._read_timeout_s:g} s.",
                hint="Ask for a shorter time range or more filters.",
            ) from error
        except duckdb.Error as error:
            raise Unavailable(f"The span store cannot be read: {error}", hint="See /readyz.") from error


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    _commit(connection)


def _commit(connection: Connection) -> None:
    connection.commit()


@contextmanager
def _registered(connection: Connection, table: Any) -> Iterator[None]:
    connection.register("batch", table)
    try:
        yield
    finally:
        connection.unregister("batch")
