"""The forest plot: verdicts one under the other, each with its interval, around the line of no difference."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from assay.charts.scales import Scale, decimals_for, figure, inner_ticks, p_words, signed
from assay.charts.svg import Element, Svg, box, element, fitted, group, line, path, picture, text
from assay.wire.verdicts import Outcome, Verdict

_HEAD, _ROW, _FOOT = 34.0, 52.0, 46.0
_LABEL, _NUMBERS = 0.22, 384.0
_MIXED = 12.0
"""Beyond this ratio of widths one scale would flatten a row to a dot: each row then gets its own."""


class _Columns(NamedTuple):
    """Where things stand, in pixels."""

    label: float
    plot_start: float
    plot_end: float
    estimate: float
    p: float
    mde: float
    outcome: float


def forest(
    verdicts: Sequence[Verdict],
    *,
    width: float = 960,
    baseline: str = "baseline",
    candidate: str = "candidate",
) -> Svg:
    """One row a verdict: metric, n, interval around 0, the estimate with its interval in figures, p, MDE and outcome.

    The band is what the asker called negligible. All rows share one axis; where their widths differ more than twelvefold
    (accuracy beside milliseconds) each has its own, as the foot then says. `width` in pixels, 640 at least.
    """
    width = max(640.0, width)
    columns = _columns(width)
    bottom = _HEAD + _ROW * max(1, len(verdicts))
    reaches = [reach for reach in map(_reach, verdicts) if reach > 0]
    own = len(reaches) > 1 and max(reaches) > _MIXED * min(reaches)
    widest = max(reaches, default=1.0)
    parts = [_head(columns, width)]
    for number, verdict in enumerate(verdicts):
        reach = (_reach(verdict) or 1.0) if own else widest
        scale = Scale(-reach * 1.08, reach * 1.08, columns.plot_start, columns.plot_end)
        parts.append(_row(verdict, scale, columns, top=_HEAD + _ROW * number, width=width))
    if verdicts:
        parts.append(
            _foot(columns, bottom, widest=None if own else widest, names=(baseline, candidate), width=width)
        )
    else:
        parts.append(
            text("No verdict yet", width / 2, _HEAD + _ROW / 2 + 4, class_="chart-quiet", anchor="middle")
        )
    return picture(
        *parts,
        width=width,
        height=bottom + _FOOT,
        title=f"{candidate} against {baseline}",
        description=" ".join(in_words(v) for v in verdicts) or "No verdict yet.",
        kind="forest",
    )


def writer_for(verdict: Verdict) -> Callable[[float], str]:
    """How a verdict's figures are written: with the decimals that its interval's width deserves."""
    interval, estimate = verdict.interval, abs(verdict.estimate or 0.0)
    if interval is None:
        return signed(decimals_for(estimate, largest=estimate))
    largest = max(estimate, abs(interval.lo), abs(interval.hi))
    return signed(decimals_for(interval.hi - interval.lo, largest=largest))


def in_words(verdict: Verdict) -> str:
    """A verdict as one sentence, for those who do not see the picture."""
    if verdict.estimate is None:
        return f"{verdict.metric}: {verdict.outcome}, {verdict.note or 'no estimate'}."
    write = writer_for(verdict)
    between = (
        f"interval {write(verdict.interval.lo)} to {write(verdict.interval.hi)}"
        if verdict.interval
        else "no interval"
    )
    return f"{verdict.metric}: {verdict.outcome}, difference {write(verdict.estimate)}, {between}, p {p_words(_p(verdict))}, n {verdict.n}."


def marker(outcome: Outcome, x: float, y: float, *, size: float = 6.0) -> Element:
    """The shape of an outcome: up, down, square, hollow circle, cross. Readable without colour."""
    kind = f"chart-mark chart-{outcome.value}"
    if outcome is Outcome.BETTER:
        return path(
            [(x, y - size), (x + size, y + size * 0.8), (x - size, y + size * 0.8)], class_=kind, closed=True
        )
    if outcome is Outcome.WORSE:
        return path(
            [(x, y + size), (x + size, y - size * 0.8), (x - size, y - size * 0.8)], class_=kind, closed=True
        )
    if outcome is Outcome.EQUIVALENT:
        half = size * 0.82
        return box(x - half, y - half, 2 * half, 2 * half, class_=kind, radius=1)
    if outcome is Outcome.INCONCLUSIVE:
        return element("circle", cx=x, cy=y, r=size * 0.85, class_=f"{kind} chart-hollow")
    arm = size * 0.75
    return group(
        line(x - arm, y - arm, x + arm, y + arm, class_=kind),
        line(x - arm, y + arm, x + arm, y - arm, class_=kind),
    )


def _columns(width: float) -> _Columns:
    label = min(240.0, width * _LABEL)
    right = width - _NUMBERS
    return _Columns(
        label=4,
        plot_start=label + 12,
        plot_end=right - 12,
        estimate=right,
        p=right + 196,
        mde=right + 262,
        outcome=width - 88,
    )


def _zero(columns: _Columns) -> float:
    return (columns.plot_start + columns.plot_end) / 2


def _head(columns: _Columns, width: float) -> Element:
    at = _HEAD - 16
    return group(
        text("metric", columns.label, at, class_="chart-head"),
        text("difference [interval]", columns.estimate, at, class_="chart-head"),
        text("p", columns.p, at, class_="chart-head", anchor="end"),
        text("can see", columns.mde, at, class_="chart-head", anchor="end"),
        text("outcome", columns.outcome, at, class_="chart-head"),
        line(0, _HEAD - 6, width, _HEAD - 6, class_="chart-rule"),
    )


def _row(verdict: Verdict, scale: Scale, columns: _Columns, *, top: float, width: float) -> Element:
    middle = top + _ROW / 2
    cases = f"n {verdict.n:,}".replace(",", "\u202f")
    if verdict.n_errors:
        cases += f" · {verdict.n_errors} error{'s' if verdict.n_errors > 1 else ''}"
    room = columns.plot_start - columns.label - 14
    p_label = p_words(_p(verdict))
    parts = [
        text(fitted(verdict.metric, room, size=13), columns.label, middle - 3, class_="chart-label"),
        text(fitted(cases, room, size=11), columns.label, middle + 13, class_="chart-quiet"),
        *_interval(verdict, scale, middle),
        *_figures(verdict, columns, middle),
        text(p_label, columns.p, middle + 4, class_="chart-figure", anchor="end"),
        text(
            "–" if verdict.mde is None else f"±{figure(float(f'{verdict.mde:.2g}'))}",
            columns.mde,
            middle + 4,
            class_="chart-figure chart-quiet",
            anchor="end",
        ),
        marker(verdict.outcome, columns.outcome - 13, middle, size=5),
        text(
            verdict.outcome.value,
            columns.outcome,
            middle + 4,
            class_=f"chart-word chart-{verdict.outcome.value}",
        ),
        line(0, top + _ROW - 0.5, width, top + _ROW - 0.5, class_="chart-rule chart-faint"),
    ]
    hover = "\n".join([verdict.question, in_words(verdict), *([verdict.note] if verdict.note else [])])
    return group(*parts, class_="chart-row", hover=hover)


def _interval(verdict: Verdict, scale: Scale, middle: float) -> list[Element]:
    parts: list[Element] = []
    if verdict.margin is not None:
        lo, hi = scale.place(-verdict.margin), scale.place(verdict.margin)
        parts.append(box(lo, middle - _ROW / 2 + 5, hi - lo, _ROW - 10, class_="chart-margin", radius=2))
    zero, kind = scale.place(0.0), f"chart-{verdict.outcome.value}"
    parts.append(line(zero, middle - _ROW / 2, zero, middle + _ROW / 2, class_="chart-zero"))
    if verdict.interval is not None:
        lo, hi = scale.place(verdict.interval.lo), scale.place(verdict.interval.hi)
        parts.append(line(lo, middle, hi, middle, class_=f"chart-whisker {kind}"))
        parts.extend(
            line(end, middle - 5, end, middle + 5, class_=f"chart-whisker {kind}") for end in (lo, hi)
        )
    if verdict.estimate is not None:
        parts.append(marker(verdict.outcome, scale.place(verdict.estimate), middle, size=7))
    return parts


def _figures(verdict: Verdict, columns: _Columns, middle: float) -> list[Element]:
    if verdict.estimate is None:
        return [text("no estimate", columns.estimate, middle + 4, class_="chart-quiet")]
    write = writer_for(verdict)
    interval = verdict.interval
    between = f"[{write(interval.lo)}, {write(interval.hi)}]" if interval else "no interval"
    return [
        text(write(verdict.estimate), columns.estimate, middle - 3, class_="chart-figure chart-strong"),
        text(between, columns.estimate, middle + 13, class_="chart-figure chart-quiet"),
    ]


def _foot(
    columns: _Columns, bottom: float, *, widest: float | None, names: tuple[str, str], width: float
) -> Element:
    zero = _zero(columns)
    parts = [line(zero, bottom, zero, bottom + 7, class_="chart-zero")]
    if widest is None:
        parts.append(
            text("0 · each row on its own scale", zero, bottom + 20, class_="chart-tick", anchor="middle")
        )
    else:
        scale = Scale(-widest * 1.08, widest * 1.08, columns.plot_start, columns.plot_end)
        ticks = inner_ticks(-widest * 1.08, widest * 1.08, about=5)
        write = signed(max((_decimals_of(tick) for tick in ticks), default=1))
        for tick in ticks:
            at = scale.place(tick)
            parts.append(line(at, bottom + 2, at, bottom + 7, class_="chart-axis"))
            label = "0" if tick == 0 else write(tick)
            parts.append(text(label, at, bottom + 20, class_="chart-tick", anchor="middle"))
    lower, higher = (
        fitted(f"{name} higher", room - 30, size=11)
        for name, room in zip(names, (zero, width - zero), strict=True)
    )
    parts.append(text(f"← {lower}", zero - 10, bottom + 37, class_="chart-quiet", anchor="end"))
    parts.append(text(f"{higher} →", zero + 10, bottom + 37, class_="chart-quiet"))
    return group(*parts)


def _reach(verdict: Verdict) -> float:
    """How far from 0 a row goes."""
    ends = [verdict.estimate or 0.0, verdict.margin or 0.0]
    if verdict.interval is not None:
        ends += [verdict.interval.lo, verdict.interval.hi]
    return max(abs(end) for end in ends)


def _decimals_of(tick: float) -> int:
    return len(f"{tick:.10f}".rstrip("0").partition(".")[2])


def _p(verdict: Verdict) -> float | None:
    return verdict.p_value if verdict.p_adjusted is None else verdict.p_adjusted
