"""What becomes of days: sealed, thinned out, dropped, purged, and the file made smaller after it.

Each is one rewriting of groups of rows (`Group`): what should stay goes into new files, and one transaction puts these in
the place of the old files and of the hot rows. Rows are never edited in a file.
"""

# ruff: noqa: S608 - only names from this room are spliced into SQL
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from assay.kit import ids
from assay.kit.hashing import content_hash
from assay.spans.duckdb import schema
from assay.spans.duckdb.engine import Connection, Engine, scalar, sync_new
from assay.spans.duckdb.sealed import (
    KINDS,
    TIMES,
    Group,
    Kind,
    Scope,
    SealedFile,
    literal,
    path_of,
    reads,
    rows_of,
)
from assay.spans.duckdb.session_reads import SessionReads
from assay.spans.types import Purge, Purged, StoredDay, StoreSize

_LAYOUT: dict[Kind, str] = {
    "spans": "ROW_GROUP_SIZE 10240, ROW_GROUP_SIZE_BYTES '32MB'",
    "scores": "ROW_GROUP_SIZE 10240, ROW_GROUP_SIZE_BYTES '32MB'",
    "payloads": "ROW_GROUP_SIZE 8192, ROW_GROUP_SIZE_BYTES '8MB'",
}
"""A row group is what is read at least to find one row, and what lies in memory while it is written."""
_BLANK = "list_transform({name}, lambda hash: ''::BLOB) AS {name}"
_WITHOUT_CONTENT: dict[Kind, str] = {
    "spans": ", ".join(
        (
            "'' AS input_preview, '' AS output_preview, NULL::VARCHAR AS error_message, NULL::VARCHAR AS attributes",
            "NULL::BLOB AS request",
            *(_BLANK.format(name=name) for name in schema.HASHES.values()),
            *(f"CASE WHEN {name} IS NOT NULL THEN ''::BLOB END AS {name}" for name in schema.LONG.values()),
        )
    ),
    "scores": "NULL::VARCHAR AS explanation, NULL::VARCHAR AS offsets",
}
"""What replaces content when it is past its time: how many messages there were stays, what they said does not."""
_SHARE_SUPERSEDED = 5
"""A file of which more than one row in this many is superseded is written anew."""
_WORTH_GIVING_BACK = 64 << 20


class _Thinning(NamedTuple):
    """What of a group stays: all rows or none, with content or without, and with or without what `gone_…` names."""

    rows: bool = True
    content: bool = True
    purged: bool = False


