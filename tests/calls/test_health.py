"""Breakers, keys that take turns, and the upstream with the least to do."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from assay.calls.health import Health
from assay.calls.plan import Target, plan
from assay.catalog.models import parse_model
from assay.errors import UpstreamCut, UpstreamDown, UpstreamRefused
from assay.testing import Change, FakeClock, Script

Make = Callable[..., Any]
ECHO = Script(answer="echo")
BOTH = [{"provider": "a", "model": "up-a"}, {"provider": "b", "model": "up-b"}]


def refused(status: int, retry_after_s: float | None = None) -> UpstreamRefused:
    return UpstreamRefused("no", status=status, body=b"", retry_after_s=retry_after_s)


def target(provider: str = "a", key: int = 0) -> Target:
    model = parse_model("m", {"route": [{"provider": provider, "model": "up"}]})
    return Target(model, model.route[0], key)


class House:
    """A health with its clock; draws are 1, so that a breaker stays open for its whole time."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.health = Health(self.clock, lambda: 1.0, **options)

    def fail(self, error: Any = None, *, times: int = 1, of: Target | None = None) -> None:
        for _ in range(times):
            condition = self.health.begins(of or target())
            self.health.over(condition)
            self.health.blames(condition, error or UpstreamDown("down"))

    def succeed(self, *, of: Target | None = None, seconds: float = 1.0) -> None:
        condition = self.health.begins(of or target())
        self.health.answers(condition, seconds)
        self.health.completes(condition)

    def state(self, of: Target | None = None) -> str:
        return self.health.of(of or target()).state(self.clock.monotonic())


def test_failures_in_a_row_open_it_and_a_success_between_does_not_count() -> None:
    house = House()
    house.fail(times=4)
    house.succeed()
    house.fail(times=4)
    assert house.state() == "closed"
    house.fail()
    assert house.state() == "open"


def test_it_half_opens_for_one_call_and_closes_when_that_succeeds() -> None:
    house = House()
    house.fail(times=5)
    house.clock.advance(5.1)
    assert house.state() == "half-open"
    probe = house.health.begins(target())
    assert house.state() == "open", "while the probe is on its way nobody else goes there"
    house.health.answers(probe, 0.1)
    house.health.completes(probe)
    assert house.state() == "closed"


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    house = House()
    house.fail(times=5)
    for opened_s in (5, 10, 20, 40, 60, 60):
        house.clock.advance(opened_s - 0.1)
        assert house.state() == "open"
        house.clock.advance(0.2)
        assert house.state() == "half-open"
        house.fail()


def test_a_probe_that_was_given_up_leaves_the_next_one_to_try() -> None:
    house = House()
    house.fail(times=5)
    house.clock.advance(6)
    house.health.over(house.health.begins(target()))
    assert house.state() == "half-open"


def test_a_limit_is_respected_for_as_long_as_it_asks() -> None:
    house = House()
    house.fail(refused(429, 7))
    house.fail(refused(429, 3))
    assert house.state() == "open"
    house.clock.advance(6.9)
    assert house.state() == "open", "the later deadline stands"
    house.clock.advance(0.2)
    assert house.state() == "half-open"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_key_that_is_refused_opens_at_once(status: int) -> None:
    house = House()
    house.fail(refused(status))
    assert house.state() == "open"


def test_a_request_that_is_wrong_says_that_the_upstream_is_well() -> None:
    house = House()
    house.fail(times=4)
    house.fail(refused(400))
    house.fail(times=4)
    assert house.state() == "closed"


def test_each_model_and_each_key_has_its_own() -> None:
    house = House()
    house.fail(times=5)
    assert house.state(target("b")) == "closed"
    assert house.state(target(key=1)) == "closed"
    assert house.health.sick_last([target(), target("b")]) == [target("b"), target()]


