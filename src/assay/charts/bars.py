"""Horizontal bars: a few named amounts, longest bar the largest."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.charts.scales import Scale, Unit, figure, top_of
from assay.charts.svg import Element, Svg, box, fitted, group, picture, text

_ROW, _EDGE = 28.0, 4.0


class Bar(NamedTuple):
    """One amount ≥ 0; None is not known. `series` 1 to 6 picks the colour, `note` stands behind the figure."""

    label: str
    value: float | None
    note: str = ""
    series: int = 1


def horizontal_bars(bars: Sequence[Bar], *, title: str, unit: Unit = Unit.NUMBER, width: float = 560) -> Svg:
    """One row a bar: label, bar from 0, figure. An unknown amount is written as such and has no bar."""
    label = min(200.0, width * 0.32)
    figures = 84.0 + max((6.4 * len(bar.note) + 10 for bar in bars if bar.note), default=0.0)
    scale = Scale(
        0.0, top_of([bar.value for bar in bars]) or 1.0, label + 10, max(label + 60, width - figures)
    )
    rows = [_row(bar, scale, label, top=_EDGE + _ROW * number, unit=unit) for number, bar in enumerate(bars)]
    if not bars:
        rows.append(text("Nothing here yet", width / 2, _EDGE + 18, class_="chart-quiet", anchor="middle"))
    told = "; ".join(
        f"{bar.label}: {'not known' if bar.value is None else figure(bar.value, unit)}" for bar in bars
    )
    return picture(
        *rows,
        width=width,
        height=2 * _EDGE + _ROW * max(1, len(bars)),
        title=title,
        description=f"{told or 'Nothing here yet'}.",
        kind="bars",
    )


def _row(bar: Bar, scale: Scale, label: float, *, top: float, unit: Unit) -> Element:
    middle, written = top + _ROW / 2, "not known" if bar.value is None else figure(bar.value, unit)
    end = scale.start if bar.value is None else scale.place(bar.value)
    parts = [
        text(fitted(bar.label, label - 6, size=13), label, middle + 4, class_="chart-figure", anchor="end")
    ]
    if bar.value:
        length = max(1.5, end - scale.start)
        parts.append(
            box(scale.start, middle - 8, length, 16, class_=f"chart-bar chart-{bar.series}", radius=2)
        )
    parts.append(
        text(written, end + 8, middle + 4, class_="chart-quiet" if bar.value is None else "chart-strong")
    )
    if bar.note:
        parts.append(text(bar.note, end + 16 + 7.6 * len(written), middle + 4, class_="chart-quiet"))
    return group(*parts, hover=f"{bar.label}: {written}{' · ' if bar.note else ''}{bar.note}")
