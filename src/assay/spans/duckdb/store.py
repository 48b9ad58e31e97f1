"""The store's connection, its one writer and its readers."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import Unavailable, Unusable
from assay.spans.duckdb import schema
from assay.spans.duckdb.batches import SpanBatch, score_table
from assay.spans.duckdb.session_reads import SessionReads
from assay.spans.segments import Position
from assay.spans.types import Arrival, StoreDown, Unstorable

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
_COVER = """
    INSERT INTO covered
    WITH RECURSIVE touched AS (
        SELECT project, trace_id, min(start_ns) AS start_ns FROM batch
        WHERE mapping IS NOT NULL OR (kind IN ('model', 'embedding') AND parent_id IS NOT NULL) GROUP BY ALL
    ), near AS MATERIALIZED (
        SELECT row_id, project, trace_id, span_id, parent_id, kind, mapping FROM live_spans JOIN touched USING (project, trace_id)
        WHERE live_spans.start_ns >= (SELECT min(start_ns) FROM touched) - 86400000000000
    ), above AS (
        SELECT project, trace_id, parent_id AS span_id FROM near WHERE kind IN ('model', 'embedding') AND parent_id IS NOT NULL
        UNION SELECT project, trace_id, near.parent_id FROM near JOIN above USING (project, trace_id, span_id)
        WHERE near.parent_id IS NOT NULL
    )
    SELECT row_id FROM near JOIN above USING (project, trace_id, span_id)
    WHERE kind IN ('model', 'embedding') AND mapping IS NOT NULL AND row_id NOT IN (SELECT row_id FROM covered)
"""
_INSERT_PAYLOADS = """
    INSERT INTO payloads BY NAME SELECT * FROM batch new ANTI JOIN payloads old
    ON old.day = new.day AND old.hash = new.hash AND old.project = new.project AND old.person = new.person
"""
_INSERT_SCORES = """
    INSERT INTO scores BY NAME SELECT * REPLACE (cost_usd::DECIMAL(38,20) AS cost_usd) FROM batch new ANTI JOIN scores old
    ON old.score_id = new.score_id AND old.project = new.project
"""
_INSERT_SPANS = "INSERT INTO spans BY NAME SELECT * REPLACE (cost_usd::DECIMAL(38,20) AS cost_usd) FROM batch"
_MOVE = """
    INSERT INTO positions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
    SET segment = excluded.segment, "offset" = excluded.offset, sequence = excluded.sequence
