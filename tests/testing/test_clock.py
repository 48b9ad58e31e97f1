"""The fake clock moves only when it is told to."""

import asyncio
import threading

from assay.testing import FakeClock


def test_nobody_wakes_before_the_time_has_come() -> None:
    async def scenario() -> list[float]:
        clock, woken = FakeClock(), list[float]()

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append(clock.monotonic())

        tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3.0, 1.0)]
        await clock.elapse(0.999)
        assert woken == []
        assert clock.sleepers == 2
        await clock.elapse(5)
        await asyncio.gather(*tasks)
        return woken

    assert asyncio.run(scenario()) == [1.0, 3.0]


def test_elapse_wakes_a_task_that_sleeps_again_at_its_own_moments() -> None:
    async def scenario() -> list[float]:
        clock, ticks = FakeClock(), list[float]()

        async def ticker() -> None:
            for _ in range(3):
                await clock.sleep(2)
                ticks.append(clock.monotonic())

        task = asyncio.create_task(ticker())
        await clock.elapse(100)
        await task
        return ticks

    assert asyncio.run(scenario()) == [2.0, 4.0, 6.0]


def test_a_clock_that_runs_ahead_keeps_nobody_waiting_and_still_counts() -> None:
    clock = FakeClock(runs_ahead=True)
    started_ns = clock.now_ns()
    asyncio.run(clock.sleep(3600))
    assert clock.monotonic() == 3600
    assert clock.now_ns() - started_ns == 3600 * 10**9


def test_a_sleeper_that_was_cancelled_is_forgotten() -> None:
    async def scenario() -> int:
        clock = FakeClock()
        task = asyncio.create_task(clock.sleep(1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await clock.elapse(2)
        return clock.sleepers

    assert asyncio.run(scenario()) == 0


def test_another_thread_may_advance_the_time() -> None:
    async def scenario() -> float:
        clock = FakeClock()
        task = asyncio.create_task(clock.sleep(7))
        await asyncio.sleep(0)
        threading.Thread(target=clock.advance, args=(7,)).start()
        await asyncio.wait_for(task, 5)
        return clock.monotonic()

    assert asyncio.run(scenario()) == 7.0
