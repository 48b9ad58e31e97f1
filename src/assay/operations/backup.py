"""A backup of a running server: every file of the data directory as of one moment, as a tar that is sent while it is made.

What was acknowledged before the backup began is in it. The collector is held for a moment in which the span store's
snapshot begins and the spool's files are linked, so that the store's place in the spool and the spool itself fit; sealed
days are linked too, for they never change. The records come after them: whatever a span refers to is there.
"""

import hashlib
import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

import assay
from assay.errors import Conflict, Unusable
from assay.kit import ids, json
from assay.kit.clock import SYSTEM, rfc3339
from assay.operations.manifest import FORMAT, NAME, Entry, Manifest
from assay.records import Records
from assay.spans import Collector, DuckDBStore, Spool, segments

FOLDER = "backups"
_PIECE = 1 << 20
_KEY = "secret.key"
_MODELS = "models"
_ELSEWHERE = ("records.sqlite", "spans.duckdb", "spans.tmp", "sealed", "spool")
"""Copied in ways of their own."""
_NEVER = ("lock", "control.sock", "jobs.sqlite", "cache", "replays", FOLDER)
"""Of this process alone; the queue of jobs is made anew from the records, and answers that are told again end by themselves."""
_UNFINISHED = (".part", ".tmp", "-wal", "-shm", ".wal", "-journal")
_SQLITE = b"SQLite format 3\0"


class Options(msgspec.Struct, frozen=True):
    """What goes into a backup beside the data: weights, and the key that opens the secrets."""

    models: bool = False
    key: bool = False


class _Member(msgspec.Struct, frozen=True):
    """A file of the backup: its name there, where it lies now, and how much of it counts."""

    name: str
    path: Path
    size: int


class Backups:
    """Makes backups of one data directory, one at a time."""

    def __init__(
        self,
        data: Path,
        records: Records,
        span_store: DuckDBStore,
        spool: Spool,
        collector: Collector,
        *,
        fingerprint: Callable[[], str | None] = lambda: None,
    ) -> None:
        """What an earlier process left unfinished is removed. `fingerprint` tells the secrets' key apart from others."""
        self._data = data
        self._records = records
        self._store = span_store
        self._spool = spool
        self._collector = collector
        self._fingerprint = fingerprint
        self._one = threading.Lock()
        self._work = data / FOLDER / ".work"
        shutil.rmtree(self._work, ignore_errors=True)

    def pieces(self, options: Options) -> "Pieces":
        """A backup as of now, as the pieces of a tar. Close it in every case.

        Raises `Conflict` while another is on its way, `Unusable` when the disk takes no copy.
        """
        if not self._one.acquire(blocking=False):
            raise Conflict("Another backup is on its way", hint="Wait until it has ended.")
        staging = self._work / ids.uuid7()

        def end() -> None:
            shutil.rmtree(staging, ignore_errors=True)
            self._one.release()

        try:
            staging.mkdir(parents=True, mode=0o700)
            return Pieces(self._begin(staging, options).pieces(), end)
        except BaseException as error:
            end()
            if isinstance(error, OSError):
                raise Unusable(
                    f"The backup cannot be made: {error}", hint="It needs room on the data directory's disk."
                ) from error
            raise

    def _begin(self, staging: Path, options: Options) -> "Backup":
        self._spool.flush()
        with ExitStack() as held:
            with self._collector.paused():
                snapshot = held.enter_context(self._store.snapshot())
                members = self._spooled(staging)
                last = self._spool.synced.sequence
            members += [_linked(f"sealed/{name}", path, staging) for name, path in snapshot.files]
            hot = staging / "spans.duckdb"
            snapshot.copy_hot().replace(hot)
        members.append(_member("spans.duckdb", hot))
        if self._records.dialect == "sqlite":
            members.append(_copied_sqlite("records.sqlite", self._data / "records.sqlite", staging))
        members += self._others(staging, options)
        manifest = Manifest(
            format=FORMAT,
            version=assay.__version__,
            made=rfc3339(SYSTEM.now_ns()),
            records=self._records.dialect,
            last_span=last,
            key=self._fingerprint(),
            has_key=options.key and (self._data / _KEY).exists(),
            files={},
        )
        return Backup(manifest, members)

    def _spooled(self, staging: Path) -> list[_Member]:
        """The spool as far as it is on the medium. Its files only ever grow at their end, so a link and a length will do."""
        synced = self._spool.synced
        directory = self._spool.directory
        name = f"spool/{directory.name}"
        members = [_linked(f"{name}/id", directory / "id", staging)]
        for first in segments.list_segments(directory):
            if first <= synced.segment:
                path = segments.path_of(directory, first)
                member = _linked(f"{name}/{path.name}", path, staging)
                if first == synced.segment:
                    member = msgspec.structs.replace(member, size=synced.offset)
                members.append(member)
        return members

    def _others(self, staging: Path, options: Options) -> Iterator[_Member]:
        """Whatever else there is: files of other rooms, the quarantine; of what is unfinished, nothing."""
        for path in sorted(self._data.rglob("*")):
            relative = path.relative_to(self._data)
            if path.is_symlink() or not path.is_file() or not _belongs(relative, options):
                continue
            name = relative.as_posix()
            if _is_sqlite(path):
                yield _copied_sqlite(name, path, staging)
            else:
                yield (
                    _linked(name, path, staging)
                    if relative.parts[0] == _MODELS
                    else _copied(name, path, staging)
                )