"""


class DuckDBStore(SessionReads):
    """A `SpanStore` in one DuckDB file. Only one process may open it."""

    def __init__(
        self, path: Path, *, memory_mb: int = 512, threads: int | None = None, read_timeout_s: float = 10.0
    ) -> None:
        """Open or make the file. Raises `Unusable` when it is held by another process, damaged, or from a newer Assay."""
        self._path = path
        self._memory_mb = memory_mb
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._read_timeout_s = read_timeout_s
        self._writing = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
        except (duckdb.Error, OSError) as error:
            raise Unusable(
                f"The span store {str(path)!r} cannot be opened: {error}",
                hint="Is another server running on this data directory?",
            ) from error

    def write(self, arrivals: Sequence[Arrival], *, source: str, position: Position) -> None:
        with self._writer() as connection:
            with _transaction(connection):
                added = self._insert(connection, arrivals)
                self._move(connection, source, position)
            self._next_row_id += added

    def check(self, arrivals: Sequence[Arrival]) -> None:
        with self._writer() as connection:
            connection.begin()
            try:
                self._insert(connection, arrivals)
            finally:
                connection.rollback()

    def position(self, source: str) -> Position | None:
        with self._writer() as connection:
            found = connection.execute(
                'SELECT segment, "offset", sequence FROM positions WHERE source = ?', [source]
            ).fetchall()
        return Position(*found[0]) if found else None

    def close(self) -> None:
        with self._writing:
            self._connection.close()
            del self._connection

    @property
    def _last_row_id(self) -> int:
        return self._next_row_id - 1

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            str(self._path),
            config={
                "memory_limit": f"{self._memory_mb}MB",
                "threads": self._threads,
                "temp_directory": str(self._path.with_suffix(".tmp")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        connection.execute("SET enable_external_access = false")
        connection.execute(schema.DEFINITION)
        found = connection.execute("SELECT version FROM layout").fetchall()
        if not found:
            connection.execute("INSERT INTO layout VALUES (?)", [schema.VERSION])
        elif found[0][0] != schema.VERSION:
            connection.close()
            raise Unusable(
                f"The span store {str(self._path)!r} has layout {found[0][0]}, this Assay knows {schema.VERSION}.",
                hint="Use the version of Assay that wrote it, or a newer one.",
            )
        self._next_row_id: int = (
            1 + connection.execute("SELECT coalesce(max(row_id), 0) FROM spans").fetchall()[0][0]
        )
        return connection

    def _insert(self, connection: duckdb.DuckDBPyConnection, arrivals: Sequence[Arrival]) -> int:
        """Raises `ValueError` and its like, or `duckdb.DataError`, for what does not fit."""
        batch = SpanBatch(arrivals, first_row_id=self._next_row_id)
        if batch.count:
            with _registered(connection, batch.table):
                connection.execute(_SUPERSEDE)
                if batch.repeats:
                    connection.execute(_SUPERSEDE_WITHIN)
                connection.execute(_INSERT_SPANS)
                if batch.may_cover:
                    connection.execute(_COVER)
            if batch.payloads:
                with _registered(connection, batch.payload_table()):
                    connection.execute(_INSERT_PAYLOADS)
        scores = score_table(arrivals)
        if scores is not None:
            with _registered(connection, scores):
                connection.execute(_INSERT_SCORES)
        return batch.count

    def _move(self, connection: duckdb.DuckDBPyConnection, source: str, position: Position) -> None:
        connection.execute(_MOVE, [source, position.segment, position.offset, position.sequence])

    @contextmanager
    def _writer(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, for one at a time; what fails there is sorted into never and later."""
        with self._writing:
            try:
                yield self._connection
            except (duckdb.FatalException, duckdb.ConnectionException) as error:
                self._reconnect()
                raise StoreDown(f"The span store failed: {error}") from error
            except (
                duckdb.DataError,
                duckdb.InvalidInputException,
                ValueError,
                TypeError,
                OverflowError,
            ) as error:
                raise Unstorable(f"{type(error).__name__}: {error}") from error
            except duckdb.Error as error:
                raise StoreDown(f"The span store cannot be written: {error}") from error

    def _reconnect(self) -> None:
        """After a fatal error DuckDB refuses everything until the file is opened again."""
        self._connection.close()
        try:
            self._connection = self._connect()
        except duckdb.Error as error:
            raise StoreDown(f"The span store cannot be opened again: {error}") from error

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            cursor = self._connection.cursor()
        except duckdb.Error as error:
            raise Unavailable(f"The span store cannot be read: {error}", hint="See /readyz.") from error
        alarm = threading.Timer(self._read_timeout_s, cursor.interrupt)
        alarm.daemon = True
        alarm.start()
        try:
            return cursor.execute(sql, list(parameters)).fetchall()
        except duckdb.InterruptException as error:
            raise Unavailable(
                f"This took longer than {self._read_timeout_s:g} s.",
                hint="Ask for a shorter time range or more filters.",
            ) from error
        except duckdb.Error as error:
            raise Unavailable(f"The span store cannot be read: {error}", hint="See /readyz.") from error
        finally:
            alarm.cancel()
            cursor.close()


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    _commit(connection)


def _commit(connection: duckdb.DuckDBPyConnection) -> None:
    connection.commit()


@contextmanager
def _registered(connection: duckdb.DuckDBPyConnection, table: Any) -> Iterator[None]:
    connection.register("batch", table)
    try:
        yield
    finally:
        connection.unregister("batch")
