"""Where answers are kept for a while: in memory up to a bound, and behind it in a log on the disk.

What was used last stays in memory; what has gone from there, or was kept before a restart, is read from the disk in a thread.
"""

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from assay.calls.cache_log import CacheLog, Place
from assay.kit.clock import SYSTEM, Clock

SWEPT_EVERY_S = 60.0
_MIB = 1 << 20
_OVERHEAD_BYTES = 300
"""What an entry takes besides its value."""


class _Held(NamedTuple):
    value: bytes
    scope: str
    expires_ns: int


class ShelfSize(NamedTuple):
    """What lies there. `bytes` are those of the answers themselves."""

    entries: int
    bytes: int


class Shelf:
    """Values by digest, each of a scope (a project) and until a moment. Lives on one event loop."""

    def __init__(self, *, memory_bytes: int, disk: CacheLog | None = None, clock: Clock = SYSTEM) -> None:
        """Without a `disk` a restart empties it."""
        self._memory_bytes = memory_bytes
        self._disk = disk
        self._clock = clock
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._bytes = 0
        self._swept_s = clock.monotonic()

    def find(self, digest: bytes) -> bytes | Place | None:
        """The value, or where on the disk it lies (for `read`), or None. Never waits."""
        held = self._held.get(digest)
        if held is None:
            return None if self._disk is None else self._disk.find(digest)
        if held.expires_ns <= self._clock.now_ns():
            self._let_go(digest)
            return None
        self._held.move_to_end(digest)
        return held.value

    async def read(self, digest: bytes, place: Place) -> bytes | None:
        """The value that `find` found on the disk; None when it has gone meanwhile or is damaged."""
        assert self._disk is not None
        value = await asyncio.to_thread(self._disk.read, place)
        if value is None:
            self._disk.forget(digest)
        elif self._disk.find(digest) == place:
            self._hold(digest, _Held(value, place.scope, place.expires_ns))
        return value

    async def get(self, digest: bytes) -> bytes | None:
        """The value, wherever it lies."""
        found = self.find(digest)
        return await self.read(digest, found) if isinstance(found, Place) else found

    def put(self, digest: bytes, scope: str, value: bytes, *, ttl_s: float) -> None:
        """Keep it. What fits neither in memory nor on the disk is not kept."""
        expires_ns = self._clock.now_ns() + int(ttl_s * 1e9)
        self._let_go(digest)
        self._hold(digest, _Held(value, scope, expires_ns))
        if self._disk is not None:
            self._disk.forget(digest)
            self._disk.put(digest, scope, value, expires_ns=expires_ns)
        if self._clock.monotonic() - self._swept_s > SWEPT_EVERY_S:
            self.sweep()

    def clear(self, scope: str | None = None) -> int:
        """Forget everything of the scope, or of all; how many entries that were."""
        gone = [digest for digest, held in self._held.items() if scope in (None, held.scope)]
        for digest in gone:
            self._let_go(digest)
        return len(gone) if self._disk is None else self._disk.clear(scope)

    def size(self, scope: str | None = None) -> ShelfSize:
        """What lies there now."""
        now_ns = self._clock.now_ns()
        sizes = (
            self._disk.sizes()
            if self._disk is not None
            else ((held.scope, len(held.value)) for held in self._held.values() if held.expires_ns > now_ns)
        )
        found = [size for owner, size in sizes if scope in (None, owner)]
        return ShelfSize(len(found), sum(found))

    @property
    def memory_bytes(self) -> int:
        """In memory now."""
        return self._bytes

    @property
    def disk_bytes(self) -> int | None:
        """On the disk now; None without one."""
        return None if self._disk is None else self._disk.size_bytes

    def sweep(self) -> None:
        """Let go of what has expired."""
        self._swept_s, now_ns = self._clock.monotonic(), self._clock.now_ns()
        for digest in [digest for digest, held in self._held.items() if held.expires_ns <= now_ns]:
            self._let_go(digest)
        if self._disk is not None:
            self._disk.sweep()

    def close(self) -> None:
        """Close the files."""
        if self._disk is not None:
            self._disk.close()

    def _hold(self, digest: bytes, held: _Held) -> None:
        size = len(held.value) + _OVERHEAD_BYTES
        if size > self._memory_bytes:
            return
        self._held[digest] = held
        self._bytes += size
        while self._bytes > self._memory_bytes:
            self._let_go(next(iter(self._held)))

    def _let_go(self, digest: bytes) -> None:
        held = self._held.pop(digest, None)
        if held is not None:
            self._bytes -= len(held.value) + _OVERHEAD_BYTES


def open_shelf(folder: Path, *, memory_mb: float, disk_mb: float) -> Shelf:
    """A shelf with its log in this folder, and with none where it may take nothing of the disk."""
    disk = CacheLog(folder, max_bytes=int(disk_mb * _MIB)) if disk_mb > 0 else None
    return Shelf(memory_bytes=int(memory_mb * _MIB), disk=disk)
