"""The last minute by the second, periods of money, and what idle means."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from assay.access.types import Period
from assay.calls.meters import Meter, Window, began_ns, ends_ns

DAY_NS = 86_400_000_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize("seed", range(5))
def test_no_sixty_seconds_ever_hold_more_than_was_let_through(seed: int) -> None:
    chance, window, limit = Random(seed), Window(), 20
    now, let = 0.0, list[float]()
    for _ in range(3_000):
        now += chance.expovariate(2.0)
        if window.total(now) < limit:
            window.add(now, 1)
            let.append(now)
    assert max(sum(1 for other in let if start <= other < start + 60) for start in let) == limit
    assert len(let) > now / 61 * limit * 0.9, "the limit is used, too"


def test_what_is_waited_for_is_there_when_it_was_said() -> None:
    window = Window()
    for second in range(10):
        window.add(second + 0.5, 1)
    wait_s = window.free_in_s(10.0, 9)
    assert window.total(10.0 + wait_s - 0.001) == 10
    assert window.total(10.0 + wait_s) == 9
    assert window.free_in_s(10.0, -1) == 60.0


def test_a_correction_counts_where_the_call_began_and_never_below_nothing() -> None:
    window = Window()
    window.add(1.0, 100)
    window.add(5.0, 7)
    window.correct(1.2, -60)
    assert window.total(6.0) == 47
    window.correct(1.2, -60)
    assert window.total(6.0) == 7
    window.correct(3.0, 50)
    assert window.total(6.0) == 7, "nothing began then"
    assert window.total(62.5) == 7


@pytest.mark.parametrize(
    ("period", "began", "ends"),
    [
        (Period.DAY, "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        (Period.MONTH, "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_days_and_months_are_those_of_utc(period: Period, began: str, ends: str) -> None:
    now = at("2028-02-29T23:59:59")
    assert (began_ns(period, now), ends_ns(period, now)) == (at(began), at(ends))
    assert began_ns(period, at(ends)) == at(ends)


def test_december_ends_with_the_year_and_a_total_never() -> None:
    assert ends_ns(Period.MONTH, at("2026-12-31T12:00:00")) == at("2027-01-01T00:00:00")
    assert (began_ns(Period.TOTAL, DAY_NS), ends_ns(Period.TOTAL, DAY_NS)) == (0, None)


def test_money_is_exact_and_starts_anew_with_a_period() -> None:
    meter = Meter()
    meter.enter(0)
    for _ in range(10):
        meter.reserve(Decimal("1.00000000000000000001"))
        meter.settle(Decimal("1.00000000000000000001"), Decimal("123456789012345678.00000000000000000001"))
    assert meter.reserved == 0
    assert meter.spent == Decimal("1234567890123456780.00000000000000000010")
    meter.reserve(Decimal(2))
    meter.enter(DAY_NS)
    assert meter.spent == 0
    assert meter.reserved == 2, "what runs is still reserved"
    meter.enter(DAY_NS)
    assert meter.reserved == 2


def test_a_meter_is_idle_when_nothing_of_it_counts() -> None:
    meter = Meter()
    assert meter.idle(0.0)
    meter.requests.add(0.0, 1)
    assert not meter.idle(30.0)
    assert meter.idle(61.0)
    meter.spent = Decimal("0.01")
    assert not meter.idle(61.0)
