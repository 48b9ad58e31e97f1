"""The terminal's pictures keep to their width, line up, and need nothing but ASCII where that is all there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.charts.scales import Unit
from assay.charts.terminal import bar_text, bars_text, forest_text
from assay.wire.verdicts import Interval, Outcome, Verdict


def verdict(outcome: Outcome, estimate: float, lo: float, hi: float, metric: str = "exact") -> Verdict:
    return Verdict(
        question="q", metric=metric, outcome=outcome, estimate=estimate, interval=Interval(lo=lo, hi=hi), level=0.95,
        method="m", n=120, p_value=0.0004, mde=0.17,
    )  # fmt: skip


BETTER = verdict(Outcome.BETTER, 0.23, 0.11, 0.34)


def test_a_verdict_is_drawn_and_told() -> None:
    written = forest_text([BETTER], width=72)
    first, second, axis = written.split("\n")
    assert first.index("│") < first.index("├") < first.index("▲") < first.index("┤")
    assert "▲ better · +0.23 [+0.11, +0.34] · p <\u202f0.001 · n 120 · can see ±0.17" in second
    assert axis.index(" 0 ") + 1 == first.index("│")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Outcome)),
            st.floats(-1e6, 1e6),
            st.floats(0, 1e5),
            st.floats(0, 1e5),
            st.text(max_size=40),
        ),
        max_size=5,
    ),
    st.integers(48, 200),
)
def test_no_line_is_wider_than_asked(
    rows: list[tuple[Outcome, float, float, float, str]], width: int
) -> None:
    verdicts = [verdict(o, e, e - below, e + above, metric) for o, e, below, above, metric in rows]
    assert all(len(line) <= width for line in forest_text(verdicts, width=width).split("\n"))


def test_ascii_is_ascii() -> None:
    written = forest_text([verdict(o, 0.1, -0.1, 0.3) for o in Outcome], ascii_only=True)
    assert written.isascii()
    assert bars_text([("a", 0.5), ("b", None)], unit=Unit.SHARE, ascii_only=True).isascii()


def test_bars_grow_with_their_share_and_keep_their_width() -> None:
    assert bar_text(0.0, width=8) == " " * 8
    assert bar_text(1.0, width=8) == "█" * 8
    assert bar_text(0.5, width=3) == "█▌ "
    assert bar_text(0.5, width=4, ascii_only=True) == "##.."
    assert bar_text(7.0, width=4) == bar_text(1.0, width=4)
    written = bars_text([("baseline", 0.35), ("candidate", 0.58), ("new", None)], unit=Unit.SHARE, width=60)
    first, second, third = written.split("\n")
    assert first.count("█") < second.count("█")
    assert first.startswith(" baseline ")
    assert "not known" in third


@pytest.mark.parametrize("said", [forest_text([]), bars_text([])])
def test_nothing_says_so(said: str) -> None:
    assert "yet" in said
