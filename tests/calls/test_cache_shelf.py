"""Answers in memory and behind it on the disk."""

import asyncio
from hashlib import sha256
from pathlib import Path

from assay.calls.cache_log import CacheLog, Place
from assay.calls.cache_shelf import Shelf
from assay.testing import FakeClock


def name(text: str) -> bytes:
    return sha256(text.encode()).digest()


def on_disk(path: Path, clock: FakeClock, memory_bytes: int = 1 << 20) -> Shelf:
    return Shelf(memory_bytes=memory_bytes, disk=CacheLog(path, max_bytes=1 << 20, clock=clock), clock=clock)


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    shelf = Shelf(memory_bytes=10_000, clock=FakeClock())
    for at in range(9):
        shelf.put(name(str(at)), "p", bytes(700), ttl_s=60)
    assert shelf.find(name("0")) == bytes(700)
    for at in range(9, 14):
        shelf.put(name(str(at)), "p", bytes(700), ttl_s=60)
        assert shelf.memory_bytes <= 10_000
    assert shelf.find(name("0")) is not None, "it was used, so others went first"
    assert shelf.find(name("1")) is None
    shelf.put(name("huge"), "p", bytes(20_000), ttl_s=60)
    assert shelf.find(name("huge")) is None
    assert shelf.find(name("13")) is not None, "and nothing went for what does not fit"


def test_an_entry_lives_as_long_as_it_was_given() -> None:
    clock = FakeClock()
    shelf = Shelf(memory_bytes=10_000, clock=clock)
    shelf.put(name("a"), "p", b"one", ttl_s=60)
    shelf.put(name("b"), "p", b"two", ttl_s=600)
    clock.advance(59)
    assert shelf.find(name("a")) == b"one"
    clock.advance(2)
    assert shelf.find(name("a")) is None
    clock.advance(600)
    shelf.put(name("c"), "p", b"three", ttl_s=60)
    assert shelf.size().entries == 1
    assert shelf.memory_bytes == len(b"three") + 300, "what nobody asks for goes too"


def test_what_left_memory_is_read_from_the_disk(tmp_path: Path) -> None:
    clock = FakeClock()
    shelf = on_disk(tmp_path, clock, memory_bytes=1500)
    for at in range(5):
        shelf.put(name(str(at)), "p", b"%d" % at * 600, ttl_s=60)
    assert isinstance(shelf.find(name("0")), Place)
    assert asyncio.run(shelf.get(name("0"))) == b"0" * 600
    assert shelf.find(name("0")) == b"0" * 600, "now it is in memory"
    assert shelf.size("p") == (5, 3000)
    assert shelf.size("q") == (0, 0)


def test_a_restart_loses_nothing_and_a_refreshed_answer_wins(tmp_path: Path) -> None:
    clock = FakeClock()
    shelf = on_disk(tmp_path, clock)
    shelf.put(name("a"), "p", b"old", ttl_s=60)
    shelf.put(name("a"), "p", b"new", ttl_s=600)
    again = on_disk(tmp_path, clock)
    assert asyncio.run(again.get(name("a"))) == b"new"
    clock.advance(120)
    assert asyncio.run(on_disk(tmp_path, clock).get(name("a"))) == b"new"


def test_clearing_forgets_a_project_in_both_places(tmp_path: Path) -> None:
    clock = FakeClock()
    shelf = on_disk(tmp_path, clock)
    shelf.put(name("a"), "p", b"one", ttl_s=60)
    shelf.put(name("b"), "q", b"two", ttl_s=60)
    assert shelf.clear("p") == 1
    for each in (shelf, on_disk(tmp_path, clock)):
        assert asyncio.run(each.get(name("a"))) is None
        assert asyncio.run(each.get(name("b"))) == b"two"
    assert shelf.clear() == 1
    assert shelf.memory_bytes == 0
