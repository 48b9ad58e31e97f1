"""Pictures over time: bars of one series, lines of several, and a sparkline. What is not known is a gap, never a zero."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from assay.charts.scales import Scale, Unit, clock_ticks, figure, instant, round_ticks, top_of
from assay.charts.svg import Element, Svg, box, element, fitted, group, line, path, picture, text

_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 10.0, 12.0, 26.0
_LEGEND = 22.0

Values = Sequence[float | None]


def time_bars(
    times_ns: Sequence[int],
    values: Values,
    *,
    step_ns: int,
    title: str,
    unit: Unit = Unit.COUNT,
    series: int = 1,
    width: float = 560,
    height: float = 180,
) -> Svg:
    """One bar a bucket: `times_ns[i]` is where bucket i starts (UTC, ascending), `step_ns` how long each lasts.

    None leaves a shaded gap: nothing is known of that bucket. 0 is a bucket in which nothing happened. Values ≥ 0;
    `series` 1 to 6 picks the colour. Raises `ValueError` where times and values differ in number.
    """
    _check(times_ns, {title: values})
    frame, across, up = _frame(
        times_ns, [values], step_ns=step_ns, unit=unit, width=width, height=height, top=_TOP
    )
    bars: list[Element] = []
    for at, value in zip(times_ns, values, strict=True):
        left, right = across.place(at), across.place(at + step_ns)
        gap = min(2.0, (right - left) * 0.2)
        said = f"{instant(at)} · {'not known' if value is None else figure(value, unit)}"
        if value is None:
            shape = box(left, up.end, right - left + 0.6, up.start - up.end, class_="chart-gap")
        else:
            top = min(up.place(value), up.start - 1.0) if value > 0 else up.start
            shape = box(
                left + gap / 2,
                top,
                right - left - gap,
                up.start - top,
                class_=f"chart-bar chart-{series}",
                radius=1,
            )
        hit = box(left, up.end, right - left, up.start - up.end, class_="chart-hit")
        bars.append(group(shape, hit, hover=said))
    if all(value is None for value in values):
        bars = [_empty(across, up)]
    return picture(
        *frame,
        *bars,
        width=width,
        height=height,
        title=title,
        description=_described(times_ns, {title: values}, unit),
        kind="time-bars",
    )


def time_lines(
    times_ns: Sequence[int],
    lines: dict[str, Values],
    *,
    step_ns: int,
    title: str,
    unit: Unit = Unit.NUMBER,
    width: float = 560,
    height: float = 180,
) -> Svg:
    """Up to six named lines (p50, p95 …) over the same buckets; a line breaks where a value is None.

    A value between two gaps is drawn as a dot. The second line is dashed, so that two are told apart without colour.
    Raises `ValueError` where times and values differ in number, or for more than six lines.
    """
    _check(times_ns, lines)
    if len(lines) > 6:
        raise ValueError(f"at most six lines fit a picture, not {len(lines)}")
    frame, across, up = _frame(
        times_ns,
        list(lines.values()),
        step_ns=step_ns,
        unit=unit,
        width=width,
        height=height,
        top=_TOP + _LEGEND,
    )
    parts: list[Element] = [*frame, *_legend(list(lines))]
    if all(value is None for values in lines.values() for value in values):
        parts.append(_empty(across, up))
    for number, values in enumerate(lines.values(), start=1):
        kind = f"chart-line chart-{number}" + (" chart-dashed" if number == 2 else "")
        for stretch in _stretches(times_ns, values):
            points = [(across.place(at + step_ns / 2), up.place(value)) for at, value in stretch]
            if len(points) == 1:
                parts.append(
                    element("circle", cx=points[0][0], cy=points[0][1], r=2, class_=f"chart-{number}")
                )
            else:
                parts.append(path(points, class_=kind))
    for place, at in enumerate(times_ns):
        said = [instant(at)] + [
            f"{name} {'not known' if values[place] is None else figure(values[place] or 0.0, unit)}"
            for name, values in lines.items()
        ]
        left, right = across.place(at), across.place(at + step_ns)
        parts.append(
            group(
                box(left, up.end, right - left, up.start - up.end, class_="chart-hit"), hover="\n".join(said)
            )
        )
    return picture(
        *parts,
        width=width,
        height=height,
        title=title,
        description=_described(times_ns, lines, unit),
        kind="time-lines",
    )


def sparkline(
    values: Values, *, title: str, unit: Unit = Unit.NUMBER, width: float = 96, height: float = 24
) -> Svg:
    """A line without axes, as high as a line of text; it breaks where a value is None, and a dot marks the last one."""
    known = [v for v in values if v is not None]
    lo, hi = min([0.0, *known]), max([0.0, *known]) or 1.0
    across = Scale(0, max(1, len(values) - 1), 3, width - 3)
    up = Scale(lo, hi, height - 3, 3)
    parts: list[Element] = []
    for stretch in _stretches(range(len(values)), values):
        points = [(across.place(at), up.place(value)) for at, value in stretch]
        parts.append(path(points, class_="chart-line chart-1") if len(points) > 1 else _dot(points[0]))
    if known and values[-1] is not None:
        parts.append(_dot((across.place(len(values) - 1), up.place(values[-1]))))
    described = f"{len(values)} values, last {figure(known[-1], unit)}." if known else "No values yet."
    return picture(*parts, width=width, height=height, title=title, description=described, kind="sparkline")


def _dot(point: tuple[float, float]) -> Element:
    return element("circle", cx=point[0], cy=point[1], r=2.2, class_="chart-1")


def _frame(
    times_ns: Sequence[int],
    series: Sequence[Values],
    *,
    step_ns: int,
    unit: Unit,
    width: float,
    height: float,
    top: float,
) -> tuple[list[Element], Scale, Scale]:
    """Axes and grid, the scale across (nanoseconds) and the scale up."""
    bottom, right = height - _BOTTOM, width - _RIGHT
    highest = max((top_of(values) for values in series), default=0.0)
    if highest <= 0:
        highest = 1.0
    if unit is Unit.COUNT:
        highest = max(highest, 4.0)
    ticks = round_ticks(0.0, highest, about=4 if height < 220 else 5)
    up = Scale(0.0, ticks[-1], bottom, top)
    start, end = (times_ns[0], times_ns[-1] + step_ns) if times_ns else (0, 1)
    across = Scale(start, end, _LEFT, right)
    parts: list[Element] = []
    for tick in ticks:
        at = up.place(tick)
        parts.append(line(_LEFT, at, right, at, class_="chart-axis" if tick == 0 else "chart-grid"))
        parts.append(text(figure(tick, unit), _LEFT - 8, at + 4, class_="chart-tick", anchor="end"))
    for moment, words in clock_ticks(start, end, about=max(2, int((right - _LEFT) / 76))) if times_ns else []:
        at = across.place(moment)
        if at <= right - 12:
            parts.append(line(at, bottom, at, bottom + 4, class_="chart-axis"))
            parts.append(text(words, at, bottom + 17, class_="chart-tick", anchor="middle"))
    return parts, across, up


def _empty(across: Scale, up: Scale) -> Element:
    middle = (across.start + across.end) / 2
    return text(
        "Nothing here yet", middle, (up.start + up.end) / 2 + 4, class_="chart-quiet", anchor="middle"
    )


def _legend(names: Sequence[str]) -> Iterator[Element]:
    at = _LEFT
    for number, name in enumerate(names, start=1):
        shown = fitted(name, 120, size=11)
        kind = f"chart-line chart-{number}" + (" chart-dashed" if number == 2 else "")
        yield line(at, _TOP + 1, at + 18, _TOP + 1, class_=kind)
        yield text(shown, at + 24, _TOP + 5, class_="chart-quiet")
        at += 24 + 7.2 * len(shown) + 18


def _stretches(times: Sequence[int], values: Values) -> Iterator[list[tuple[int, float]]]:
    """The runs of known values."""
    pairs = zip(times, values, strict=True)
    for known, run in groupby(pairs, key=lambda pair: pair[1] is not None):
        if known:
            yield [(at, value) for at, value in run if value is not None]


def _check(times_ns: Sequence[int], lines: dict[str, Values]) -> None:
    for name, values in lines.items():
        if len(values) != len(times_ns):
            raise ValueError(f"{name!r} has {len(values)} values for {len(times_ns)} times")


def _described(times_ns: Sequence[int], lines: dict[str, Values], unit: Unit) -> str:
    if not times_ns:
        return "Nothing here yet."
    told = []
    for name, values in lines.items():
        known = [v for v in values if v is not None]
        gaps = len(values) - len(known)
        ends = f"{figure(min(known), unit)} to {figure(max(known), unit)}" if known else "not known"
        told.append(f"{name}: {ends}" + (f", {gaps} of {len(values)} not known" if gaps and known else ""))
    return f"{instant(times_ns[0])} to {instant(times_ns[-1])} UTC. " + "; ".join(told) + "."
