"""Limits and budgets around calls that are really made: what is let through, what is given back, and on every way out."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from assay.access.limits import LIMITS, Limits
from assay.access.types import Limit, Per, Period, Spent
from assay.calls import Call
from assay.calls.limiter import Limiter
from assay.catalog.models import parse_model
from assay.catalog.prices import PriceBook
from assay.errors import BadRequest, BudgetSpent, Forbidden, RateLimited, UpstreamCut, UpstreamRefused
from assay.snapshot import Snapshot
from assay.testing import Script
from assay.wire.embeddings import EmbeddingRequest

ECHO = Script(answer="echo")
COST = Decimal("0.000009")
"""Three words in and three out at 1 and 2 dollars a million tokens."""


def limited(pipeline: Any, *limits: Limit) -> Any:
    """A pipeline whose calls are under these limits."""
    source: Any = SimpleNamespace(current=Snapshot(0, {LIMITS.name: Limits(limits)}))
    pipeline.caller.limiter = Limiter(source, pipeline.models, PriceBook(), clock=pipeline.clock)
    pipeline.limits = source
    return pipeline


def limit(per: Per = Per.PROJECT, **values: Any) -> Limit:
    values = {"project": "p", "id": "l", "per": per, **values}
    if "usd" in values:
        values = {"period": Period.TOTAL, **values, "usd": Decimal(values["usd"])}
    return Limit(**values)


def reading(made: Any, of: Limit) -> Any:
    (only,) = made.caller.limiter.readings(of)
    return only


def test_requests_of_a_minute_are_counted_and_the_refusal_says_when(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), rule := limit(requests_per_minute=2))

    async def play() -> None:
        for _ in range(2):
            await made.caller.complete(made.call())
        with pytest.raises(RateLimited, match="2 requests a minute") as refused:
            await made.caller.complete(made.call())
        assert 60 <= (refused.value.retry_after_s or 0) <= 61
        await made.clock.sleep(refused.value.retry_after_s or 0)
        await made.caller.complete(made.call())

    asyncio.run(play())
    assert made.asked("a") == 3
    assert reading(made, rule).refused == 1
    assert made.caller.limiter.refused == {"requests": 1}


def test_tokens_are_reserved_cautiously_and_corrected_by_what_was_used(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), rule := limit(tokens_per_minute=2_000))

    async def play() -> None:
        for _ in range(20):
            await made.caller.complete(made.call(max_tokens=1_500))
        assert reading(made, rule).tokens == 20 * 6

    asyncio.run(play())


def test_a_call_that_alone_is_too_much_is_told_so(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), limit(tokens_per_minute=100))
    with pytest.raises(RateLimited, match="alone may need") as refused:
        asyncio.run(made.caller.complete(made.call(max_tokens=1_000)))
    assert refused.value.retry_after_s is None
    assert "max_tokens" in (refused.value.hint or "")


def test_answers_that_may_be_asked_for_again_are_reserved_as_often(pipeline: Callable[..., Any]) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    made = limited(pipeline(ECHO, structured={"attempts": 3}), limit(tokens_per_minute=1_000))
    asyncio.run(made.caller.complete(made.call(max_tokens=300)))
    with pytest.raises(RateLimited, match="alone may need"):
        asyncio.run(made.caller.complete(made.call(max_tokens=300, response_format=schema)))


def test_no_more_run_at_once_than_is_allowed(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(Script(answer="echo", head_s=1.0), waits=True), rule := limit(concurrent=2))

    async def play() -> None:
        calls = [asyncio.create_task(made.caller.complete(made.call())) for _ in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        made.clock.advance(2)
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(one, RateLimited) for one in done) == 3
        assert reading(made, rule).concurrent == 0

    asyncio.run(play())


def test_a_budget_is_spent_to_the_last_cent_and_not_beyond(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), rule := limit(usd="0.0001"))

    async def play() -> int:
        for done in range(1_000):
            try:
                await made.caller.complete(made.call(max_tokens=3))
            except BudgetSpent:
                return done
        return 1_000

    done = asyncio.run(play())
    with pytest.raises(BudgetSpent, match=r"left of its budget of \$0\.0001, and this call may cost"):
        asyncio.run(made.caller.complete(made.call(max_tokens=3)))
    assert reading(made, rule).spent_usd == done * COST
    assert done * COST <= Decimal("0.0001") < (done + 3) * COST


def test_calls_at_once_cannot_spend_what_others_have_reserved(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), rule := limit(usd="0.0001"))

    async def play() -> list[Any]:
        calls = (made.caller.complete(made.call(max_tokens=3)) for _ in range(64))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    done = asyncio.run(play())
    spent = sum(one.cost_usd for one in done if not isinstance(one, BaseException))
    assert 0 < spent <= Decimal("0.0001")
    assert (reading(made, rule).spent_usd, reading(made, rule).reserved_usd) == (spent, 0)
    assert all(isinstance(one, BudgetSpent) for one in done if isinstance(one, BaseException))


def test_a_budget_refuses_a_model_whose_price_nobody_knows(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), limit(usd="1"))
    with pytest.raises(Forbidden, match="price of the model 'spare'"):
        asyncio.run(made.caller.complete(made.call(model="spare")))
    assert made.asked("b") == 0


def test_a_spent_budget_of_a_day_is_there_again_on_the_next(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), limit(usd="0.00002", period=Period.DAY))

    async def play() -> None:
        await made.caller.complete(made.call(max_tokens=1))
        with pytest.raises(BudgetSpent, match="a day") as refused:
            await made.caller.complete(made.call(max_tokens=3))
        assert refused.value.retry_after_s == pytest.approx(86_400, abs=1)
        await made.clock.sleep(refused.value.retry_after_s)
        await made.caller.complete(made.call(max_tokens=1))

    asyncio.run(play())


WAYS_OUT: dict[str, tuple[Script, type[BaseException] | None]] = {
    "whole": (ECHO, None),
    "refused": (Script(status=400), UpstreamRefused),
    "failed": (Script(status=500), UpstreamRefused),
    "cut": (Script(answer="echo", cut_at=2), UpstreamCut),
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("stream", [False, True])
def test_every_way_out_of_a_call_settles_what_was_reserved(
    pipeline: Callable[..., Any], way: str, stream: bool
) -> None:
    script, error = WAYS_OUT[way]
    made = limited(pipeline(script), rule := limit(usd="1", tokens_per_minute=100_000, concurrent=1))

    async def play() -> None:
        call = made.call(stream=stream)
        if not stream:
            await made.caller.complete(call)
            return
        async for _ in (await made.caller.stream(call)).events():
            pass

    if error is None:
        asyncio.run(play())
    else:
        with pytest.raises(error):
            asyncio.run(play())
    found = reading(made, rule)
    span = made.sink.batches[-1][-1]
    assert (found.concurrent, found.reserved_usd) == (0, 0)
    assert found.spent_usd == (span.cost_usd or 0)
    assert found.tokens == (0 if span.usage is None else span.usage.total_input + span.usage.total_output)


def test_a_client_that_leaves_and_a_fault_of_ours_settle_too(
    pipeline: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = limited(
        pipeline(Script(answer="echo", head_s=1.0), waits=True), rule := limit(usd="1", concurrent=1)
    )

    async def leave() -> None:
        call = asyncio.create_task(made.caller.complete(made.call()))
        for _ in range(20):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    asyncio.run(leave())
    assert (reading(made, rule).concurrent, reading(made, rule).reserved_usd) == (0, 0)

    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("assay.providers.openai.OpenAIProvider.complete", broken)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(made.caller.complete(made.call()))
    assert (reading(made, rule).concurrent, reading(made, rule).reserved_usd) == (0, 0)
    with pytest.raises(UpstreamRefused):
        asyncio.run(
            made.caller.embed(
                Call("embeddings", EmbeddingRequest(model="m", inputs=("x",)), made.call().context)
            )
        )
    assert (reading(made, rule).concurrent, reading(made, rule).reserved_usd) == (0, 0)


def test_a_stream_that_is_left_settles_with_what_was_heard(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), rule := limit(usd="1", concurrent=1))

    async def play() -> None:
        answer = await made.caller.stream(made.call(stream=True))
        assert reading(made, rule).concurrent == 1
        await answer.aclose()
        await answer.aclose()

    asyncio.run(play())
    assert reading(made, rule).concurrent == 0


def test_a_named_limit_takes_the_place_of_the_one_for_each(pipeline: Callable[..., Any]) -> None:
    each = limit(Per.USER, id="each", requests_per_minute=1)
    named = limit(Per.USER, id="ada", name="ada", requests_per_minute=3)
    made = limited(pipeline(ECHO), each, named)

    async def count(user: str | None) -> int:
        call = made.call()
        call = msgspec.structs.replace(call, context=msgspec.structs.replace(call.context, user=user))
        for done in range(5):
            try:
                await made.caller.complete(call)
            except RateLimited:
                return done
        return 5

    assert [asyncio.run(count(user)) for user in ("ada", "bob", "eve", None)] == [3, 1, 1, 5]
    assert {(one.name, one.requests) for one in made.caller.limiter.readings(each)} == {
        ("bob", 1),
        ("eve", 1),
    }


def test_every_limit_must_allow_a_call_and_one_that_is_refused_takes_nothing(
    pipeline: Callable[..., Any],
) -> None:
    wide = limit(id="wide", requests_per_minute=10)
    narrow = limit(Per.TAG, id="narrow", name="t", model="m", requests_per_minute=1)
    other = limit(Per.TAG, id="other", model="spare", requests_per_minute=1)
    made = limited(pipeline(ECHO), wide, narrow, other)

    async def play() -> None:
        await made.caller.complete(made.call())
        for _ in range(5):
            with pytest.raises(RateLimited, match="This tag, with the model 'm'"):
                await made.caller.complete(made.call())

    asyncio.run(play())
    assert reading(made, wide).requests == 1


def test_the_cheaper_model_answers_once_little_of_a_budget_is_left(pipeline: Callable[..., Any]) -> None:
    made = pipeline(ECHO, ECHO, economy={"above": 0.5, "model": "spare"})
    price = {"input_usd_per_mtok": "0.001", "output_usd_per_mtok": "0.001"}
    made.models["spare"] = parse_model(
        "spare", {"route": [{"provider": "b", "model": "up-b"}], "price": price}
    )
    limited(made, limit(usd="0.0001"))

    async def play() -> None:
        for _ in range(12):
            await made.caller.complete(made.call(max_tokens=3))

    asyncio.run(play())
    assert (made.asked("a"), made.asked("b")) == (6, 6)


def test_an_economy_that_can_never_begin_is_a_mistake() -> None:
    for above in (0, 1, 1.5):
        with pytest.raises(BadRequest, match=r"economy\.above"):
            parse_model(
                "m", {"route": [{"provider": "a", "model": "x"}], "economy": {"above": above, "model": "n"}}
            )
    with pytest.raises(BadRequest, match="economy"):
        parse_model("m", {"route": [{"provider": "a", "model": "x"}], "economy": {"above": "much"}})


def test_sums_of_before_count_and_are_given_out_again(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO), rule := limit(usd="0.00003"))
    before = Spent(project="p", limit_id="l", name="", usd=Decimal("0.00001"), since_ns=0, until_ns=5)
    made.caller.limiter.add_spent([before])
    asyncio.run(made.caller.complete(made.call(max_tokens=1)))
    (sums,) = made.caller.limiter.spent()
    assert (sums.usd, sums.name, sums.limit_id) == (Decimal("0.000015"), "", "l")
    with pytest.raises(BudgetSpent):
        asyncio.run(made.caller.complete(made.call(max_tokens=3)))
    assert reading(made, rule).refused == 1


def test_people_are_told_once_that_a_budget_is_nearly_spent(
    pipeline: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    made = limited(pipeline(ECHO), limit(usd="0.0001"))

    async def play() -> None:
        for _ in range(17):
            await made.caller.complete(made.call(max_tokens=1))

    asyncio.run(play())
    assert [record.getMessage() for record in caplog.records if "has spent" in record.getMessage()] == [
        "This project in the project p has spent $0.00008 of its budget of $0.0001"
    ]


def test_meters_of_names_that_clients_made_up_do_not_fill_the_memory(
    pipeline: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.calls.limiter.MOST_METERS", 50)
    made = limited(pipeline(ECHO), each := limit(Per.USER, id="each", requests_per_minute=9))

    async def play() -> None:
        for number in range(300):
            call = made.call()
            context = msgspec.structs.replace(call.context, user=f"u{number}")
            await made.caller.complete(msgspec.structs.replace(call, context=context))
            await made.clock.sleep(2)

    asyncio.run(play())
    assert len(made.caller.limiter.readings(each, most=1_000)) <= 50


def test_without_limits_nothing_is_reserved(pipeline: Callable[..., Any]) -> None:
    made = limited(pipeline(ECHO))
    assert made.caller.limiter.reserve(made.call()) is None