class Keeping(SessionReads):
    """The part of the store that outlives days."""

    _engine: Engine

    def seal(
        self, *, before_day: int, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> int:
        """Move the rows of earlier days into files, a project and day at a time; how many groups that were."""
        groups = self._unsealed(before_day) | self._mostly_superseded()
        for done, group in enumerate(sorted(groups)):
            progress(done, len(groups))
            self._rewrite([group], _Thinning(content=self._has_content(group)))
        return len(groups)

    def stored_days(self, project: str | None = None) -> list[StoredDay]:
        """What is kept, oldest first."""
        days: dict[Group, dict[str, int | bool]] = {}

        def of(group: Group) -> dict[str, int | bool]:
            return days.setdefault(
                group,
                {
                    "spans": 0,
                    "scores": 0,
                    "bytes": 0,
                    "content_bytes": 0,
                    "is_sealed": True,
                    "has_content": False,
                },
            )

        with self._engine.reading(kinds=()) as cursor:
            for file in self._engine.files_in(cursor):
                found = of(file.group)
                if file.kind == "payloads":
                    found["content_bytes"] += file.bytes
                else:
                    found[file.kind] += file.rows
                    found["bytes"] += file.bytes
                found["has_content"] = bool(found["has_content"]) or file.has_content
            for kind in ("spans", "scores"):
                for *group, rows in cursor.execute(
                    f"SELECT project, day, imported, count(*) FROM hot_{kind} GROUP BY ALL"
                ).fetchall():
                    found = of(Group(*group))
                    found[kind] += rows
                    found["is_sealed"], found["has_content"] = False, True
        return [
            StoredDay(**group._asdict(), **found)  # type: ignore[arg-type]
            for group, found in sorted(days.items(), key=lambda item: (item[0].day, *item[0]))
            if project is None or group.project == project
        ]

    def size(self) -> StoreSize:
        """Bytes on the disk."""
        files = self._engine.files()
        content = sum(file.bytes for file in files if file.kind == "payloads")
        hot = sum(
            path.stat().st_size
            for path in (self._engine.path, self._engine.path.with_name(self._engine.path.name + ".wal"))
            if path.exists()
        )
        return StoreSize(
            hot_bytes=hot,
            sealed_bytes=sum(file.bytes for file in files) - content,
            content_bytes=content,
            missing_files=self._engine.missing,
        )

    def drop_content(self, days: Iterable[StoredDay]) -> None:
        """Take messages, previews, requests and attributes out of whole days; figures stay."""
        for day in days:
            self._rewrite([Group(day.project, day.day, day.imported)], _Thinning(content=False))

    def drop_days(self, days: Iterable[StoredDay]) -> None:
        """Drop days whole."""
        for day in days:
            self._rewrite([Group(day.project, day.day, day.imported)], _Thinning(rows=False))

    def count_purge(self, purge: Purge) -> Purged:
        """What `purge` would take."""
        with self._engine.reading(Scope(purge.project)) as cursor:
            _find_gone(cursor, purge)
            return _count_gone(cursor, purge)

    def purge(self, purge: Purge) -> Purged:
        """Take spans, their messages and their scores out for good, as one change, and give the disk back."""
        with self._engine.reading(Scope(purge.project)) as cursor:
            _find_gone(cursor, purge)
            gone = _count_gone(cursor, purge)
            groups = [
                Group(purge.project, *row)
                for row in cursor.execute(
                    """SELECT day, imported FROM spans WHERE row_id IN (SELECT row_id FROM gone_spans)
                    UNION SELECT day, imported FROM scores WHERE score_id IN (SELECT score_id FROM gone_scores)"""
                ).fetchall()
            ]
        if groups:
            self._rewrite(groups, _Thinning(purged=True), purge)
            self.compact(even_little=True)
        return gone

    def compact(self, *, even_little: bool = False) -> int:
        """Give the space back that deleted rows have left in the file; how many bytes that were.

        DuckDB uses such space again and never gives it back by itself. Nothing is done while it is little.
        """
        with self._engine.writing() as connection:
            with suppress(duckdb.TransactionException):  # a question is on its way: then by what is known
                connection.execute("CHECKPOINT")
            block, total, free = connection.execute(
                "SELECT block_size, total_blocks, free_blocks FROM pragma_database_size()"
            ).fetchall()[0]
        if not even_little and (free * block < _WORTH_GIVING_BACK or free * 2 < total):
            return 0
        return self._engine.swap(copy_tables)

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """The store as it is at this moment, for a backup; writing goes on meanwhile."""
        with self._engine.reading(kinds=()) as cursor:
            yield Snapshot(self._engine, cursor)

    def _unsealed(self, before_day: int) -> set[Group]:
        with self._engine.reading(kinds=()) as cursor:
            return {
                Group(*row)
                for kind in KINDS
                for row in cursor.execute(
                    f"SELECT DISTINCT project, day, imported FROM hot_{kind} WHERE day < ?", [before_day]
                ).fetchall()
            }

    def _mostly_superseded(self) -> set[Group]:
        rows: dict[Group, int] = {}
        for file in self._engine.files():
            if file.kind == "spans":
                rows[file.group] = rows.get(file.group, 0) + file.rows
        if not rows:
            return set()
        found = self._rows(
            "SELECT project, day, imported, count(*) FROM spans SEMI JOIN superseded USING (row_id) GROUP BY ALL",
            [],
        )
        return {
            group
            for *names, count in found
            if (group := Group(*names)) in rows and count * _SHARE_SUPERSEDED > rows[group]
        }

    def _has_content(self, group: Group) -> bool:
        """Whether a group's content has not been dropped: what comes late to it is not kept either."""
        sealed = [file for file in self._engine.files() if file.group == group and file.kind != "payloads"]
        return not sealed or any(file.has_content for file in sealed)

    def _rewrite(self, groups: Sequence[Group], thinning: _Thinning, purge: Purge | None = None) -> None:
        names = (
            {(group, kind): path_of(kind, group, ids.uuid7()) for group in groups for kind in KINDS}
            if thinning.rows
            else {}
        )
        with self._engine.changing(list(names.values()), alone=purge is not None) as cursor:
            if purge is not None:
                self._engine.look(cursor, Scope(purge.project))
                _find_gone(cursor, purge)
            files = self._engine.files_in(cursor)
            for group in groups:
                mine = [file for file in files if file.group == group]
                made = {kind: names[group, kind] for kind in KINDS} if thinning.rows else {}
                _Rewriting(self._engine, cursor, group, mine, thinning).run(made)


class _Rewriting:
    """One group inside the transaction that changes it."""

    def __init__(
        self,
        engine: Engine,
        cursor: Connection,
        group: Group,
        files: Sequence[SealedFile],
        thinning: _Thinning,
    ) -> None:
        self._engine = engine
        self._cursor = cursor
        self._group = group
        self._old = {kind: [file for file in files if file.kind == kind] for kind in KINDS}
        self._thinning = thinning

    def run(self, names: dict[Kind, str]) -> None:
        """Write what stays under these names (of none, nothing stays) and let go of what was there."""
        for kind, name in names.items():
            if kind != "payloads" or self._thinning.content:
                self._write(kind, name)
        self._forget_rows()
        for kind in KINDS:
            for file in self._old[kind]:
                self._cursor.execute("DELETE FROM sealed_files WHERE file = ?", [file.file])
                self._cursor.execute("INSERT INTO doomed_files VALUES (?)", [file.file])
            self._cursor.execute(
                f"DELETE FROM hot_{kind} WHERE project = ? AND day = ? AND imported = ?", list(self._group)
            )

    def _write(self, kind: Kind, name: str) -> None:
        path = self._engine.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        query, parameters = self._staying(kind)
        self._cursor.execute(
            f"COPY ({query}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd, {_LAYOUT[kind]})",
            parameters,
        )
        time = TIMES.get(kind)
        source = f"read_parquet([{literal(path)}], hive_partitioning = false)"
        rows, from_ns, to_ns = self._cursor.execute(
            f"SELECT count(*), {f'min({time}), max({time})' if time else 'NULL, NULL'} FROM {source}"
        ).fetchall()[0]
        if not rows:
            return
        sync_new(path, self._engine.folder)
        columns = [
            " ".join(row[:2]) for row in self._cursor.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        ]
        self._cursor.execute("DELETE FROM doomed_files WHERE file = ?", [name])
        self._cursor.execute(
            "INSERT INTO sealed_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                name,
                kind,
                *self._group,
                rows,
                path.stat().st_size,
                from_ns,
                to_ns,
                self._thinning.content,
                content_hash(",".join(columns).encode())[:16],
            ],
        )

    def _staying(self, kind: Kind) -> tuple[str, list[Any]]:
        """The query for what stays of a kind."""
        source = rows_of(kind, self._old[kind], self._engine.folder)
        if kind == "payloads":
            return self._staying_payloads()
        blanked = "" if self._thinning.content else f" REPLACE ({_WITHOUT_CONTENT[kind]})"
        query = f"SELECT *{blanked} FROM ({source}) AS every"
        if kind == "spans":
            query += " ANTI JOIN superseded USING (row_id)"
        if self._thinning.purged:
            key = "row_id" if kind == "spans" else "score_id"
            query += f" WHERE {key} NOT IN (SELECT {key} FROM gone_{kind})"
        return query, list(self._group)

    def _staying_payloads(self) -> tuple[str, list[Any]]:
        hot = "SELECT * FROM hot_payloads WHERE project = ? AND day = ? AND imported = ?"
        sealed = " UNION ALL BY NAME ".join(reads(self._old["payloads"], self._engine.folder))
        if sealed:  # what came late may have brought a message that was there
            there = f"SELECT person, hash, part FROM ({sealed})"
            hot = f"SELECT * FROM ({hot}) ANTI JOIN ({there}) USING (person, hash, part)"
            hot = f"{sealed} UNION ALL BY NAME {hot}"
        if not self._thinning.purged:
            return hot, list(self._group)
        spans, parameters = self._staying("spans")
        return (
            f"""WITH staying AS MATERIALIZED ({spans}), needed AS ({_references("staying")})
            SELECT every.* FROM ({hot}) AS every SEMI JOIN needed USING (person, hash)""",
            [*parameters, *self._group],
        )

    def _forget_rows(self) -> None:
        """Of the rows that were here, what other tables say: superseded ones were left out, so nothing needs to know."""
        was = rows_of("spans", self._old["spans"], self._engine.folder)
        floor = scalar(self._cursor, f"SELECT coalesce(max(row_id), 0) FROM ({was})", list(self._group))
        self._cursor.execute("UPDATE layout SET row_id_floor = greatest(row_id_floor, ?)", [floor])
        left = "row_id IN (SELECT row_id FROM superseded)" if self._thinning.rows else "TRUE"
        if self._thinning.purged:
            left += " OR row_id IN (SELECT row_id FROM gone_spans)"
        for table in ("covered", "superseded"):
            self._cursor.execute(
                f"DELETE FROM {table} WHERE row_id IN (SELECT row_id FROM ({was}) WHERE {left})",
                list(self._group),
            )


