"""What the spool has acknowledged is there after any cut; what it could not write leaves no trace."""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.errors import Unavailable, Unusable
from assay.spans import Spool, segments
from assay.spans.disk import SystemDisk
from assay.spans.encoding import decode
from assay.spans.framing import Record
from assay.spans.segments import Position
from assay.wire.spans import Span


class SickDisk(SystemDisk):
    """A disk that fails on demand: `full` takes a few bytes of a write and then has no room."""

    def __init__(self) -> None:
        self.full = False
        self.untruncatable = False
        self.unsyncable = False
        self.free = 1 << 40
        self.syncs = 0
        self.looks = 0

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        if not self.full:
            return super().write(fd, data)
        if len(data) > 5:
            return super().write(fd, data[:5])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def truncate(self, fd: int, size: int) -> None:
        if self.untruncatable:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().truncate(fd, size)

    def sync(self, fd: int) -> None:
        self.syncs += 1
        if self.unsyncable:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(fd)

    def free_bytes(self, path: Path) -> int:
        self.looks += 1
        return self.free


@pytest.fixture
def disk() -> SickDisk:
    return SickDisk()


@pytest.fixture
def sick_spool(tmp_path: Path, disk: SickDisk) -> Iterator[Spool]:
    made = Spool(tmp_path / "sick", disk=disk)
    yield made
    disk.full = disk.unsyncable = False
    made.close()


def _names(directory: Path) -> list[str]:
    until = Position(1 << 60)
    found = [item for _, item in segments.read_from(directory, Position(), until)]
    return [
        event.name
        for record in found
        if isinstance(record, Record)
        for event in decode(record.payload)
        if isinstance(event, Span)
    ]


def test_a_cut_at_every_byte_of_the_last_records_keeps_each_whole_record_once(
    tmp_path: Path, make_span: Any
) -> None:
    written = tmp_path / "written"
    spool = Spool(written)
    ends = []
    for index in range(4):
        spool.append([make_span(name=f"{index}")])
        ends.append(segments.path_of(written, 1).stat().st_size)
    spool.close()

    for cut in range(ends[0], ends[-1] + 1):
        directory = tmp_path / "cut"
        shutil.copytree(written, directory)
        os.truncate(segments.path_of(directory, 1), cut)
        whole = [str(index) for index, end in enumerate(ends) if end <= cut]

        reopened = Spool(directory)
        assert _names(directory) == whole
        assert reopened.torn_bytes == cut - max(end for end in ends if end <= cut)
        assert reopened.append([make_span(name="after")]) == len(whole) + 1
        reopened.close()

        assert _names(directory) == [*whole, "after"]
        shutil.rmtree(directory)


def test_what_was_cut_off_is_kept_aside(tmp_path: Path, make_span: Any) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([make_span()])
    spool.close()
    with segments.path_of(spool.directory, 1).open("ab") as file:
        file.write(b"half a record")

    Spool(tmp_path / "spool").close()

    assert [path.read_bytes() for path in (tmp_path / "spool" / "torn").iterdir()] == [b"half a record"]


def test_segments_are_closed_at_their_size_and_sequence_numbers_go_on(spool: Spool, make_span: Any) -> None:
    for index in range(80):
        assert spool.append([make_span(name=f"{index}")]) == index + 1

    assert len(segments.list_segments(spool.directory)) > 2
    assert _names(spool.directory) == [str(index) for index in range(80)]


def test_a_full_disk_leaves_no_half_record_and_says_so(
    sick_spool: Spool, disk: SickDisk, make_span: Any
) -> None:
    sick_spool.append([make_span(name="before")])
    disk.full = True

    assert sick_spool.append([make_span(name="lost")]) is None

    assert sick_spool.fault == os.strerror(errno.ENOSPC)
    with pytest.raises(Unavailable, match="No space left"):
        sick_spool.admit_telemetry()
    with pytest.raises(Unavailable, match="strict"):
        sick_spool.admit_strict()
    disk.full = False
    assert sick_spool.append([make_span(name="after")]) is not None
    sick_spool.admit_strict()
    assert _names(sick_spool.directory) == ["before", "after"]


