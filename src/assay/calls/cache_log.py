"""Entries of a cache on the disk: an append-only log in segments, whose index is in memory.

    head checksum 4 · value checksum 4 · value length 4 · expiry in ms 8 · scope length 2 · digest 32 · scope · value

Whether an entry is there costs no look at the disk, and writing one is one `write` to the page cache, so no call ever waits
for a database. A killed process loses nothing that was written. What is old goes with its whole segment: when all of it has
expired, or when the log is over its bound. An entry without a value says that all before it, of its scope or of every one,
are gone. Each start begins a new segment, so that a torn end of the last one is only the end of its reading.
"""

import contextlib
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from assay.kit.clock import SYSTEM, Clock

log = logging.getLogger(__name__)

SEGMENTS = 8
"""A segment holds this part of the bound: so much goes at once when the log is full."""
DIGEST_BYTES = 32

_CHECKSUM = Struct("<I")
_HEAD = Struct("<IIQH32s")
_NOBODY = bytes(DIGEST_BYTES)
_SUFFIX = ".cache"


class Place(NamedTuple):
    """Where an entry lies."""

    segment: int
    offset: int
    length: int
    checksum: int
    expires_ns: int
    scope: str


class _Segment:
    def __init__(self) -> None:
        self.bytes = 0
        self.last_ns = 0
        self.digests: list[bytes] = []


