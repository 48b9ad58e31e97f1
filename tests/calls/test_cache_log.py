"""Entries on the disk: found without looking there, whole after a kill, gone when they are to be."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from assay.calls.cache_log import CacheLog, Place
from assay.testing import FakeClock

HOUR_NS = 3_600_000_000_000


def name(text: str) -> bytes:
    return sha256(text.encode()).digest()


class Folder:
    """A folder, and the logs that processes one after the other have on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()

    def log(self, max_bytes: int = 1 << 20) -> CacheLog:
        return CacheLog(self.path, max_bytes=max_bytes, clock=self.clock)

    def put(self, log: CacheLog, text: str, value: bytes, *, scope: str = "default", hours: int = 1) -> bool:
        return log.put(name(text), scope, value, expires_ns=self.clock.now_ns() + hours * HOUR_NS)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "cache")


def value(log: CacheLog, text: str) -> bytes | None:
    place = log.find(name(text))
    return None if place is None else log.read(place)


def test_what_was_put_is_found_also_by_the_next_process(folder: Folder) -> None:
    log = folder.log()
    assert folder.put(log, "a", b"one")
    assert folder.put(log, "b", b"")
    assert folder.put(log, "a", b"two", scope="übrig")
    for each in (log, folder.log()):  # nobody closed it: that is a kill
        assert value(each, "a") == b"two"
        assert value(each, "b") == b""
        assert value(each, "c") is None
        assert sorted(each.sizes()) == [("default", 0), ("übrig", 3)]


def test_an_entry_expires_and_its_file_goes_with_the_last_one(folder: Folder) -> None:
    log = folder.log()
    folder.put(log, "a", b"one", hours=1)
    folder.put(log, "b", b"two", hours=3)
    folder.clock.advance(2 * 3600)
    assert value(log, "a") is None
    assert value(log, "b") == b"two"
    log.sweep()
    assert len(folder.files) == 1
    folder.clock.advance(2 * 3600)
    log.sweep()
    assert folder.files == []
    assert folder.put(log, "c", b"three")
    assert value(log, "c") == b"three"


def test_the_next_process_removes_what_has_expired_meanwhile(folder: Folder) -> None:
    folder.put(folder.log(), "a", b"one")
    folder.clock.advance(2 * 3600)
    assert value(folder.log(), "a") is None
    assert folder.files == []


def test_it_stays_within_its_bound_and_lets_the_oldest_go(folder: Folder) -> None:
    log = folder.log(max_bytes=8000)
    for at in range(100):
        assert folder.put(log, str(at), bytes(200))
        assert log.size_bytes == sum(path.stat().st_size for path in folder.path.iterdir()) <= 8000
    assert value(log, "99") == bytes(200)
    assert value(log, "0") is None
    there = {at for at in range(100) if value(log, str(at)) is not None}
    assert there == set(range(min(there), 100)), "what is left is the newest"
    assert len(there) > 20
    again = folder.log(max_bytes=8000)
    assert {at for at in range(100) if value(again, str(at)) is not None} == there


def test_a_value_larger_than_a_segment_is_not_kept(folder: Folder) -> None:
    assert not folder.put(folder.log(max_bytes=8000), "a", bytes(1001))
    assert folder.files == []


@pytest.mark.parametrize("cut", range(1, 80, 7))
def test_a_torn_end_loses_only_the_last_entry(folder: Folder, cut: int) -> None:
    log = folder.log()
    folder.put(log, "a", b"first " * 10)
    before = log.size_bytes
    folder.put(log, "b", b"second" * 10)
    (file,) = folder.path.iterdir()
    os.truncate(file, before + cut)
    again = folder.log()
    assert value(again, "a") == b"first " * 10
    assert value(again, "b") is None
    assert folder.put(again, "b", b"anew")
    assert value(folder.log(), "b") == b"anew"


def test_a_rotted_value_is_not_told(folder: Folder) -> None:
    log = folder.log()
    folder.put(log, "a", b"the answer")
    (file,) = folder.path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"answer", b"insult"))
    assert value(log, "a") is None


def test_a_cleared_scope_stays_cleared_and_leaves_the_others(folder: Folder) -> None:
    log = folder.log()
    folder.put(log, "a", b"one", scope="mine")
    folder.put(log, "b", b"two", scope="theirs")
    assert log.clear("mine") == 1
    folder.put(log, "c", b"three", scope="mine")
    for each in (log, folder.log()):
        assert value(each, "a") is None
        assert value(each, "b") == b"two"
        assert value(each, "c") == b"three"
    assert log.clear() == 2
    assert folder.files == []
    assert value(folder.log(), "b") is None


def test_clearing_takes_the_words_off_the_disk_where_nothing_else_lies_with_them(folder: Folder) -> None:
    log = folder.log()
    folder.put(log, "a", b"one")
    assert log.clear("default") == 1
    assert folder.files == []


def test_a_disk_that_takes_nothing_is_said_and_harms_nobody(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = folder.log()
    folder.put(log, "a", b"one")
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", lambda *_: 3)
        assert not folder.put(log, "b", b"two")
    assert "a part" in str(log.fault)
    assert value(log, "a") == b"one"
    assert folder.put(log, "b", b"two")
    assert str(log.fault) == "None"
    assert value(folder.log(), "b") == b"two"


def test_a_file_that_has_gone_is_a_miss(folder: Folder) -> None:
    log = folder.log()
    folder.put(log, "a", b"one")
    place = log.find(name("a"))
    assert isinstance(place, Place)
    for path in folder.path.iterdir():
        path.unlink()
    assert log.read(place) is None
