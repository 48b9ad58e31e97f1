"""Kept responses."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.errors import NotFound
from assay.records import Records
from assay.responses import ResponseShelf, StoredResponse

DAY_NS = 86_400_000_000_000


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    yield records
    records.close()


def made(id: str, **of: Any) -> StoredResponse:
    usual = StoredResponse(project="default", id=id, created_at_ns=1, items="[]", output="[]", body="{}")
    return msgspec.structs.replace(usual, **of)


def test_answers_that_end_together_share_a_transaction(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = ResponseShelf(records)
    batches: list[int] = []
    write = shelf._write

    def counted(batch: list[StoredResponse]) -> bool:
        batches.append(len(batch))
        return write(batch)

    monkeypatch.setattr(shelf, "_write", counted)

    async def keep_many() -> list[bool]:
        return await asyncio.gather(*[shelf.keep(made(f"resp_{at}")) for at in range(50)])

    assert asyncio.run(keep_many()) == [True] * 50
    assert sum(batches) == 50
    assert len(batches) <= 3
    assert asyncio.run(shelf.get("default", "resp_49")).id == "resp_49"


def test_an_answer_whose_records_are_away_is_said_not_to_be_kept(records: Records) -> None:
    shelf = ResponseShelf(records)

    async def twice() -> tuple[bool, bool]:
        return await shelf.keep(made("resp_1")), await shelf.keep(made("resp_1"))

    assert asyncio.run(twice()) == (True, False), "the second breaks the primary key"


def test_a_server_that_keeps_no_content_keeps_none(records: Records) -> None:
    shelf = ResponseShelf(records, keeps=False)
    assert asyncio.run(shelf.keep(made("resp_1"))) is False
    with pytest.raises(NotFound):
        asyncio.run(shelf.get("default", "resp_1"))


def test_a_conversation_is_followed_back_and_ends_with_what_is_gone(records: Records) -> None:
    shelf = ResponseShelf(records)

    async def talk() -> None:
        await shelf.keep(made("resp_1"))
        await shelf.keep(made("resp_2", previous_id="resp_1"))
        await shelf.keep(made("resp_3", previous_id="resp_2"))
        found = await shelf.conversation("default", "resp_3")
        assert [each.id for each in found] == ["resp_1", "resp_2", "resp_3"]
        with pytest.raises(NotFound):
            await shelf.conversation("other", "resp_3")
        await shelf.remove("default", "resp_2")
        with pytest.raises(NotFound, match="resp_2"):
            await shelf.conversation("default", "resp_3")
        with pytest.raises(NotFound):
            await shelf.remove("other", "resp_1")

    asyncio.run(talk())


def test_a_purge_takes_what_is_old_or_somebodys(records: Records) -> None:
    shelf = ResponseShelf(records)

    async def fill() -> None:
        await shelf.keep(made("old", user_id="ann", created_at_ns=DAY_NS))
        await shelf.keep(made("new", user_id="ann", created_at_ns=9 * DAY_NS))
        await shelf.keep(made("bobs", user_id="bob", created_at_ns=9 * DAY_NS))
        await shelf.keep(made("theirs", project="other", user_id="ann", created_at_ns=2 * DAY_NS))

    asyncio.run(fill())
    assert shelf.oldest() == {"default": DAY_NS, "other": 2 * DAY_NS}
    assert shelf.purge("default", before_ns=5 * DAY_NS) == 1
    assert shelf.purge("default", user_id="ann") == 1
    assert shelf.oldest() == {"default": 9 * DAY_NS, "other": 2 * DAY_NS}
