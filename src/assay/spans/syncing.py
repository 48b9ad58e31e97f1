"""Group fsync: one thread that brings what was written to the medium, soon, or at once when somebody waits."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from assay.spans.disk import Disk
from assay.spans.segments import Position

_PROBE_EVERY_S = 0.25


class _Waiter(NamedTuple):
    sequence: int
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[bool]"


class GroupSync:
    """Knows the file that is written to and how far; everybody who waits when an fsync begins shares it."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        *,
        fd: int,
        written: Position,
        every_s: float,
        is_sick: Callable[[], bool],
        probe: Callable[[], None],
    ) -> None:
        """While `is_sick`, `probe` is called a few times a second."""
        self.synced = Position(written.segment)
        self.fault: str | None = None
        self._disk = disk
        self._directory = directory
        self._every_s = every_s
        self._is_sick = is_sick
        self._probe = probe
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._dirty = threading.Event()
        self._urgent = threading.Event()
        self._stopping = False
        self._fd = fd
        self._written = written
        self._retired: list[int] = []
        self._waiters: list[_Waiter] = []
        self._doubtful: list[range] = []
        self._thread = threading.Thread(target=self._run, name="assay-spool-sync", daemon=True)

    def start(self) -> None:
        """Bring what is there to the medium and begin."""
        self.sync_now()
        self._thread.start()

    def written(self, position: Position) -> None:
        """The current file has grown to `position`."""
        self._written = position
        if not self._dirty.is_set():
            self._dirty.set()

    def switched(self, fd: int, position: Position) -> None:
        """Writing goes on in a new file. The old one is fsynced and closed here."""
        with self._lock:
            self._retired.append(self._fd)
            self._fd, self._written = fd, position
        self.wake()

    def wake(self) -> None:
        """Look at things now rather than at the next write."""
        self._dirty.set()

    def covers(self, sequence: int) -> bool:
        """Whether the record is known to be on the medium."""
        return sequence <= self.synced.sequence and not self._is_doubtful(sequence)

    async def wait(self, sequence: int) -> bool:
        """True when an fsync covered the record, False when that fsync failed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        with self._lock:
            if sequence <= self.synced.sequence or self._is_doubtful(sequence):
                return not self._is_doubtful(sequence)
            self._waiters.append(_Waiter(sequence, loop, future))
        self._urgent.set()
        self._dirty.set()
        return await future

    def sync_now(self) -> None:
        """Fsync on this thread. A failure is kept in `fault` and answers the waiters with False."""
        with self._running:
            with self._lock:
                fd, target, retired = self._fd, self._written, self._retired
                self._retired = []
            try:
                if target.segment != self.synced.segment or not self.synced.sequence:
                    self._disk.sync_directory(self._directory)
                for old in retired:
                    self._disk.sync(old)
                self._disk.sync(fd)
                self.fault, succeeded = None, True
            except OSError as error:
                self.fault, succeeded = f"fsync: {error.strerror or error}", False
            for old in retired:
                os.close(old)
            self._settle(target, succeeded)

    def close(self) -> None:
        """A last fsync, then the thread ends."""
        self._stopping = True
        self._urgent.set()
        self._dirty.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            if not self._dirty.wait(_PROBE_EVERY_S if self._is_sick() else None):
                self._probe()
                continue
            self._urgent.wait(self._every_s)
            self._dirty.clear()
            self._urgent.clear()
            self.sync_now()
        self.sync_now()

    def _settle(self, target: Position, succeeded: bool) -> None:
        with self._lock:
            if succeeded:
                self.synced = max(self.synced, target)
            elif target.sequence > self.synced.sequence:
                self._doubtful.append(range(self.synced.sequence + 1, target.sequence + 1))
            ready = [waiter for waiter in self._waiters if waiter.sequence <= target.sequence]
            self._waiters = [waiter for waiter in self._waiters if waiter.sequence > target.sequence]
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[bool], bool]]] = {}
        for waiter in ready:
            kept = succeeded and not self._is_doubtful(waiter.sequence)
            by_loop.setdefault(waiter.loop, []).append((waiter.future, kept))
        for loop, answers in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop of whoever waited has been closed
                loop.call_soon_threadsafe(_answer, answers)

    def _is_doubtful(self, sequence: int) -> bool:
        return any(sequence in doubtful for doubtful in self._doubtful)


def _answer(answers: "list[tuple[asyncio.Future[bool], bool]]") -> None:
    for future, kept in answers:
        if not future.done():
            future.set_result(kept)