class Snapshot:
    """A store at one moment. Its sealed files stay where they are while it is open."""

    def __init__(self, engine: Engine, cursor: Connection) -> None:
        self._engine = engine
        self._cursor = cursor
        self.files = [(file.file, engine.folder / file.file) for file in engine.files_in(cursor)]

    def copy_hot(self) -> Path:
        """Write what is not sealed into a store's file of its own, which whoever asks moves away or deletes."""
        path = self._engine.work / f"{ids.uuid7()}.duckdb"
        self._cursor.execute(f"ATTACH {literal(path)} AS snapshot")
        copy_tables(self._cursor, "snapshot")
        self._cursor.commit()
        self._cursor.execute("DETACH snapshot")
        return path


def copy_tables(cursor: Connection, database: str) -> None:
    """Fill an attached, empty database with what this transaction sees."""
    home = scalar(cursor, "SELECT current_database()")
    cursor.execute(f"USE {database}")
    cursor.execute(schema.DEFINITION)
    cursor.execute(f"USE {home}")
    for table in schema.TABLES:
        if table != "doomed_files":
            cursor.execute(f"INSERT INTO {database}.{table} BY NAME SELECT * FROM {home}.main.{table}")


def _find_gone(cursor: Connection, purge: Purge) -> None:
    """Tables of the rows that a purge is about: `gone_spans` and `gone_scores`.

    A person's are the traces in which they appear, but for spans that name somebody else, and every score about these.
    """
    terms = ["project = ?"]
    parameters: list[Any] = [purge.project]
    if purge.before_day is not None:
        terms.append("day < ?")
        parameters.append(purge.before_day)
    where = " AND ".join(terms)
    if purge.user_id is None:
        spans = f"SELECT row_id, trace_id, span_id, session_id, user_id FROM spans WHERE {where}"
        scores = f"SELECT score_id FROM scores WHERE {where}"
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE gone_spans AS {spans}", parameters)
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE gone_scores AS {scores}", parameters)
        return
    cursor.execute(
        f"""CREATE OR REPLACE TEMP TABLE gone_spans AS
        SELECT row_id, trace_id, span_id, session_id, user_id FROM spans WHERE {where}
        AND trace_id IN (SELECT trace_id FROM spans WHERE project = ? AND user_id = ?)
        AND (user_id IS NULL OR user_id = ?)""",
        [*parameters, purge.project, purge.user_id, purge.user_id],
    )
    cursor.execute(
        """CREATE OR REPLACE TEMP TABLE gone_scores AS SELECT score_id FROM scores WHERE project = ? AND (
            (span_id IS NOT NULL AND span_id IN (SELECT span_id FROM gone_spans)) OR
            (span_id IS NULL AND trace_id IN (SELECT trace_id FROM gone_spans)) OR
            session_id IN (SELECT session_id FROM gone_spans WHERE session_id IS NOT NULL))""",
        [purge.project],
    )


