"""Whoever watches sees each span once, whatever happens to the connection, and costs next to nothing."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from assay.errors import BadRequest, Unavailable
from assay.spans.types import SpanFilter, Tail
from assay.traces import live as live_room
from assay.traces.live import LiveTail, Step

CALLS = SpanFilter(project="default", from_ns=0, to_ns=1 << 62)
Script = Callable[[LiveTail], Awaitable[None]]


def watched(house: Any, script: Script) -> None:
    """Run a script with a live tail of the house."""

    async def run() -> None:
        live = LiveTail(house.store)
        house.collector.on_collected(live.ring)
        async with asyncio.timeout(30):
            await script(live)

    asyncio.run(run())


async def names(steps: AsyncGenerator[Step, None], count: int) -> list[str]:
    """The names of the next so many spans."""
    found: list[str] = []
    while len(found) < count:
        found += [row.name for row in (await anext(steps)).rows]
    return found


def test_spans_come_to_who_watches_as_they_are_kept(house: Any, make_span: Any) -> None:
    house.keep(make_span(name="before"))

    async def script(live: LiveTail) -> None:
        steps = await live.follow(CALLS)
        assert (await anext(steps)).rows == []
        await asyncio.to_thread(house.keep, make_span(name="one"), make_span(name="two"))
        assert await names(steps, 2) == ["one", "two"]
        await asyncio.to_thread(house.keep, make_span(name="three"))
        assert await names(steps, 1) == ["three"]
        assert live.viewers == 1
        await steps.aclose()
        assert live.viewers == 0

    watched(house, script)


def test_who_comes_back_misses_nothing_and_sees_nothing_twice(house: Any, make_span: Any) -> None:
    async def script(live: LiveTail) -> None:
        steps = await live.follow(CALLS)
        position = (await anext(steps)).position
        await asyncio.to_thread(house.keep, *(make_span(name=f"call {number}") for number in range(3)))
        step = await anext(steps)
        position = step.position
        await steps.aclose()
        await asyncio.to_thread(house.keep, *(make_span(name=f"call {number}") for number in range(3, 6)))
        again = await LiveTail(house.store).follow(CALLS, after=position)
        seen = [row.name for row in step.rows] + await names(again, 3)
        assert seen == [f"call {number}" for number in range(6)]

    watched(house, script)


def test_who_was_away_for_long_gets_the_newest_and_is_told(
    house: Any, make_span: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_room, "MOST_BEHIND", 3)
    monkeypatch.setattr(live_room, "PAGE", 2)
    house.keep(*(make_span(name=f"call {number}") for number in range(5)))

    async def script(live: LiveTail) -> None:
        step = await anext(await live.follow(CALLS, after="0"))
        assert step.passed_over
        assert [row.name for row in step.rows] == ["call 3", "call 4"]
        near = await live.follow(CALLS, after="2")
        assert await names(near, 3) == ["call 2", "call 3", "call 4"]

    watched(house, script)


def test_many_viewers_of_one_view_share_one_read(house: Any, make_span: Any) -> None:
    reads: list[SpanFilter] = []

    class Counting:
        def tail(self, filter: SpanFilter, **more: Any) -> Tail:
            if more.get("after") is not None:
                reads.append(filter)
            found: Tail = house.store.tail(filter, **more)
            return found

    async def script(live: LiveTail) -> None:
        live = LiveTail(Counting())  # type: ignore[arg-type]
        house.collector.on_collected(live.ring)
        failing = msgspec.structs.replace(CALLS, model="other")
        viewers = [await live.follow(CALLS) for _ in range(40)] + [await live.follow(failing)]
        for steps in viewers:
            await anext(steps)
        waiting = [asyncio.ensure_future(anext(steps)) for steps in viewers]
        await asyncio.to_thread(house.keep, make_span(name="new"))
        found = await asyncio.gather(*waiting[:40])
        assert {row.name for step in found for row in step.rows} == {"new"}
        assert len({id(step.drawn) for step in found}) == 1, "what one draws serves all"
        assert len(reads) <= 6
        waiting[40].cancel()

    watched(house, script)


def test_a_filter_narrows_as_in_the_list(house: Any, make_span: Any) -> None:
    async def script(live: LiveTail) -> None:
        steps = await live.follow(msgspec.structs.replace(CALLS, user_id="ann", text="ROSE"))
        await anext(steps)
        rose = b'{"role":"user","content":"a rose"}'
        await asyncio.to_thread(
            house.keep,
            make_span(name="other", user_id="bo", input=(rose,)),
            make_span(name="hers", user_id="ann", input=(rose,)),
            make_span(name="dull", user_id="ann"),
        )
        assert await names(steps, 1) == ["hers"]

    watched(house, script)


def test_the_end_of_the_server_ends_every_view(house: Any) -> None:
    async def script(live: LiveTail) -> None:
        steps = await live.follow(CALLS)
        await anext(steps)
        waiting = asyncio.ensure_future(anext(steps, None))
        await asyncio.sleep(0)
        live.close()
        step = await waiting
        while step is not None:
            step = await anext(steps, None)
        assert live.viewers == 0

    watched(house, script)


def test_a_view_ends_after_its_time_so_that_the_viewer_is_asked_again(house: Any) -> None:
    async def script(live: LiveTail) -> None:
        steps = await live.follow(CALLS, longest_s=0)
        assert [step.rows async for step in steps] == [[]]

    watched(house, script)


def test_a_store_that_cannot_be_read_is_told_and_tried_again(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_room, "_AFTER_TROUBLE_S", 0.0)
    answers: list[Any] = [Unavailable("This took longer than 10 s."), Tail([], "7", True)]

    class Failing:
        def tail(self, filter: SpanFilter, *, after: str | None = None, limit: int = 0) -> Tail:
            answer = Tail([], "3", True) if after is None else answers.pop(0)
            if isinstance(answer, Unavailable):
                raise answer
            found: Tail = answer
            return found

    async def script(live: LiveTail) -> None:
        monkeypatch.setattr(live_room, "QUIET_S", 0.01)
        steps = await LiveTail(Failing()).follow(CALLS)  # type: ignore[arg-type]
        assert (await anext(steps)).position == "3"
        assert (await anext(steps)).trouble == "This took longer than 10 s."
        live.ring()
        assert answers

    watched(house, script)


def test_a_wrong_position_and_one_viewer_too_many_are_refused(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LiveTail) -> None:
        with pytest.raises(BadRequest):
            await live.follow(CALLS, after="yesterday")
        monkeypatch.setattr(live_room, "MOST_VIEWERS", 0)
        with pytest.raises(Unavailable):
            await live.follow(CALLS)

    watched(house, script)
