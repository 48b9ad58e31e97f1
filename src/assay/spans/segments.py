"""The files of one spool directory: their names, the repair of a torn end, and reading records behind a position."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from assay.spans import framing

SUFFIX = ".spool"


class Position(msgspec.Struct, frozen=True, order=True):
    """How far the spool has been read: everything up to `sequence`, which ends at `offset` of the segment that begins
    with the sequence `segment`. `segment` and `offset` only save time; `sequence` decides."""

    segment: int = 0
    offset: int = 0
    sequence: int = 0


class Damage(NamedTuple):
    """Bytes in a segment that are no record."""

    path: Path
    offset: int
    data: bytes


class Repair(NamedTuple):
    """What opening the last segment found: where it ends now, the last whole record and what was cut off."""

    size: int
    last_sequence: int | None
    torn: bytes


def path_of(directory: Path, first_sequence: int) -> Path:
    """A segment is named by its first record's sequence number, so that names sort and numbers are never given twice."""
    return directory / f"{first_sequence:020d}{SUFFIX}"


def list_segments(directory: Path) -> list[int]:
    """The first sequence numbers of the segments, oldest first."""
    return sorted(int(path.stem) for path in directory.glob(f"*{SUFFIX}") if path.stem.isdigit())


def repair(path: Path) -> Repair:
    """Cut off what a crash left unfinished at the end of a segment.

    Only the bytes behind the last whole record go. Damage that has whole records behind it did not come from a crash in
    the middle of a write: it stays where it is, for the reader to step over.
    """
    data = path.read_bytes()
    end, last = 0, None
    offset: int | None = 0
    while offset is not None and offset < len(data):
        found = framing.read(data, offset)
        if isinstance(found, framing.Record):
            end, last, offset = found.end, found.sequence, found.end
        else:
            offset = framing.resync(data, offset)
    torn = data[end:]
    if torn:
        os.truncate(path, end)
    return Repair(end, last, torn)


def read_from(
    directory: Path, position: Position, until: Position
) -> Iterator[tuple[Position, framing.Record | Damage]]:
    """The records behind `position`, up to `until` (the writer's own mark), and the damage between them.

    Each comes with the position behind it. A segment that is gone was drained before: reading goes on with the next.
    """
    for first in list_segments(directory):
        if first < position.segment or first > until.segment:
            continue
        path = path_of(directory, first)
        size = until.offset if first == until.segment else path.stat().st_size
        offset = position.offset if first == position.segment else 0
        for found, end in _read_segment(path, offset, size):
            if isinstance(found, Damage):
                position = Position(first, end, position.sequence)
                yield position, found
                continue
            is_new = found.sequence > position.sequence
            position = Position(first, end, max(found.sequence, position.sequence))
            if is_new:
                yield position, found


def _read_segment(path: Path, offset: int, size: int) -> Iterator[tuple[framing.Record | Damage, int]]:
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(max(0, size - offset))
    at = 0
    while at < len(data):
        found = framing.read(data, at)
        if isinstance(found, framing.Record):
            yield found, offset + found.end
            at = found.end
        else:
            resumed = framing.resync(data, at)
            end = len(data) if resumed is None else resumed
            yield Damage(path, offset + at, data[at:end]), offset + end
            at = end
