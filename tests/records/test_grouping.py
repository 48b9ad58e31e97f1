"""One writer for many workers: groups share a transaction, and whoever waits hears when it is committed."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection

from assay.records import GroupWriter, Records


def test_what_waits_while_a_group_is_committed_becomes_the_next_one(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    groups: list[list[int]] = []
    told: list[int] = []

    def put(tx: Connection, group: list[int]) -> None:
        groups.append(group)

    async def play() -> None:
        writer = GroupWriter(records, put, told.extend)
        writing = asyncio.create_task(writer.keep_writing())
        await asyncio.gather(*(writer.keep(number) for number in range(50)))
        writer.close()
        await writing

    asyncio.run(play())
    assert [each for group in groups for each in group] == told == list(range(50))
    assert len(groups) < 10


def test_records_that_take_nothing_end_the_writer(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()

    def put(tx: Connection, group: list[int]) -> None:
        raise OSError("no space")

    async def play() -> None:
        writer = GroupWriter(records, put, lambda group: None)
        waiting = asyncio.create_task(writer.keep(1))
        with pytest.raises(OSError, match="no space"):
            await writer.keep_writing()
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(play())
