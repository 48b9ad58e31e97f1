"""Transactions over the records database.

Invariant: what a `write()` touched is visible to every listener before `write()` returns to its caller.

SQLite runs in WAL mode with two engines: readers are `query_only` and see a consistent snapshot each; writers begin
IMMEDIATE, one at a time, so that none fails half-way because another came first. `synchronous=FULL`, because what an
API answered (a key revoked, a release set) must outlive a power cut; writes come at the speed of people and of batches,
and pay one fsync each. See docs/decisions/0020-records-on-sqlite.md.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from assay.errors import MissingExtra, Unavailable, Unusable
from assay.records import auditing
from assay.records.upgrade import current_revision, is_current, migrate

Listener = Callable[[frozenset[str]], None]
_TOUCHED = "assay.touched"
_BUSY_MS = 10_000
"""How long SQLite waits for another process's write lock."""
_WRITER_WAIT_S = 30.0
"""How long a thread waits for another thread's transaction."""


def touch(tx: Connection, name: str) -> None:
    """Mark what this write transaction changed (a snapshot part's name); listeners hear of it after the commit."""
    try:
        tx.info[_TOUCHED].add(name)
    except KeyError:
        raise RuntimeError(f"touch({name!r}) outside records.write()") from None


class Records:
    """The records database behind one URL: `sqlite:////abs/path/records.sqlite` or `postgresql+psycopg://…`."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        if self.dialect == "sqlite":
            self._reader, self._writer = _sqlite_engines(self.url)
        elif self.dialect == "postgresql":
            self._reader, self._writer = _postgresql_engines(self.url)
        else:
            raise Unusable(
                f"Records cannot be kept in {self.dialect!r}",
                hint="database_url is sqlite:///… or postgresql+psycopg://…",
            )
        self._listeners: list[Listener] = []
        self._observer: auditing.Observer | None = None
        auditing.watch(self._writer)
        self._turn = threading.Lock()
        self._turn_of: int | None = None

    @classmethod
    def in_directory(cls, data: Path) -> "Records":
        """The default: SQLite in the data directory, which is made if need be."""
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(f"sqlite:///{(data / 'records.sqlite').resolve()}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction that sees one state of the database throughout."""
        with self._reader.connect() as tx, tx.begin():
            yield tx

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed at exit, rolled back on any exception, then the listeners are told.

        Keep it short: on SQLite others wait for their turn. Never await inside it, never nest it.
        """
        with self._taking_turns(), self._writer.connect() as tx:
            tx.info[_TOUCHED] = set()
            auditing.begin(tx)
            try:
                with tx.begin():
                    yield tx
                    if self._observer is not None and (changes := auditing.collect(tx)):
                        self._observer(tx, changes)
                touched = frozenset(tx.info[_TOUCHED])
            finally:
                tx.info.pop(_TOUCHED, None)
                auditing.end(tx)
        if touched:
            for listener in self._listeners:
                listener(touched)

    def on_commit(self, listener: Listener) -> None:
        """Call `listener` with the touched names after each commit that touched something, in the writer's thread."""
        self._listeners.append(listener)

    def observe(self, observer: auditing.Observer) -> None:
        """Tell this one what each write changed, inside its transaction and before it commits."""
        self._observer = observer

    def upgrade(self, *, before: Callable[[str], None] = lambda found: None) -> None:
        """Bring the schema to this release's. Costs one query when it is there already.

        `before` is called with the revision that was found before anything changes; not for an empty database. Raises
        `Unusable` if the database was written by a newer release.
        """
        with self.read() as tx:
            if is_current(tx):
                return
            found = current_revision(tx)
        if found is not None:
            before(found)
        with self.write() as tx:
            migrate(tx)

    def close(self) -> None:
        """Close every connection; on SQLite this also folds the write-ahead log into the file."""
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        if self.dialect != "sqlite":
            yield
            return
        me = threading.get_ident()
        if self._turn_of == me:
            raise RuntimeError("records.write() inside records.write(): pass the transaction on instead")
        if not self._turn.acquire(timeout=_WRITER_WAIT_S):
            raise Unavailable(
                f"Another write to the records has lasted over {_WRITER_WAIT_S:.0f} s", hint="Try again."
            )
        self._turn_of = me
        try:
            yield
        finally:
            self._turn_of = None
            self._turn.release()


def _sqlite_engines(url: URL) -> tuple[Engine, Engine]:
    path = url.database
    if not path or path == ":memory:":
        raise Unusable("Records need a file: an in-memory SQLite database has no second reader")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives -wal and -shm the same mode
    except OSError as error:
        raise Unusable(
            f"{path} cannot be opened: {error.strerror}", hint="Check the data directory's owner and mode."
        ) from error
    writer = create_engine(url, pool_size=1, max_overflow=0)
    reader = create_engine(url, pool_size=8, max_overflow=8)
    for engine, start in ((writer, "BEGIN IMMEDIATE"), (reader, "BEGIN")):
        _prepare_sqlite(engine, start, query_only=engine is reader)
    return reader, writer


def _prepare_sqlite(engine: Engine, start: str, *, query_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
        for pragma in (
            f"busy_timeout={_BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"query_only={'ON' if query_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(start)


def _postgresql_engines(url: URL) -> tuple[Engine, Engine]:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        writer = create_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise MissingExtra("PostgreSQL", extra="server") from error
    return writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True), writer
