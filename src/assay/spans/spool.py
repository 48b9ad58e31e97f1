"""The spool: an append-only log on disk, the only thing between an acknowledged call and its loss.

`append` writes a record to the page cache on the calling thread (one `write`): from then on a killed process loses
nothing. A thread of its own fsyncs in groups at most 20 ms later, and at once when somebody waits in `kept`. A write that
fails is cut back to the last whole record, so no later record ever follows a half one.
"""

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NewType

import msgspec

from assay.errors import Unavailable, Unusable
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.spans import framing, segments
from assay.spans.disk import Disk, SystemDisk
from assay.spans.encoding import encode
from assay.spans.segments import Position
from assay.spans.syncing import GroupSync
from assay.wire.spans import Event

log = logging.getLogger(__name__)

Receipt = NewType("Receipt", int)
"""Which record an `append` wrote: its sequence number."""

_RETRY_S = 0.02
_PROBE_BYTES = 64 << 10
_FREE_FOR_S = 1.0


class SpoolState(msgspec.Struct, frozen=True):
    """How the spool is, for `/readyz`, the pages and metrics. `hold` is the collector's reason to refuse telemetry."""

    healthy: bool
    fault: str | None
    hold: str | None
    backlog_bytes: int
    free_disk_bytes: int | None
    last_sequence: int
    lost_calls: int
    torn_bytes: int