def test_a_half_record_that_cannot_be_cut_back_is_left_in_its_own_segment(
    sick_spool: Spool, disk: SickDisk, make_span: Any
) -> None:
    sick_spool.append([make_span(name="before")])
    disk.full = disk.untruncatable = True
    sick_spool.append([make_span(name="lost")])
    disk.full = disk.untruncatable = False

    sick_spool.append([make_span(name="after")])

    assert _names(sick_spool.directory) == ["before", "after"]
    assert len(segments.list_segments(sick_spool.directory)) == 2


def test_a_spool_that_is_idle_notices_that_there_is_room_again(
    sick_spool: Spool, disk: SickDisk, make_span: Any
) -> None:
    disk.full = True
    sick_spool.append([make_span()])
    disk.full = False

    async def until_healthy() -> None:
        while sick_spool.fault is not None:  # noqa: ASYNC110 - a thread of the spool changes it
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(until_healthy(), 10))
    sick_spool.admit_telemetry()


def test_a_call_that_cannot_be_kept_waits_a_moment_and_is_counted(
    sick_spool: Spool, disk: SickDisk, make_span: Any
) -> None:
    disk.full = True

    assert asyncio.run(sick_spool.append_or_wait([make_span()], timeout_s=0.05)) is None

    assert sick_spool.state.lost_calls == 1


def test_a_call_is_kept_when_room_comes_in_time(sick_spool: Spool, disk: SickDisk, make_span: Any) -> None:
    disk.full = True

    async def call() -> int | None:
        asyncio.get_running_loop().call_later(0.03, setattr, disk, "full", False)
        return await sick_spool.append_or_wait([make_span()], timeout_s=10)

    assert asyncio.run(call()) == 1
    assert sick_spool.lost_calls == 0


def test_kept_waits_for_the_fsync_and_many_share_one(
    sick_spool: Spool, disk: SickDisk, make_span: Any
) -> None:
    async def many() -> list[bool]:
        receipts = [sick_spool.append([make_span()]) for _ in range(200)]
        return await asyncio.gather(
            *(sick_spool.kept(receipt) for receipt in receipts if receipt is not None)
        )

    before = disk.syncs

    assert asyncio.run(many()) == [True] * 200
    assert sick_spool.synced.sequence == 200
    assert disk.syncs - before < 20


def test_a_failed_fsync_is_told_to_whoever_waited_and_never_taken_back(
    sick_spool: Spool, disk: SickDisk, make_span: Any
) -> None:
    disk.unsyncable = True

    async def call() -> tuple[bool, bool]:
        receipt = sick_spool.append([make_span()])
        assert receipt is not None
        first = await sick_spool.kept(receipt)
        disk.unsyncable = False
        later = sick_spool.append([make_span()])
        assert later is not None
        assert await sick_spool.kept(later)
        return first, await sick_spool.kept(receipt)

    assert asyncio.run(call()) == (False, False)


def test_threads_may_append_at_once(spool: Spool, make_span: Any) -> None:
    def work() -> None:
        for _ in range(50):
            spool.append([make_span(name="x")])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(_names(spool.directory)) == 200


def test_telemetry_is_refused_below_the_disk_floor_and_the_disk_is_not_asked_each_time(
    tmp_path: Path, disk: SickDisk
) -> None:
    disk.free = 10 << 20
    spool = Spool(tmp_path / "spool", disk=disk, min_free_bytes=64 << 20)

    for _ in range(50):
        with pytest.raises(Unavailable, match="10 MiB of disk are free"):
            spool.admit_telemetry()

    assert disk.looks <= 2
    spool.close()


def test_telemetry_is_refused_while_too_much_waits_and_calls_are_still_written(
    tmp_path: Path, make_span: Any
) -> None:
    spool = Spool(tmp_path / "spool", max_backlog_bytes=100)
    spool.admit_telemetry()
    spool.append([make_span()])

    with pytest.raises(Unavailable, match="wait to be collected"):
        spool.admit_telemetry()
    assert spool.append([make_span()]) is not None
    spool.close()


def test_a_directory_has_one_writer(spool: Spool) -> None:
    with pytest.raises(Unusable, match="Another process writes"):
        Spool(spool.directory)


def test_a_closed_spool_takes_nothing(tmp_path: Path, make_span: Any) -> None:
    spool = Spool(tmp_path / "spool")
    spool.close()

    assert spool.append([make_span()]) is None