def test_of_two_the_less_loaded_is_first_and_old_latencies_fade() -> None:
    clock, chance = FakeClock(), Random(1)
    health = Health(clock, chance.random)
    slow, fast = target("slow"), target("fast")
    for each, seconds in ((slow, 2.0), (fast, 0.1)):
        condition = health.begins(each)
        health.answers(condition, seconds)
        health.over(condition)
    assert [health.least_loaded([slow, fast])[0] for _ in range(20)] == [fast] * 20
    waiting = [health.begins(fast) for _ in range(25)]
    assert health.least_loaded([slow, fast])[0] is slow, "25 calls that wait make 2.6 s of 0.1 s"
    for condition in waiting:
        health.over(condition)
    clock.advance(1000)
    first = Counter(health.least_loaded([slow, fast])[0].route.provider for _ in range(200))
    assert min(first.values()) > 50, "after a while both are strangers again"


def test_a_peak_counts_at_once_and_fades_with_time() -> None:
    house = House()
    house.succeed(seconds=0.1)
    house.succeed(seconds=3.0)
    assert house.health.of(target()).latency_s == 3.0
    house.clock.advance(10)
    house.succeed(seconds=0.1)
    assert house.health.of(target()).latency_s == pytest.approx(
        3.0 / 2.71828 + 0.1 * (1 - 1 / 2.71828), rel=1e-3
    )


def test_an_open_breaker_sends_calls_elsewhere_and_lets_one_through_later(pipeline: Make) -> None:
    made = pipeline(
        Script(answer="echo", status=500, then=(Change(after_calls=6, set={"status": 200}),)),
        ECHO,
        route=BOTH,
        strategy="priority",
    )
    for _ in range(20):
        asyncio.run(made.caller.complete(made.call()))
    assert (made.asked("a"), made.asked("b")) == (5, 20)
    made.clock.advance(60)
    for _ in range(3):
        asyncio.run(made.caller.complete(made.call()))
    assert (made.asked("a"), made.asked("b")) == (6, 23), "one probe, which fails"
    made.clock.advance(60)
    for _ in range(3):
        asyncio.run(made.caller.complete(made.call()))
    assert (made.asked("a"), made.asked("b")) == (9, 23)


def test_the_last_resort_is_asked_though_it_is_sick_but_only_once_a_call(pipeline: Make) -> None:
    made = pipeline(Script(status=500), retries=2)
    for _ in range(4):
        with pytest.raises(UpstreamRefused):
            asyncio.run(made.caller.complete(made.call()))
    assert made.asked("a") == 3 + 3 + 1 + 1


def test_cuts_after_the_first_output_count_too(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", cut_at=3), ECHO, route=BOTH, strategy="priority")

    async def drain() -> None:
        answer = await made.caller.stream(made.call(stream=True))
        async for _ in answer.events():
            pass

    for _ in range(5):
        with pytest.raises(UpstreamCut):
            asyncio.run(drain())
    asyncio.run(drain())
    assert (made.asked("a"), made.asked("b")) == (5, 1)


def test_a_stream_is_in_flight_until_it_ends_or_is_left(pipeline: Make) -> None:
    made = pipeline(ECHO)
    condition = made.caller.health.of(plan(made.models, "m", lambda: 0.5)[0])

    async def run() -> list[int]:
        first = await made.caller.stream(made.call(stream=True))
        second = await made.caller.stream(made.call(stream=True))
        seen = [condition.in_flight]
        async for _ in first.events():
            pass
        seen.append(condition.in_flight)
        await second.aclose()
        await second.aclose()
        return [*seen, condition.in_flight]

    assert asyncio.run(run()) == [2, 1, 0]


def test_a_key_that_is_refused_gives_way_to_the_next_without_waiting(pipeline: Make) -> None:
    made = pipeline(Script(answer="echo", api_key="key-1"), keys=2, retries=2)
    made.caller._draw = lambda: 0.0
    for _ in range(3):
        asyncio.run(made.caller.complete(made.call()))
    sent = [call.headers["authorization"] for call in made.simulations["a"].log]
    assert sent == ["Bearer key-0", "Bearer key-1", "Bearer key-1", "Bearer key-1"]
    assert made.clock.monotonic() == 0


def test_when_every_key_is_refused_the_client_hears_of_the_configuration(pipeline: Make) -> None:
    made = pipeline(Script(api_key="another"), keys=3)
    with pytest.raises(Exception, match="401") as caught:
        asyncio.run(made.caller.complete(made.call()))
    assert caught.value.status == 502  # type: ignore[attr-defined]
    assert made.asked("a") == 3
