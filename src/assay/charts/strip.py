"""The strip of one rate: where it lies between its possible ends, and how sure."""

from assay.charts.scales import MINUS, Scale, decimals_for
from assay.charts.svg import Svg, box, element, group, line, picture, text
from assay.stats.types import Estimate


def interval_strip(
    estimate: Estimate, *, bounds: tuple[float, float] = (0.0, 1.0), width: float = 240, height: float = 40
) -> Svg:
    """The estimate as a dot on a track from `bounds[0]` to `bounds[1]`, its interval as a band around it."""
    scale = Scale(*bounds, 6.0, width - 6.0)
    middle = 12.0
    parts = [box(scale.start, middle - 4, scale.end - scale.start, 8, class_="chart-track", radius=4)]
    if estimate.interval is not None:
        lo, hi = scale.place(estimate.interval.lo), scale.place(estimate.interval.hi)
        parts.append(box(lo, middle - 4, hi - lo, 8, class_="chart-band chart-2", radius=2))
        parts.extend(
            line(end, middle - 6, end, middle + 6, class_="chart-whisker chart-2") for end in (lo, hi)
        )
    if estimate.estimate is not None:
        parts.append(element("circle", cx=scale.place(estimate.estimate), cy=middle, r=4.5, class_="chart-2"))
    parts.append(text(in_figures(estimate), scale.start, height - 6, class_="chart-quiet"))
    told = f"{in_figures(estimate)} ({estimate.method})."
    return picture(
        group(*parts, hover=told),
        width=width,
        height=height,
        title=estimate.metric,
        description=told,
        kind="strip",
    )


def in_figures(estimate: Estimate) -> str:
    """`0.342 [0.258, 0.434] · n 120 · 4 errors`."""
    if estimate.estimate is None:
        parts = ["no score yet"]
    else:
        interval = estimate.interval
        digits = decimals_for(interval.hi - interval.lo) + 1 if interval and interval.hi > interval.lo else 3
        shown = f"{estimate.estimate:.{digits}f}"
        parts = [
            f"{shown} [{interval.lo:.{digits}f}, {interval.hi:.{digits}f}]" if interval else shown,
            f"n {estimate.n}",
        ]
    if estimate.n_errors:
        parts.append(f"{estimate.n_errors} error{'s' if estimate.n_errors > 1 else ''}")
    return " · ".join(parts).replace("-", MINUS)
