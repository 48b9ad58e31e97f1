"""Decorated functions stay what they were, and become spans."""

import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from tests.sdk.conftest import Receiver

import assay

Sdk = Callable[..., None]


@assay.trace
def add(first: int, second: int = 2, *rest: int, **more: int) -> int:
    """Adds."""
    return first + second + sum(rest)


@assay.trace(kind="tool", name="weather", input=False, output=False, attributes={"unit": "C"})
async def weather(city: str) -> str:
    await asyncio.sleep(0)
    return f"rain in {city}"


class Shop:
    @assay.trace
    def sell(self, what: str) -> str:
        return what

    @assay.trace
    @classmethod
    def open(cls, at: int) -> str:
        return f"{cls.__name__} at {at}"

    @assay.trace
    @staticmethod
    def close(at: int) -> int:
        return at


@assay.trace
def counting(most: int) -> Generator[str, str | None, int]:
    total = 0
    for number in range(most):
        with assay.span(f"step {number}"):
            total += len((yield str(number)) or "")
    return total


@assay.trace
async def streaming(most: int) -> AsyncIterator[str]:
    for number in range(most):
        with assay.span(f"async step {number}"):
            await asyncio.sleep(0)
        yield str(number)


def test_arguments_and_result_are_kept_by_name(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    assert add(1, 2, 3, 4, five=5) == 10
    assert add(first=1) == 3
    assert assay.flush()
    first, second = receiver.spans
    assert (first.name, first.input, first.output) == (
        "add",
        {"first": 1, "second": 2, "rest": [3, 4], "five": 5},
        10,
    )
    assert second.input == {"first": 1}


def test_a_decorated_function_looks_like_itself() -> None:
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert list(inspect.signature(add).parameters) == ["first", "second", "rest", "more"]
    assert inspect.iscoroutinefunction(weather)
    assert inspect.isgeneratorfunction(counting)
    assert inspect.isasyncgenfunction(streaming)


def test_methods_leave_out_what_they_are_bound_to(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    assert (Shop().sell("tea"), Shop.open(9), Shop.close(at=5), Shop().close(6)) == ("tea", "Shop at 9", 5, 6)
    assert assay.flush()
    assert [(span.name, span.input) for span in receiver.spans] == [
        ("Shop.sell", {"what": "tea"}),
        ("Shop.open", {"at": 9}),
        ("Shop.close", {"at": 5}),
        ("Shop.close", {"at": 6}),
    ]


def test_a_coroutine_is_a_span_and_content_can_be_left_out(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    assert asyncio.run(weather("Rome")) == "rain in Rome"
    assert assay.flush()
    span = receiver.named("weather")
    assert (span.attributes["assay.kind"], span.attributes["unit"]) == ("tool", "C")
    assert "assay.input" not in span.attributes
    assert "assay.output" not in span.attributes


def test_what_is_raised_is_the_same_exception(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    error = LookupError("gone")

    @assay.trace
    def failing() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        failing()
    assert caught.value is error
    assert assay.flush()
    assert receiver.spans[0].message == "LookupError: gone"


def test_a_generator_is_one_span_and_its_consumer_stands_outside(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    with assay.span("consumer") as consumer:
        seen = []
        for item in counting(2):
            assert assay.current().span_id == consumer.span_id
            with assay.span(f"use {item}"):
                seen.append(item)
    assert seen == ["0", "1"]
    assert assay.flush()
    span = receiver.named("counting")
    assert (span.input, span.output) == ({"most": 2}, "01")
    assert receiver.named("step 1").parent_id == span.span_id
    assert receiver.named("use 1").parent_id == consumer.span_id
    assert span.parent_id == consumer.span_id


def test_a_generator_hears_what_is_sent_and_thrown_and_returns_its_value(
    sdk: Sdk, receiver: Receiver
) -> None:
    sdk()

    def outer() -> Generator[str, str | None, int]:
        return (yield from counting(2))

    running = outer()
    assert next(running) == "0"
    assert running.send("abc") == "1"
    with pytest.raises(StopIteration) as over:
        running.send("de")
    assert over.value.value == 5
    thrown = counting(3)
    next(thrown)
    with pytest.raises(KeyError):
        thrown.throw(KeyError("x"))
    assert assay.flush()
    first, second = (span for span in receiver.spans if span.name == "counting")
    assert (first.status, second.status, second.output) == (0, 2, "0")


def test_a_generator_that_is_left_early_ends_its_span(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    for _ in counting(5):
        break
    gc.collect()
    assert assay.flush()
    span = receiver.named("counting")
    assert (span.output, span.attributes["assay.status"]) == ("0", "cancelled")
    assert assay.current().span_id is None


def test_an_async_generator_is_one_span(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    async def main() -> list[str]:
        found = []
        async with assay.span("consumer") as consumer:
            async for item in streaming(3):
                assert assay.current().span_id == consumer.span_id
                found.append(item)
        return found

    assert asyncio.run(main()) == ["0", "1", "2"]
    assert assay.flush()
    span = receiver.named("streaming")
    assert (span.output, span.parent_id) == ("012", receiver.named("consumer").span_id)
    assert receiver.named("async step 2").parent_id == span.span_id


def test_an_async_generator_that_is_closed_or_cancelled_ends_its_span(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    async def main() -> None:
        closed = streaming(5)
        await anext(closed)
        await closed.aclose()  # type: ignore[attr-defined]

        async def consume() -> None:
            async for _ in streaming(10**9):
                pass

        task = asyncio.create_task(consume())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert assay.flush()
    spans = [span for span in receiver.spans if span.name == "streaming"]
    assert [span.attributes["assay.status"] for span in spans] == ["cancelled", "cancelled"]


def test_an_async_generator_hears_what_is_thrown(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    heard = []

    @assay.trace
    async def listening() -> Any:
        try:
            yield 1
        except KeyError as error:
            heard.append(error)
            yield 2

    async def main() -> int:
        running = listening()
        await anext(running)
        said: int = await running.athrow(KeyError("x"))
        await running.aclose()
        return said

    assert asyncio.run(main()) == 2
    assert len(heard) == 1
    assert assay.flush()
    assert receiver.spans[0].output == [1, 2]


def test_before_init_every_kind_just_runs() -> None:
    async def all_of_it() -> list[str]:
        return [item async for item in streaming(2)]

    assert add(1) == 3
    assert list(counting(2)) == ["0", "1"]
    assert asyncio.run(weather("Rome")) == "rain in Rome"
    assert asyncio.run(all_of_it()) == ["0", "1"]


def test_recursion_and_partials_work(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    @assay.trace
    def down(n: int) -> int:
        return 0 if n == 0 else down(n - 1)

    assert functools.partial(down, 2)() == 0
    assert assay.flush()
    by_input = {span.input["n"]: span for span in receiver.spans}
    assert by_input[0].parent_id == by_input[1].span_id
    assert by_input[1].parent_id == by_input[2].span_id


def test_what_is_no_function_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="functions and methods"):
        assay.trace(Shop)


def test_a_result_that_is_an_iterator_is_not_used_up(sdk: Sdk, receiver: Receiver) -> None:
    sdk()

    @assay.trace
    def made() -> Iterator[int]:
        return iter([1, 2])

    assert list(made()) == [1, 2]
