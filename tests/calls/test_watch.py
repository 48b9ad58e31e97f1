"""One timer watches a whole stream."""

import asyncio

import pytest

from assay.calls.watch import IdleWatch


def test_silence_becomes_a_timeout_and_the_task_goes_on() -> None:
    async def run() -> None:
        with pytest.raises(TimeoutError):
            with IdleWatch(0.02):
                await asyncio.sleep(10)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(run())


def test_what_is_touched_goes_on() -> None:
    async def run() -> int:
        with IdleWatch(0.2) as watch:
            for _ in range(30):
                await asyncio.sleep(0.01)
                watch.touch()
        return 1

    assert asyncio.run(run()) == 1


def test_a_rest_is_no_silence_and_the_silence_after_it_is() -> None:
    rested: list[bool] = []

    async def run() -> None:
        with IdleWatch(0.03) as watch:
            watch.rest()
            await asyncio.sleep(0.1)
            rested.append(True)
            watch.touch()
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert rested == [True]


def test_a_cancellation_from_outside_stays_one() -> None:
    async def inner() -> None:
        with IdleWatch(10):
            await asyncio.sleep(10)

    async def run() -> None:
        task = asyncio.ensure_future(inner())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_an_error_of_the_stream_is_not_hidden() -> None:
    async def run() -> None:
        with IdleWatch(10):
            raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(run())
