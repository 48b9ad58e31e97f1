"""Ticks that are round and cover what is drawn, and figures that read well."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.charts.scales import (
    Scale,
    Unit,
    clock_ticks,
    decimals_for,
    figure,
    inner_ticks,
    p_words,
    round_ticks,
    signed,
)

HOUR = 3_600_000_000_000


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(3, 8))
def test_ticks_cover_the_range_in_equal_round_steps(lo: float, span: float, about: int) -> None:
    if abs(lo) / span > 1e6:
        return
    ticks = round_ticks(lo, lo + span, about=about)
    slack = span * 1e-6
    assert ticks[0] <= lo + slack
    assert ticks[-1] >= lo + span - slack
    assert 2 <= len(ticks) <= about + 2
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) - min(steps) <= slack


def test_known_ranges_get_the_ticks_a_person_would_choose() -> None:
    assert round_ticks(0, 870, about=4) == [0, 500, 1000]
    assert inner_ticks(-0.37, 0.37) == [-0.2, 0.0, 0.2]
    assert round_ticks(5, 5)[0] <= 5
    with pytest.raises(ValueError, match="finite"):
        round_ticks(0, float("inf"))


def test_the_clock_ticks_on_round_times_and_names_days() -> None:
    midnight = 1_795_564_800_000_000_000
    ticks = clock_ticks(midnight - 6 * HOUR, midnight + 6 * HOUR, about=4)
    assert ("25 Nov" in dict(ticks).values()) == (midnight in dict(ticks))
    assert midnight in dict(ticks)
    assert "21:00" in dict(ticks).values()
    assert clock_ticks(0, 30 * 1_000_000_000, about=6)[1] == (5_000_000_000, "00:00:05")


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0, Unit.COUNT, "0"), (999, Unit.COUNT, "999"), (7_000, Unit.COUNT, "7 000"), (12_400, Unit.COUNT, "12.4k"),
        (3_000_000, Unit.COUNT, "3M"), (0.0123, Unit.USD, "$0.0123"), (12.5, Unit.USD, "$12.50"), (340, Unit.MS, "340 ms"),
        (1_250, Unit.MS, "1.25 s"), (0.623, Unit.SHARE, "62.3 %"), (1.5, Unit.RATIO, "1.5×"), (-2, Unit.NUMBER, "−2"),
        (999_999, Unit.COUNT, "1 000k"),
    ],
)  # fmt: skip
def test_figures_read_well(value: float, unit: Unit, said: str) -> None:
    assert figure(value, unit).replace("\u202f", " ") == said


def test_differences_carry_a_sign_and_digits_that_their_width_deserves() -> None:
    assert [signed(2)(v) for v in (0.123, -0.004, -0.5)] == ["+0.12", "0.00", "−0.50"]
    assert [decimals_for(w) for w in (0.2, 0.034, 120.0, 0.0)] == [2, 3, 0, 3]
    assert [p_words(p) for p in (None, 0.0001, 0.0314)] == ["–", "<\u202f0.001", "0.031"]


def test_a_scale_holds_values_inside_its_ends() -> None:
    scale = Scale(0, 10, 100, 200)
    assert [scale.place(v) for v in (-5, 0, 5, 20)] == [100, 100, 150, 200]
    assert Scale(1, 1, 5, 9).place(1) == 5