class Backup:
    """A moment of a server, as the pieces of a tar."""

    def __init__(self, manifest: Manifest, members: Sequence[_Member]) -> None:
        self.manifest = manifest
        self._members = members

    def pieces(self) -> Iterator[bytes]:
        """The tar in pieces that are never empty, to be read once. Its last member is the manifest, with what was sent."""
        files = {}
        for member in self._members:
            digest = hashlib.sha256()
            yield _head(member.name, member.size)
            with member.path.open("rb") as file:
                left = member.size
                while left:
                    piece = file.read(min(_PIECE, left))
                    if not piece:
                        raise OSError(f"{member.name} is shorter than it was")
                    digest.update(piece)
                    left -= len(piece)
                    yield piece
            if padding := _padding(member.size):
                yield padding
            files[member.name] = Entry(member.size, digest.hexdigest())
        text = json.pretty(msgspec.structs.replace(self.manifest, files=files)).encode()
        yield _head(NAME, len(text))
        yield text + _padding(len(text)) + bytes(2 * tarfile.BLOCKSIZE)


class Pieces:
    """Pieces that any thread may ask for and any other may end."""

    def __init__(self, pieces: Iterator[bytes], end: Callable[[], None]) -> None:
        self._pieces: Iterator[bytes] | None = pieces
        self._end = end
        self._lock = threading.Lock()

    def next(self) -> bytes:
        """The next piece; empty after the last."""
        with self._lock:
            return b"" if self._pieces is None else next(self._pieces, b"")

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            if self._pieces is not None:
                self._pieces = None
                self._end()


def _belongs(relative: Path, options: Options) -> bool:
    first = relative.parts[0]
    if first == _KEY:
        return options.key
    if first == _MODELS:
        return options.models and not relative.name.endswith(_UNFINISHED)
    if first == "spool":  # what a repair cut off is kept beside the segments
        return "torn" in relative.parts
    beside = first.removesuffix("-wal").removesuffix("-shm").removesuffix(".wal")
    return beside not in (*_ELSEWHERE, *_NEVER) and not relative.name.endswith(_UNFINISHED)


def _member(name: str, path: Path) -> _Member:
    return _Member(name, path, path.stat().st_size)


def _linked(name: str, path: Path, staging: Path) -> _Member:
    """The file under a second name, so that it stays when the first goes; a copy where the disk knows no links."""
    second = staging / ids.uuid7()
    try:
        os.link(path, second)
    except OSError:
        shutil.copyfile(path, second)
    return _member(name, second)


def _copied(name: str, path: Path, staging: Path) -> _Member:
    second = staging / ids.uuid7()
    shutil.copyfile(path, second)
    return _member(name, second)


def _copied_sqlite(name: str, path: Path, staging: Path) -> _Member:
    """SQLite's own copy, of one state of the database, while others write."""
    second = staging / ids.uuid7()
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(second)) as target:
        source.backup(target)
    return _member(name, second)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _head(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    member.mtime = SYSTEM.now_ns() // 1_000_000_000
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
