"""Bringing what an earlier release kept to this release's form, with a way back.

A server does it by itself when it starts: it first copies the records and the days that are not sealed to
`backups/before-upgrade-…` in the data directory, then takes every step in a transaction. Records in PostgreSQL may be
shared with servers of the earlier release, and only their owner can back them up: there a server refuses to start and says
so, and `assay upgrade` takes the steps.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from assay.catalog import load_config
from assay.directory import Directory
from assay.errors import Unusable
from assay.kit.clock import SYSTEM, Clock, rfc3339
from assay.operations.backup import FOLDER
from assay.records import Records
from assay.records.upgrade import revisions
from assay.settings import Settings, load
from assay.spans import DuckDBStore
from assay.spans.duckdb import schema

_KEPT = 3
"""How many copies from before upgrades are kept."""
_PREFIX = "before-upgrade-"


class Upgraded(msgspec.Struct, frozen=True):
    """What was done: from and to of the records' revision and of the span store's layout, None where nothing was; and
    where the copy from before is."""

    records: tuple[str, str] | None
    spans: tuple[int, int] | None
    copy: Path | None

    def __bool__(self) -> bool:
        return self.records is not None or self.spans is not None


class Upgrade:
    """One start's upgrade. Its two methods are called by whoever opens the records and the store, before they change them."""

    def __init__(
        self, data: Path, *, with_copy: bool = True, by_hand: bool = False, clock: Clock = SYSTEM
    ) -> None:
        """`by_hand` says that a person asked for it, who has seen to a backup of what lies in PostgreSQL."""
        self._data = data
        self._with_copy = with_copy
        self._by_hand = by_hand
        stamp = rfc3339(clock.now_ns())[:19].replace(":", "")
        self._folder = data / FOLDER / f"{_PREFIX}{stamp}"
        self._records: tuple[str, str] | None = None
        self._spans: tuple[int, int] | None = None

    @property
    def done(self) -> Upgraded:
        """What it came to."""
        return Upgraded(self._records, self._spans, self._folder if self._folder.exists() else None)

    def before_records(self, records: Records, found: str) -> None:
        """Copy the records. Raises `Unusable` for those in PostgreSQL that nobody asked to upgrade."""
        if records.dialect == "sqlite":
            self._copy(self._data / "records.sqlite", _copy_sqlite)
        elif not self._by_hand:
            raise Unusable(
                f"The records are at revision {found}, this release needs {revisions()[-1]}",
                hint="Back them up with pg_dump, stop every server of the earlier release, then: assay upgrade",
            )
        self._records = (found, revisions()[-1])

    def before_spans(self, path: Path, found: int) -> None:
        """Copy the store's file, which nobody writes to just now. Sealed days never change."""
        self._copy(path, shutil.copyfile)
        self._spans = (found, schema.VERSION)

    def _copy(self, source: Path, copy: Callable[[Path, Path], Any]) -> None:
        if not self._with_copy:
            return
        needed, free = source.stat().st_size, shutil.disk_usage(self._data).free
        if free < 2 * needed:
            raise Unusable(
                f"There is no room for a copy of {source.name} ({needed >> 20} MiB) before the upgrade",
                hint="Free some disk, or back it up elsewhere and run: assay upgrade --no-copy",
            )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = self._folder / source.name
            copy(source, target)
            target.chmod(0o600)
            with target.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise Unusable(
                f"{source.name} cannot be copied before the upgrade: {error}", hint="Check the disk."
            ) from error
        for old in sorted((self._data / FOLDER).glob(f"{_PREFIX}*"))[:-_KEPT]:
            shutil.rmtree(old)


def upgrade(data: Path, *, with_copy: bool = True) -> Upgraded:
    """Upgrade a data directory that no server holds, and records in PostgreSQL if the settings say so.

    Raises `Unusable` when it is held, or written by a newer release.
    """
    settings = _settings(data)
    directory = Directory(settings.data_path)
    try:
        work = Upgrade(settings.data_path, with_copy=with_copy, by_hand=True)
        records = (
            Records(settings.database_url)
            if settings.database_url
            else Records.in_directory(settings.data_path)
        )
        try:
            records.upgrade(before=lambda found: work.before_records(records, found))
        finally:
            records.close()
        DuckDBStore(settings.data_path / "spans.duckdb", before_upgrade=work.before_spans).close()
        return work.done
    finally:
        directory.release()


def _settings(data: Path) -> Settings:
    return load(chosen={"data": str(data)}, environ=os.environ, file=load_config(None).server)


def _copy_sqlite(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