class Spool:
    """The one writer of a spool directory. Any thread may append; `append` never waits for the medium."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 16 << 20,
        max_backlog_bytes: int = 4096 << 20,
        min_free_bytes: int = 64 << 20,
        sync_every_s: float = 0.01,
        disk: Disk | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        """Open or make the directory, repair its end and start the fsync thread.

        Raises `Unusable` when another process holds the directory or when it cannot be written.
        """
        self.directory = directory
        self.lost_calls = 0
        self.torn_bytes = 0
        self._disk = disk or SystemDisk()
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._max_backlog_bytes = max_backlog_bytes
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        self._fault: str | None = None
        self._hold: str | None = None
        self._sealed: dict[int, int] = {}
        self._written = Position(1)
        self._drained = Position(1)
        self._fd = -1
        self._closed = False
        self._must_switch = False
        self._free: tuple[float, int | None] = (float("-inf"), None)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._holder = _hold_directory(directory)
            self.id = _identity(directory, self._disk)
            self._open_last()
            (directory / "probe").unlink(missing_ok=True)
        except OSError as error:
            raise Unusable(
                f"The spool {str(directory)!r} cannot be opened: {error}",
                hint="Check the disk and who owns the directory.",
            ) from error
        self._sync = GroupSync(
            self._disk,
            directory,
            fd=self._fd,
            written=self._written,
            every_s=sync_every_s,
            is_sick=lambda: self.fault is not None,
            probe=self._probe,
        )
        self._sync.start()

    @property
    def fault(self) -> str | None:
        """Why nothing can be kept just now, or None."""
        return self._fault or self._sync.fault

    @property
    def last_sequence(self) -> int:
        """The newest record's sequence number; 0 before the first."""
        return self._written.sequence

    @property
    def synced(self) -> Position:
        """The end of what is on the medium. Readers stop here, so that no store knows what a power cut could undo."""
        return self._sync.synced

    @property
    def backlog_bytes(self) -> int:
        """Bytes that no collector has drained yet."""
        with self._lock:
            waiting = sum(size for first, size in self._sealed.items() if first >= self._drained.segment)
            return max(0, waiting + self._written.offset - self._drained.offset)

    @property
    def state(self) -> SpoolState:
        """All that matters, at one look."""
        return SpoolState(
            healthy=self.fault is None,
            fault=self.fault,
            hold=self._hold,
            backlog_bytes=self.backlog_bytes,
            free_disk_bytes=self._free_bytes(),
            last_sequence=self.last_sequence,
            lost_calls=self.lost_calls,
            torn_bytes=self.torn_bytes,
        )

    def append(self, events: Sequence[Event]) -> Receipt | None:
        """Write one record to the page cache. None when it could not be written: then nothing of it is on disk."""
        buffer = framing.reserve()
        encode(events, buffer, framing.HEADER_BYTES)
        with self._lock:
            if self._closed:
                return None
            try:
                if self._must_switch or self._written.offset >= self._segment_bytes:
                    self._switch()
                at = self._written
                framing.seal(buffer, at.sequence + 1, self._clock.now_ns())
                self._write(buffer)
            except OSError as error:
                self._cut_back(error)
                return None
            self._written = Position(at.segment, at.offset + len(buffer), at.sequence + 1)
            self._fault = None
            self._sync.written(self._written)
        return Receipt(at.sequence + 1)

    async def append_or_wait(self, events: Sequence[Event], *, timeout_s: float = 0.25) -> Receipt | None:
        """`append`, tried again until it succeeds or the time is over; then the loss is counted and None returned."""
        until = self._clock.monotonic() + timeout_s
        while (receipt := self.append(events)) is None:
            if self._clock.monotonic() >= until or self._closed:
                self.lost_calls += 1
                log.error("A call could not be kept: %s", self._fault or "the spool is closed")
                return None
            await self._clock.sleep(_RETRY_S)
        return receipt

    async def kept(self, receipt: Receipt) -> bool:
        """Wait until the record is on the medium. False when the fsync that should have brought it there failed."""
        return self._sync.covers(receipt) or await self._sync.wait(receipt)

    def flush(self) -> None:
        """Fsync now, on this thread. A failure shows in `fault`."""
        if not self._closed:
            self._sync.sync_now()

    def admit_telemetry(self) -> None:
        """Raise `refusal()` when there is one."""
        if (refused := self.refusal()) is not None:
            raise refused

    def refusal(self) -> Unavailable | None:
        """Why telemetry must not be taken now: it could not be kept, or would fill the disk. None when it may."""
        if self.fault is not None:
            return Unavailable(
                f"Nothing can be kept: {self.fault}.",
                hint="Free space or repair the disk, then send it again.",
            )
        if self._hold is not None:
            return Unavailable(
                f"The collector is stuck: {self._hold}.", hint="See /readyz; send it again later."
            )
        if (backlog := self.backlog_bytes) > self._max_backlog_bytes:
            return Unavailable(
                f"{backlog >> 20} MiB wait to be collected; max_spool_mb is {self._max_backlog_bytes >> 20}.",
                hint="Send it again when the collector has caught up, or raise max_spool_mb.",
            )
        free = self._free_bytes()
        if free is not None and free < self._min_free_bytes:
            return Unavailable(
                f"{free >> 20} MiB of disk are free; min_free_disk_mb is {self._min_free_bytes >> 20}.",
                hint="Free space on the data directory's disk, then send it again.",
            )
        return None

    def admit_strict(self) -> None:
        """Raise `Unavailable` while nothing can be kept: for calls that must not go upstream unless their span is."""
        if self.fault is not None:
            raise Unavailable(
                f'Nothing can be kept: {self.fault}, and durability is "strict".',
                hint="Free space or repair the disk, then call again.",
            )

    def hold_telemetry(self, reason: str | None) -> None:
        """The collector says that it is stuck, and why, or (None) that it goes on."""
        self._hold = reason

    def release(self, position: Position) -> None:
        """Everything up to `position` is in the store: delete the segments that are used up."""
        with self._lock:
            self._drained = max(self._drained, position)
            used_up = [first for first in self._sealed if first < position.segment]
        for first in used_up:
            segments.path_of(self.directory, first).unlink(missing_ok=True)
            with self._lock:
                self._sealed.pop(first, None)

    def begin_segment(self) -> None:
        """Let the next record begin a new file, so that the one until now can be deleted once it is collected."""
        with self._lock:
            if self._written.offset and not self._closed:
                self._must_switch = True

    def close(self) -> None:
        """Fsync, stop the thread and let go of the directory. Appending afterwards returns None."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._sync.close()
        os.close(self._fd)
        os.close(self._holder)

    def _open_last(self) -> None:
        known = segments.list_segments(self.directory)
        first = known[-1] if known else 1
        path = segments.path_of(self.directory, first)
        self._fd = self._disk.open_append(path)
        self._sealed = {first: segments.path_of(self.directory, first).stat().st_size for first in known[:-1]}
        self._drained = Position(known[0] if known else first)
        found = segments.repair(path)
        if found.torn:
            self.torn_bytes = len(found.torn)
            aside = self.directory / "torn" / f"{path.stem}-{found.size}.bin"
            aside.parent.mkdir(exist_ok=True)
            aside.write_bytes(found.torn)
            log.warning(
                "%d bytes of an unfinished record were cut off %s; a copy is in %s",
                len(found.torn),
                path,
                aside,
            )
        last = first - 1 if found.last_sequence is None else found.last_sequence
        self._written = Position(first, found.size, last)

    def _switch(self) -> None:
        first = max(self._written.sequence, self._written.segment) + 1
        fd = self._disk.open_append(segments.path_of(self.directory, first))
        self._sealed[self._written.segment] = self._written.offset
        self._fd = fd
        self._written = Position(first, 0, first - 1)
        self._must_switch = False
        self._sync.switched(fd, self._written)

    def _write(self, buffer: bytearray) -> None:
        done = self._disk.write(self._fd, buffer)
        while done < len(buffer):
            with memoryview(buffer) as view:
                done += self._disk.write(self._fd, view[done:])

    def _cut_back(self, error: OSError) -> None:
        if self._fault is None:
            log.error("The spool cannot be written: %s", error)
        self._fault = error.strerror or str(error)
        try:
            self._disk.truncate(self._fd, self._written.offset)
        except OSError:
            self._must_switch = (
                True  # the half record stays at the end of its file, where readers step over it
            )
        self._sync.wake()

    def _probe(self) -> None:
        """While nothing is appended, find out whether there is room again."""
        path = self.directory / "probe"
        try:
            fd = self._disk.open_append(path)
            try:
                if self._disk.write(fd, bytes(_PROBE_BYTES)) < _PROBE_BYTES:
                    return
                self._disk.sync(fd)
            finally:
                os.close(fd)
        except OSError:
            return
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        if self._sync.fault is not None:
            self._must_switch = True
            self._sync.fault = None
        self._fault = None
        log.warning("The spool can be written again.")

    def _free_bytes(self) -> int | None:
        looked_at, free = self._free
        now = self._clock.monotonic()
        if now - looked_at >= _FREE_FOR_S:
            try:
                free = self._disk.free_bytes(self.directory)
            except OSError:
                free = None
            self._free = (now, free)
        return free


def _hold_directory(directory: Path) -> int:
    fd = os.open(directory / "writer.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise Unusable(
            f"Another process writes to the spool {str(directory)!r}",
            hint="Stop it, or choose another data directory.",
        ) from error
    return fd


def _identity(directory: Path, disk: Disk) -> str:
    """A name that a new directory gets once: positions in the store belong to it, not to a path."""
    path = directory / "id"
    if path.exists() and (name := path.read_text().strip()):
        return name
    name = ids.uuid7()
    fd = disk.open_append(path)
    try:
        disk.write(fd, name.encode())
        disk.sync(fd)
    finally:
        os.close(fd)
    disk.sync_directory(directory)
    return name
