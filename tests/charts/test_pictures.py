"""What the pictures say: every verdict told in shape, word and figures; gaps as gaps; names that are only text."""

import re
from xml.etree import ElementTree

import pytest

from assay.charts.bars import Bar, horizontal_bars
from assay.charts.forest import forest, in_words
from assay.charts.scales import Unit
from assay.charts.series import sparkline, time_bars, time_lines
from assay.charts.standalone import standalone, stylesheet
from assay.charts.svg import Svg
from assay.wire.verdicts import Interval, Outcome, Verdict

HOUR = 3_600_000_000_000
TIMES = [1_795_564_800_000_000_000 + HOUR * n for n in range(6)]
SVG = "{http://www.w3.org/2000/svg}"


def verdict(
    metric: str, outcome: Outcome, estimate: float | None, lo: float | None = None, hi: float | None = None
) -> Verdict:
    return Verdict(
        question=f"Is it better in {metric}?", metric=metric, outcome=outcome, estimate=estimate,
        interval=None if lo is None or hi is None else Interval(lo=lo, hi=hi), level=0.95, method="m", n=120,
        p_value=None if estimate is None else 0.0004, mde=0.17, margin=0.03,
    )  # fmt: skip


ALL = [
    verdict("exact", Outcome.BETTER, 0.23, 0.11, 0.34),
    verdict("refusal", Outcome.WORSE, -0.12, -0.19, -0.05),
    verdict("json", Outcome.EQUIVALENT, 0.0, -0.02, 0.02),
    verdict("judge", Outcome.INCONCLUSIVE, -0.04, -0.14, 0.06),
    verdict("nothing", Outcome.INVALID, None),
]


def texts(drawn: Svg) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(drawn).iter(f"{SVG}text")]


def test_a_forest_tells_each_verdict_in_word_figures_and_shape() -> None:
    drawn = forest(ALL)
    said = texts(drawn)
    for one in ALL:
        assert one.metric in said
        assert one.outcome.value in said
    assert "+0.23" in said
    assert "[−0.19, −0.05]" in said
    assert drawn.count("chart-margin") == 5
    shapes = {
        outcome: re.sub(
            r"[\d. ]+",
            "",
            re.findall(rf"<(?:path|rect|circle|line)[^>]*chart-mark chart-{outcome}[^>]*>", drawn)[0],
        )
        for outcome in Outcome
    }
    assert len({shape.replace(outcome.value, "") for outcome, shape in shapes.items()}) >= 4
    assert in_words(ALL[0]) in ElementTree.fromstring(drawn).get("aria-label", "")


def test_up_is_drawn_right_of_zero_and_down_left_of_it() -> None:
    root = ElementTree.fromstring(forest(ALL[:2]))
    zero = float(next(n for n in root.iter(f"{SVG}line") if n.get("class") == "chart-zero").get("x1", "nan"))
    better = next(n for n in root.iter(f"{SVG}line") if n.get("class") == "chart-whisker chart-better")
    worse = next(n for n in root.iter(f"{SVG}line") if n.get("class") == "chart-whisker chart-worse")
    assert zero < float(better.get("x1", "nan")) < float(better.get("x2", "nan"))
    assert float(worse.get("x1", "nan")) < float(worse.get("x2", "nan")) < zero


def test_metrics_on_very_different_scales_get_their_own() -> None:
    latency = verdict("latency", Outcome.WORSE, 130.0, 90.0, 170.0)
    assert any("own scale" in line for line in texts(forest([ALL[0], latency])))
    assert not any("own scale" in line for line in texts(forest(ALL)))
    assert "No verdict yet" in texts(forest([]))


def test_a_gap_is_drawn_as_a_gap_and_zero_is_not() -> None:
    drawn = time_bars(TIMES, [3, None, 0, 5, None, 2], step_ns=HOUR, title="Calls")
    assert drawn.count("chart-gap") == 2
    assert drawn.count("chart-bar ") == 4
    assert "2 of 6 not known" in drawn
    lines = time_lines(
        TIMES,
        {"p50": [1, 2, None, 4, 5, None], "p95": [2, None, 3, None, 9, 9]},
        step_ns=HOUR,
        title="Latency",
        unit=Unit.MS,
    )
    root = ElementTree.fromstring(lines)
    assert (
        sum(node.get("class", "").startswith("chart-line chart-1") for node in root.iter(f"{SVG}path")) == 2
    )
    assert len(list(root.iter(f"{SVG}circle"))) == 2
    assert {"p50", "p95"} <= set(texts(lines))


def test_nothing_to_draw_says_so() -> None:
    assert "Nothing here yet" in texts(time_bars([], [], step_ns=HOUR, title="t"))
    assert "Nothing here yet" in texts(time_lines(TIMES, {"p50": [None] * 6}, step_ns=HOUR, title="t"))
    assert "Nothing here yet" in texts(horizontal_bars([], title="t"))
    assert "No values yet" in sparkline([], title="t")
    assert sparkline([1.0, None, 2.0, 3.0], title="t").count("<circle") == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="5 values for 6 times"):
        time_bars(TIMES, [1] * 5, step_ns=HOUR, title="t")
    with pytest.raises(ValueError, match="six lines"):
        time_lines(TIMES, {str(n): [1] * 6 for n in range(7)}, step_ns=HOUR, title="t")


def test_bars_are_as_long_as_their_values_and_unknown_ones_have_none() -> None:
    drawn = horizontal_bars([Bar("a", 10.0), Bar("b", 5.0, "half"), Bar("c", None), Bar("d", 0.0)], title="t")
    widths = [float(n.get("width", "nan")) for n in ElementTree.fromstring(drawn).iter(f"{SVG}rect")]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert {"not known", "0", "half"} <= set(texts(drawn))


def test_a_hostile_name_stays_text_in_every_picture() -> None:
    name = '"><script>alert(1)</script>'
    for drawn in (
        forest([verdict(name, Outcome.BETTER, 0.2, 0.1, 0.3)], baseline=name),
        time_bars(TIMES, [1] * 6, step_ns=HOUR, title=name),
        time_lines(TIMES, {name: [1] * 6}, step_ns=HOUR, title=name),
        horizontal_bars([Bar(name, 1.0, name)], title=name),
        sparkline([1.0], title=name),
    ):
        assert "<script" not in drawn
        ElementTree.fromstring(drawn)


def test_every_class_is_styled_and_a_standalone_picture_carries_the_styles() -> None:
    drawn = "".join([
        forest([*ALL, verdict("latency", Outcome.WORSE, 130.0, 90.0, 170.0)]),
        time_lines(TIMES, {str(n): [1.0, None] * 3 for n in range(6)}, step_ns=HOUR, title="t"),
        time_bars(TIMES, [1, None] * 3, step_ns=HOUR, title="t"),
        horizontal_bars([Bar("a", 1.0)], title="t"),
    ])  # fmt: skip
    used = {name for found in re.findall(r'class="([^"]*)"', drawn) for name in found.split()}
    css = stylesheet()
    structural = {"chart", "chart-row", "chart-forest", "chart-bars", "chart-time-bars", "chart-time-lines"}
    assert {name for name in used - structural if f".{name}" not in css} == set()
    alone = standalone(forest(ALL), theme="dark")
    root = ElementTree.fromstring(alone.encode())
    assert "color-scheme: dark" in (next(root.iter(f"{SVG}style")).text or "")
    assert "chart-whisker" in (next(root.iter(f"{SVG}style")).text or "")
