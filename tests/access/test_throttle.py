import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.access.throttle import LoginThrottle, Throttle, network_of
from assay.errors import RateLimited
from assay.testing import FakeClock


def passes(throttle: Throttle, key: str = "k") -> bool:
    if throttle.wait_s(key) > 0:
        return False
    throttle.take(key)
    return True


def test_a_burst_passes_then_one_each_interval() -> None:
    clock = FakeClock()
    throttle = Throttle(burst=3, every_s=10, clock=clock)
    assert [passes(throttle) for _ in range(5)] == [True, True, True, False, False]
    assert throttle.wait_s("k") == 10
    assert passes(throttle, "another")
    clock.advance(9.9)
    assert not passes(throttle)
    clock.advance(0.2)
    assert [passes(throttle), passes(throttle)] == [True, False]
    clock.advance(1000)
    assert [passes(throttle) for _ in range(5)] == [True, True, True, False, False]


@settings(max_examples=200)
@given(
    st.integers(1, 6),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=80),
)
def test_in_no_stretch_of_time_more_pass_than_the_law_allows(
    burst: int, every_s: int, steps: list[tuple[int, bool]]
) -> None:
    clock = FakeClock()
    throttle = Throttle(burst=burst, every_s=every_s, clock=clock)
    passed = []
    for wait_s, tries in steps:
        clock.advance(wait_s)
        if tries and passes(throttle):
            passed.append(clock.monotonic())
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + (passed[last] - passed[first]) / every_s


def test_what_is_given_back_does_not_count_and_the_memory_is_bounded() -> None:
    clock = FakeClock()
    throttle = Throttle(burst=2, every_s=10, clock=clock, capacity=50)
    for _ in range(20):
        assert passes(throttle)
        throttle.give_back("k")
    for number in range(500):
        passes(throttle, f"key {number}")
    assert len(throttle) == 50
    clock.advance(60)
    passes(throttle)
    assert len(throttle) == 1


def tries(throttle: LoginThrottle, account: str | None, address: str) -> bool:
    try:
        throttle.admit(account, address)
    except RateLimited:
        return False
    return True


def test_an_account_is_guarded_whatever_the_address_and_an_address_whatever_the_account() -> None:
    clock = FakeClock()
    throttle = LoginThrottle(clock=clock)
    assert sum(tries(throttle, "ann", f"192.0.2.{n}") for n in range(50)) == 5
    assert tries(throttle, "bob", "192.0.2.1"), "others are not held up"
    assert sum(tries(throttle, f"user{n}", "198.51.100.7") for n in range(50)) == 20
    assert not tries(throttle, None, "198.51.100.7"), "nor can keys be tried from there"
    with pytest.raises(RateLimited) as refused:
        throttle.admit("ann", "203.0.113.9")
    assert refused.value.retry_after_s == 30
    assert "30 seconds" in str(refused.value.hint)
    clock.advance(30)
    assert tries(throttle, "ann", "203.0.113.9")
    assert not tries(throttle, "ann", "203.0.113.9")


def test_a_right_attempt_is_given_back_and_a_refused_one_not_counted() -> None:
    clock = FakeClock()
    throttle = LoginThrottle(clock=clock)
    for _ in range(100):
        assert tries(throttle, "ann", "192.0.2.1")
        throttle.succeeded("ann", "192.0.2.1")
    while tries(throttle, "ann", "192.0.2.1"):
        pass
    for _ in range(100):
        assert not tries(throttle, "ann", "192.0.2.1")
    clock.advance(30)
    assert tries(throttle, "ann", "192.0.2.1"), "who waits is let in"


def test_of_many_refusals_one_in_a_while_is_news() -> None:
    clock = FakeClock()
    throttle = LoginThrottle(clock=clock)
    assert [throttle.is_news("ann", "192.0.2.1") for _ in range(3)] == [True, False, False]
    assert throttle.is_news("bob", "192.0.2.1")
    clock.advance(301)
    assert throttle.is_news("ann", "192.0.2.1")


def test_an_ipv6_household_is_one_place() -> None:
    assert network_of("2001:db8:1:2::5") == network_of("2001:db8:1:2:ffff::1")
    assert network_of("2001:db8:1:2::5") != network_of("2001:db8:1:3::5")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of(None) == "socket"
    assert network_of("testclient") == "testclient"
