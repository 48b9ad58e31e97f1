"""The store's DuckDB: one connection that writes, a cursor for each question, and the sealed files that belong to it.

Invariant: a question sees one state. It reads in one transaction which files counted when that began, and no file is
deleted while a question that may need it runs. A file is written and fsynced under a name that `doomed_files` already
holds; the transaction that makes it count takes the name out, and puts those of the files it replaces in. So a crash at
any step leaves every row in exactly one place, and what is doomed is deleted at the next start.
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import Unavailable, Unusable
from assay.spans.duckdb import layout
from assay.spans.duckdb.gate import Gate
from assay.spans.duckdb.sealed import EVERYWHERE, KINDS, Kind, Scope, SealedFile, literal, read_files, views
from assay.spans.types import StoreDown, Unstorable

log = logging.getLogger(__name__)

Connection = duckdb.DuckDBPyConnection
_NEVER = (duckdb.DataError, duckdb.InvalidInputException, ValueError, TypeError, OverflowError)
_GENERATIONS = 4
"""How many lists of files are remembered: the current one, and those of questions that began before."""


class Engine:
    """Opens the file and keeps it open. `opened` is called with each new connection."""

    def __init__(
        self,
        path: Path,
        *,
        memory_mb: int,
        threads: int | None,
        opened: Callable[[Connection], None],
        before_upgrade: layout.BeforeUpgrade,
    ) -> None:
        """Raises `Unusable` when it is held by another process, damaged, or from a newer Assay."""
        self.path = path.resolve()
        self.folder = self.path.with_name("sealed")
        self.work = self.folder / ".work"
        self.missing: tuple[str, ...] = ()
        """files that should be there and are not"""
        self._memory_mb = memory_mb
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._opened = opened
        self._before_upgrade = before_upgrade
        self._writing = threading.Lock()
        self._changing = threading.Lock()
        self._gate = Gate()
        self._known: dict[int, tuple[SealedFile, ...]] = {}
        self._retired: list[tuple[int, str]] = []
        try:
            self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.connection = self._connect()
            self._tidy()
        except (duckdb.Error, OSError) as error:
            raise Unusable(
                f"The span store {str(path)!r} cannot be opened: {error}",
                hint="Is another server running on this data directory?",
            ) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The connection, for one at a time; what fails there is sorted into never and later."""
        with self._writing:
            try:
                yield self.connection
            except (duckdb.FatalException, duckdb.ConnectionException) as error:
                self._reconnect()
                raise StoreDown(f"The span store failed: {error}") from error
            except _NEVER as error:
                raise Unstorable(f"{type(error).__name__}: {error}") from error
            except duckdb.Error as error:
                raise StoreDown(f"The span store cannot be written: {error}") from error

    @contextmanager
    def reading(self, scope: Scope = EVERYWHERE, *, kinds: Sequence[Kind] = KINDS) -> Iterator[Connection]:
        """A cursor in a transaction of its own, where the views of these kinds show what lies in the scope."""
        with self._gate.entering():
            try:
                cursor = self.connection.cursor()
            except (duckdb.Error, AttributeError) as error:  # AttributeError: it has been closed
                raise Unavailable(f"The span store cannot be read: {error}", hint="See /readyz.") from error
            try:
                cursor.begin()
                self.look(cursor, scope, kinds=kinds)
                yield cursor
            finally:
                with suppress(duckdb.Error):
                    cursor.close()

    @contextmanager
    def changing(self, names: Sequence[str] = (), *, alone: bool = False) -> Iterator[Connection]:
        """A cursor in a transaction that replaces files; one at a time, beside the writer unless `alone`. Commits at the
        end.

        `names` are files that will be written: they are doomed until the transaction takes them out of `doomed_files`.
        """
        with self._changing, self._writing if alone else nullcontext(), self._gate.entering():
            cursor = self.connection.cursor()
            try:
                if names:
                    cursor.execute("INSERT INTO doomed_files SELECT unnest(?)", [list(names)])
                # Else a day's messages are gathered in memory before the first is written to a file.
                cursor.execute("SET preserve_insertion_order = false")
                cursor.begin()
                yield cursor
                cursor.execute("UPDATE layout SET generation = generation + 1")
                gone = cursor.execute("SELECT file FROM doomed_files").fetchall()
                cursor.commit()
            except BaseException:
                with suppress(duckdb.Error):
                    cursor.rollback()
                raise
            finally:
                with suppress(duckdb.Error):
                    cursor.close()
            since = self._gate.advance()
            known = {file for _, file in self._retired}
            self._retired += [(since, file) for (file,) in gone if file not in known]
        self.sweep()

    def files(self) -> tuple[SealedFile, ...]:
        """The files that count now."""
        with self.reading(kinds=()) as cursor:
            return self.files_in(cursor)

    def look(self, cursor: Connection, scope: Scope, *, kinds: Sequence[Kind] = KINDS) -> None:
        """Make the views of a connection show what lies in the scope."""
        files = [file for file in self.files_in(cursor) if file.kind in kinds and scope.may_hold(file)]
        if files:
            cursor.execute(views(files, self.folder, tuple(dict.fromkeys(file.kind for file in files))))

    def forget_views(self, cursor: Connection) -> None:
        """Make the names of a connection mean the hot tables alone again."""
        cursor.execute(
            "".join(f"DROP VIEW IF EXISTS temp.{name};" for name in ("calls", "live_spans", *KINDS))
        )

    def sweep(self) -> None:
        """Delete retired files that no question needs any more."""
        with self._changing:
            oldest = self._gate.oldest()
            ready = [file for since, file in self._retired if oldest is None or oldest >= since]
            self._retired = [(since, file) for since, file in self._retired if file not in ready]
            if ready:
                self._delete(self.connection.cursor(), ready)

    def swap(self, copy: Callable[[Connection, str], None]) -> int:
        """Put a smaller copy of the file in its place; `copy` fills an attached, empty database of that name.

        Returns the bytes given back; 0 when questions that ran on and on left no moment for it.
        """
        fresh = self.work / "fresh.duckdb"
        with self._changing, self._writing:
            before = self.path.stat().st_size
            self._remove(fresh)
            cursor = self.connection.cursor()
            cursor.execute(f"ATTACH {literal(fresh)} AS fresh")
            copy(cursor, "fresh")
            cursor.execute("DETACH fresh")
            cursor.close()
            _sync(fresh)
            with self._gate.alone(timeout_s=2.0) as is_alone:
                if not is_alone:
                    self._remove(fresh)
                    return 0
                self.connection.close()
                # A log that is left would be replayed into the new file.
                if not self.path.with_name(self.path.name + ".wal").exists():
                    fresh.replace(self.path)
                    _sync(self.path.parent)
                self.connection = self._connect()
        return max(0, before - self.path.stat().st_size)

    def close(self) -> None:
        """Let go of the files."""
        with self._writing:
            self.connection.close()
            del self.connection

    def _connect(self) -> Connection:
        connection = duckdb.connect(
            str(self.path),
            config={
                "memory_limit": f"{self._memory_mb}MB",
                "threads": self._threads,
                "temp_directory": str(self.path.with_suffix(".tmp")),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            connection.execute("SET GLOBAL parquet_metadata_cache = true")
            connection.execute(f"SET allowed_directories = [{literal(self.folder)}]")
            connection.execute("SET enable_external_access = false")
            layout.prepare(connection, self.path, self._before_upgrade)
            self._opened(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reconnect(self) -> None:
        """After a fatal error DuckDB refuses everything until the file is opened again."""
        self.connection.close()
        try:
            self.connection = self._connect()
        except duckdb.Error as error:
            raise StoreDown(f"The span store cannot be opened again: {error}") from error

    def _tidy(self) -> None:
        """Finish what a crash interrupted."""
        shutil.rmtree(self.work)
        self.work.mkdir(mode=0o700)
        doomed = self.connection.execute("SELECT file FROM doomed_files").fetchall()
        self._delete(self.connection.cursor(), [file for (file,) in doomed])
        self.missing = tuple(
            file.file for file in read_files(self.connection) if not (self.folder / file.file).exists()
        )
        for file in self.missing:
            log.error("%s is not there: what it held cannot be shown. Bring it back from a backup.", file)

    def files_in(self, cursor: Connection) -> tuple[SealedFile, ...]:
        """The files that count in the transaction of a cursor."""
        generation = cursor.execute("SELECT generation FROM layout").fetchall()[0][0]
        known = self._known.get(generation)
        if known is None:
            known = tuple(file for file in read_files(cursor) if file.file not in self.missing)
            self._known = {
                **dict(sorted(self._known.items())[-_GENERATIONS + 1 :]),
                generation: known,
            }
        return known

    def _delete(self, cursor: Connection, names: Sequence[str]) -> None:
        for name in names:
            self._remove(self.folder / name)
        cursor.execute("DELETE FROM doomed_files WHERE file IN (SELECT unnest(?))", [list(names)])
        cursor.close()

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        for parent in (path.parent, path.parent.parent):  # the folders of its day and its project
            if self.folder in parent.parents and parent != self.work:
                with suppress(OSError):
                    parent.rmdir()


def sync_new(path: Path, folder: Path) -> None:
    """Bring a new file to the medium, and its name in each directory up to the folder."""
    _sync(path)
    for parent in path.parents:
        _sync(parent)
        if parent == folder:
            return


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def scalar(cursor: Connection, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """The one value that a statement answers."""
    return cursor.execute(sql, list(parameters)).fetchall()[0][0]
