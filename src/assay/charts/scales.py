"""From values to places and words: linear scales, round ticks, clock ticks, and figures that a person reads."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

NARROW = "\u202f"
MINUS = "−"
_SECOND_NS = 1_000_000_000
_CLOCK_STEPS_S = (
    1, 5, 10, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
)  # fmt: skip


class Unit(StrEnum):
    """What a figure counts; it decides how it is written."""

    NUMBER = "number"
    COUNT = "count"
    USD = "usd"
    MS = "ms"
    SHARE = "share"
    """0 to 1, written as a percentage"""
    RATIO = "ratio"
    """a multiple: 1.5×"""


class Scale(NamedTuple):
    """A line from values [lo, hi] to pixels [start, end]."""

    lo: float
    hi: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Where `value` lies, held inside the ends."""
        share = (value - self.lo) / (self.hi - self.lo) if self.hi > self.lo else 0.0
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def round_ticks(lo: float, hi: float, *, about: int = 5) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten) from at or before `lo` to at or after `hi`, `about` so many."""
    if not (math.isfinite(lo) and math.isfinite(hi)):
        raise ValueError("ticks need finite ends")
    if hi <= lo:
        hi = lo + (abs(lo) or 1.0)
    raw = (hi - lo) / max(1, about - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((f * power for f in (1, 2, 2.5, 5) if f * power >= raw * 0.999), 10 * power)
    first, last = math.floor(lo / step + 1e-9), math.ceil(hi / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def inner_ticks(lo: float, hi: float, *, about: int = 5) -> list[float]:
    """Those of `round_ticks` that lie inside."""
    slack = (hi - lo) * 1e-9
    return [tick for tick in round_ticks(lo, hi, about=about) if lo - slack <= tick <= hi + slack]


def clock_ticks(start_ns: int, end_ns: int, *, about: int = 6) -> list[tuple[int, str]]:
    """Round times (UTC) between two instants in nanoseconds, each with its words: `14:05`, or `24 Nov` at midnight."""
    span_s = max(1, (end_ns - start_ns) // _SECOND_NS)
    step = next((s for s in _CLOCK_STEPS_S if span_s / s <= about), _CLOCK_STEPS_S[-1])
    first = -(-start_ns // (step * _SECOND_NS)) * step
    return [(s * _SECOND_NS, _clock_words(s, step)) for s in range(first, end_ns // _SECOND_NS + 1, step)]


def instant(at_ns: int) -> str:
    """A time for a hover text: `24 Nov 14:05` UTC."""
    at = datetime.fromtimestamp(at_ns // _SECOND_NS, tz=UTC)
    return f"{at.day} {at:%b %H:%M}"


def figure(value: float, unit: Unit = Unit.NUMBER) -> str:
    """A value as a person reads it: `12.4k`, `$0.012`, `1.2 s`, `62 %`."""
    sign, size = (MINUS if value < 0 else ""), abs(value)
    if unit is Unit.USD:
        return f"{sign}${_digits(size, least=2 if size >= 0.1 else 0)}"
    if unit is Unit.MS:
        return sign + (f"{_digits(size)}{NARROW}ms" if size < 1_000 else f"{_digits(size / 1_000)}{NARROW}s")
    if unit is Unit.SHARE:
        return f"{sign}{_digits(size * 100)}{NARROW}%"
    return sign + _digits(size) + ("×" if unit is Unit.RATIO else "")


def signed(decimals: int) -> Callable[[float], str]:
    """A writer of differences with so many decimals: `+0.12`, `−0.03`, `0.00`."""

    def write(value: float) -> str:
        written = f"{abs(value):,.{decimals}f}".replace(",", NARROW)
        if float(f"{value:.{decimals}f}") == 0:
            return written
        return (MINUS if value < 0 else "+") + written

    return write


def decimals_for(width: float, *, largest: float = 0.0) -> int:
    """How many decimals tell apart the parts of an interval of this width: two digits of it, seven of `largest`."""
    room = 8 if largest < 1 else max(0, 6 - math.floor(math.log10(largest)))
    if width <= 0 or not math.isfinite(width):
        return min(3, room)
    return min(8, room, max(0, 1 - math.floor(math.log10(width))))


def p_words(p_value: float | None) -> str:
    """A p-value for people: `0.031`, `< 0.001`, an en dash where there is none."""
    if p_value is None:
        return "–"
    return f"<{NARROW}0.001" if p_value < 0.001 else f"{p_value:.3f}"


def top_of(values: Sequence[float | None]) -> float:
    """The largest value that is known; 0 without any."""
    return max((v for v in values if v is not None), default=0.0)


def _digits(size: float, *, least: int = 0) -> str:
    for edge, mark in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= edge:
            scaled = size / (1e3 if mark == "k" else edge)
            return f"{scaled:.3g}{mark}" if scaled < 999.5 else f"{scaled:,.0f}{mark}".replace(",", NARROW)
    if size == 0:
        return "0"
    if size >= 100:
        return f"{size:,.0f}".replace(",", NARROW)
    digits = max(least, 2 - math.floor(math.log10(size)))
    written = f"{size:.{digits}f}"
    whole, _, rest = written.partition(".")
    rest = rest.rstrip("0").ljust(least, "0")
    return f"{whole}.{rest}" if rest else whole


def _clock_words(at_s: int, step_s: int) -> str:
    at = datetime.fromtimestamp(at_s, tz=UTC)
    if step_s >= 31_536_000:
        return f"{at:%Y}"
    if at_s % 86_400 == 0:
        return f"{at.day} {at:%b}"
    return f"{at:%H:%M}" if step_s >= 60 else f"{at:%H:%M:%S}"
