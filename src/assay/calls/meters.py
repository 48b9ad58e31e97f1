"""What is counted under one limit for one project, key, user or tag: the last minute, what runs now, and money.

Pure: time comes as a parameter. Not thread-safe; a meter lives on the event loop of its calls.
"""

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from assay.access.types import Period
from assay.kit import money

MINUTE_S = 60

_DAY_NS = 86_400_000_000_000


class Window:
    """A count over the last minute, kept by second. At no time do more than the limit lie within 60 seconds."""

    __slots__ = ("_slots", "_total")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        self._total = 0

    def total(self, now_s: float) -> int:
        """What counts now. A second counts until it has wholly passed a minute ago."""
        oldest = math.floor(now_s) - MINUTE_S
        slots = self._slots
        while slots and slots[0][0] < oldest:
            self._total -= slots.popleft()[1]
        return self._total

    def add(self, now_s: float, count: int) -> None:
        """Count so many now."""
        second = math.floor(now_s)
        if self._slots and self._slots[-1][0] == second:
            self._slots[-1][1] += count
        else:
            self._slots.append([second, count])
        self._total += count

    def correct(self, then_s: float, by: int) -> None:
        """What was counted then was off by so many. A minute later it no longer matters."""
        second = math.floor(then_s)
        for slot in reversed(self._slots):
            if slot[0] == second:
                by = max(by, -slot[1])
                slot[1] += by
                self._total += by
                return

    def free_in_s(self, now_s: float, room: int) -> float:
        """Seconds until no more than `room` count; the minute if it never comes to that."""
        left = self.total(now_s)
        for second, count in self._slots:
            left -= count
            if left <= room:
                return second + MINUTE_S + 1 - now_s
        return float(MINUTE_S)


class Meter:
    """What is counted for one name under one limit. `spent` and `reserved` are dollars of the period since `since_ns`."""

    __slots__ = (
        "in_flight",
        "refused",
        "requests",
        "reserved",
        "since_ns",
        "spent",
        "tokens",
        "told",
    )

    def __init__(self) -> None:
        self.requests = Window()
        self.tokens = Window()
        self.in_flight = 0
        self.spent = money.NOTHING
        self.reserved = money.NOTHING
        self.since_ns = 0
        self.refused = 0
        self.told = 0.0

    def enter(self, since_ns: int) -> None:
        """The period that began then: what was spent in one before it no longer counts."""
        if self.since_ns != since_ns:
            self.since_ns, self.spent, self.told = since_ns, money.NOTHING, 0.0

    def reserve(self, amount: Decimal) -> None:
        """A call begins that may cost so much."""
        self.reserved = money.add(self.reserved, amount)

    def settle(self, reserved: Decimal, cost: Decimal) -> None:
        """It has ended, and cost so much."""
        self.reserved = money.subtract(self.reserved, reserved)
        self.spent = money.add(self.spent, cost)

    def idle(self, now_s: float) -> bool:
        """Whether nothing would be lost with it."""
        return not (
            self.in_flight
            or self.spent
            or self.reserved
            or self.requests.total(now_s)
            or self.tokens.total(now_s)
        )


def began_ns(period: Period, now_ns: int) -> int:
    """When the period of this moment began; 0 for one that has no beginning."""
    return _bounds(period, now_ns)[0]


def ends_ns(period: Period, now_ns: int) -> int | None:
    """When it ends; None for one that does not."""
    return None if period is Period.TOTAL else _bounds(period, now_ns)[1]


def _bounds(period: Period, now_ns: int) -> tuple[int, int]:
    if period is Period.TOTAL:
        return 0, now_ns
    if period is Period.DAY:
        began = now_ns - now_ns % _DAY_NS
        return began, began + _DAY_NS
    return _month(now_ns // _DAY_NS)


@lru_cache(maxsize=64)
def _month(day: int) -> tuple[int, int]:
    first = datetime.fromtimestamp(day * 86_400, UTC).replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return int(first.timestamp()) * 1_000_000_000, int(after.timestamp()) * 1_000_000_000