def _count_gone(cursor: Connection, purge: Purge) -> Purged:
    spans, traces = cursor.execute("SELECT count(*), count(DISTINCT trace_id) FROM gone_spans").fetchall()[0]
    going = "SELECT * FROM spans SEMI JOIN gone_spans USING (row_id)"
    staying = "SELECT * FROM spans ANTI JOIN gone_spans USING (row_id) ANTI JOIN superseded USING (row_id)"
    counted, size = cursor.execute(
        f"""WITH going AS ({going} WHERE project = ?), staying AS ({staying} WHERE project = ?),
        unneeded AS (SELECT * FROM ({_references("going")}) ANTI JOIN ({_references("staying")}) USING (day, person, hash))
        SELECT count(DISTINCT (day, person, hash)), coalesce(sum(octet_length(body)), 0)::BIGINT
        FROM payloads SEMI JOIN unneeded USING (day, person, hash) WHERE project = ?""",
        [purge.project] * 3,
    ).fetchall()[0]
    return Purged(
        spans=spans,
        traces=traces,
        scores=scalar(cursor, "SELECT count(*) FROM gone_scores"),
        messages=counted,
        message_bytes=size,
    )


def _references(spans: str) -> str:
    """A query for the payloads that some spans refer to."""
    lists = (f"unnest({name})" for name in schema.HASHES.values())
    return " UNION ".join(
        f"SELECT day, coalesce(user_id, '') AS person, {column} AS hash FROM {spans}"
        for column in (*lists, *schema.LONG.values())
    )
