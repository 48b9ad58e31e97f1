"""Time behind a small interface, so that tests decide what time it is."""

import asyncio
import time
from datetime import UTC, date, datetime
from typing import Protocol


class Clock(Protocol):
    """What code that depends on time asks for. `assay.testing.FakeClock` is the other implementation."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean something."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own clocks."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM = SystemClock()

DAY_NS = 86_400_000_000_000


def day_text(day: int) -> str:
    """A day, counted from the epoch in UTC, as `2026-11-24`."""
    return date.fromordinal(_EPOCH + day).isoformat()


def day_of(text: str) -> int:
    """The inverse of `day_text`. Raises `ValueError`."""
    return date.fromisoformat(text).toordinal() - _EPOCH


_EPOCH = date(1970, 1, 1).toordinal()


def rfc3339(at_ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC with microseconds, e.g. `2026-11-24T05:50:48.000000Z`."""
    seconds, nanos = divmod(at_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06d}Z"


def from_rfc3339(text: str) -> int:
    """The inverse of `rfc3339`; any offset is accepted, a time without one is a `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset; write e.g. {text}Z")
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1000
