"""The terminal's pictures keep to their width, line up, and need nothing but ASCII where that is all there is."""

from hypothesis import given
from hypothesis import strategies as st

from assay.charts.terminal import forest_text
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


def test_nothing_says_so() -> None:
    assert "yet" in forest_text([])