class CacheLog:
    """The entries in a folder that one process holds. Not thread-safe but for `read`."""

    def __init__(self, folder: Path, *, max_bytes: int, clock: Clock = SYSTEM) -> None:
        """Reads what earlier processes left there; no value is read."""
        self.fault: str | None = None
        self._folder = folder
        self._segment_bytes = max(max_bytes // SEGMENTS, 1)
        self._max_bytes = max_bytes
        self._clock = clock
        self._places: dict[bytes, Place] = {}
        self._segments: dict[int, _Segment] = {}
        self._file: int | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            if path.stem.isdigit():
                self._load(int(path.stem), path)
        self._next = max(self._segments, default=0) + 1
        self.sweep()

    def find(self, digest: bytes) -> Place | None:
        """Where the entry lies, if it is there and has not expired."""
        place = self._places.get(digest)
        if place is not None and place.expires_ns <= self._clock.now_ns():
            del self._places[digest]
            return None
        return place

    def read(self, place: Place) -> bytes | None:
        """The entry's value; None when it has gone meanwhile or is damaged. From any thread."""
        try:
            with self._path(place.segment).open("rb") as file:
                value = os.pread(file.fileno(), place.length, place.offset)
        except OSError:
            return None
        return value if zlib.crc32(value) == place.checksum else None

    def put(self, digest: bytes, scope: str, value: bytes, *, expires_ns: int) -> bool:
        """Write an entry; False when it is too large for a segment or the disk does not take it."""
        if len(value) > self._segment_bytes:
            return False
        name = scope.encode()
        written = self._append(digest, name, value, expires_ns)
        if written is None:
            return False
        number, offset = written
        place = Place(number, offset + _offset(name), len(value), zlib.crc32(value), expires_ns, scope)
        self._take(digest, place)
        return True

    def forget(self, digest: bytes) -> None:
        """The entry is not to be found any more in this process; its bytes go with their segment."""
        self._places.pop(digest, None)

    def clear(self, scope: str | None = None) -> int:
        """Forget every entry of the scope, or of all, now and for those who read the log later; how many there were.

        Whole segments without any other entry go from the disk at once.
        """
        gone = [digest for digest, place in self._places.items() if scope in (None, place.scope)]
        for digest in gone:
            del self._places[digest]
        if self._segments:
            self._append(_NOBODY, b"" if scope is None else scope.encode(), b"", 0)
        self._drop_empty()
        return len(gone)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """The scope and the bytes of every entry that has not expired."""
        now_ns = self._clock.now_ns()
        return ((place.scope, place.length) for place in self._places.values() if place.expires_ns > now_ns)

    @property
    def size_bytes(self) -> int:
        """On the disk, with what is expired and not yet gone."""
        return sum(segment.bytes for segment in self._segments.values())

    def sweep(self) -> None:
        """Remove the segments of which nothing is left."""
        now_ns = self._clock.now_ns()
        for number, segment in list(self._segments.items()):
            if segment.last_ns <= now_ns:
                self._drop(number)
        self._drop_empty()

    def close(self) -> None:
        """Nothing waits to be written."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, digest: bytes, scope: bytes, value: bytes, expires_ns: int) -> tuple[int, int] | None:
        head = _HEAD.pack(zlib.crc32(value), len(value), expires_ns // 1_000_000, len(scope), digest) + scope
        record = _CHECKSUM.pack(zlib.crc32(head)) + head + value
        try:
            if self._file is None or self._segments[self._next - 1].bytes + len(record) > self._segment_bytes:
                self._begin()
            assert self._file is not None
            segment = self._segments[self._next - 1]
            if os.write(self._file, record) != len(record):
                raise OSError("the disk took a part of it")
        except OSError as error:
            self.close()  # what is half written ends its segment
            if self.fault is None:
                log.warning("The cache below %s is not written: %s", self._folder, error)
            self.fault = str(error)
            return None
        self.fault = None
        offset, segment.bytes = segment.bytes, segment.bytes + len(record)
        return self._next - 1, offset

    def _begin(self) -> None:
        self.close()
        number = self._next
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._file = os.open(self._path(number), flags, 0o600)
        self._segments[number] = _Segment()
        self._next = number + 1
        self._make_room()

    def _make_room(self) -> None:
        """Remove the oldest segments until the rest, with a full one more, is within the bound."""
        for number in sorted(self._segments)[:-1]:
            if self.size_bytes + self._segment_bytes <= self._max_bytes:
                return
            self._drop(number)

    def _take(self, digest: bytes, place: Place) -> None:
        segment = self._segments[place.segment]
        segment.digests.append(digest)
        segment.last_ns = max(segment.last_ns, place.expires_ns)
        self._places[digest] = place

    def _drop(self, number: int) -> None:
        segment = self._segments.pop(number)
        for digest in segment.digests:
            place = self._places.get(digest)
            if place is not None and place.segment == number:
                del self._places[digest]
        if number == self._next - 1:
            self.close()
        with contextlib.suppress(OSError):
            self._path(number).unlink()

    def _drop_empty(self) -> None:
        """A clearing notice is of use only for what stands before it: it goes when nothing does."""
        used = {place.segment for place in self._places.values()}
        for number in sorted(self._segments):
            if number in used:
                return
            self._drop(number)

    def _load(self, number: int, path: Path) -> None:
        segment = self._segments[number] = _Segment()
        try:
            segment.bytes = path.stat().st_size
            with path.open("rb") as file:
                offset = 0
                while (found := _read_head(file.read(_offset(b"")), file.read)) is not None:
                    digest, place = found
                    offset += _offset(place.scope.encode())
                    if offset + place.length > segment.bytes:
                        return
                    if digest == _NOBODY:
                        self._forget_before(place.scope)
                    else:
                        self._take(digest, place._replace(segment=number, offset=offset))
                    offset += place.length
                    file.seek(offset)
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error)

    def _forget_before(self, scope: str) -> None:
        self._places = {
            digest: place for digest, place in self._places.items() if scope not in ("", place.scope)
        }

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:010d}{_SUFFIX}"


def _offset(scope: bytes) -> int:
    """From an entry's begin to its value."""
    return _CHECKSUM.size + _HEAD.size + len(scope)


def _read_head(fixed: bytes, more: Callable[[int], bytes]) -> tuple[bytes, Place] | None:
    """The head that these bytes begin; None when they are none."""
    if len(fixed) < _offset(b""):
        return None
    checksum, length, expires_ms, scope_length, digest = _HEAD.unpack_from(fixed, _CHECKSUM.size)
    scope = more(scope_length)
    if zlib.crc32(fixed[_CHECKSUM.size :] + scope) != _CHECKSUM.unpack_from(fixed)[0]:
        return None
    return digest, Place(0, 0, length, checksum, expires_ms * 1_000_000, scope.decode("utf-8", "replace"))
