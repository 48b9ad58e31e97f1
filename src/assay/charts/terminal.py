"""The forest plot as plain text, for the command line: no colour, no markup, a given width, ASCII where need be."""

from collections.abc import Sequence
from typing import NamedTuple

from assay.charts.forest import writer_for
from assay.charts.scales import MINUS, NARROW, Scale, decimals_for, figure, p_words, signed
from assay.charts.svg import printable
from assay.wire.verdicts import Outcome, Verdict

_ASCII = str.maketrans({
    "─": "-", "├": "[", "┤": "]", "│": "|", "┼": "+", "·": ".", "█": "#", "▲": "^", "▼": "v", "■": "=",
    "○": "o", "✕": "x", "…": "~", "±": "+-", "≥": ">", MINUS: "-", NARROW: " ", "–": "-", "×": "x",
    "←": "<", "→": ">",
})  # fmt: skip
_MARKS = {
    Outcome.BETTER: "▲",
    Outcome.WORSE: "▼",
    Outcome.EQUIVALENT: "■",
    Outcome.INCONCLUSIVE: "○",
    Outcome.INVALID: "✕",
}


class _Plot(NamedTuple):
    """The label's room and the canvas between its ends, in letters."""

    label: int
    canvas: int
    scale: Scale


def forest_text(verdicts: Sequence[Verdict], *, width: float = 80, ascii_only: bool = False) -> str:
    """The forest plot in `width` letters (48 at least): two lines a verdict, then the axis.

    First line: metric, interval around 0 with the outcome's mark at the estimate. Second: outcome, difference, interval,
    p, n, and the smallest difference that the design could see.
    """
    if not verdicts:
        return "No verdict yet"
    room = max(48, int(width))
    label = min(22, max(len(v.metric) for v in verdicts), room // 3)
    canvas = (room - label - 2) // 2 * 2 - 1
    reach = max((abs(end) for v in verdicts for end in _ends(v)), default=0.0) or 1.0
    plot = _Plot(label, canvas, Scale(-reach * 1.05, reach * 1.05, 0, canvas - 1))
    lines: list[str] = []
    for verdict in verdicts:
        lines.append(f"{_cut(verdict.metric, label).ljust(label)}  {_drawn(verdict, plot)}".rstrip())
        lines.extend(_told(verdict, room))
    lines.append(" " * (label + 2) + _axis(reach, plot))
    written = "\n".join(lines)
    return written.translate(_ASCII) if ascii_only else written


def _drawn(verdict: Verdict, plot: _Plot) -> str:
    row = [" "] * plot.canvas
    if verdict.margin is not None:
        for at in range(
            round(plot.scale.place(-verdict.margin)), round(plot.scale.place(verdict.margin)) + 1
        ):
            row[at] = "·"
    row[plot.canvas // 2] = "│"
    if verdict.interval is not None:
        lo, hi = round(plot.scale.place(verdict.interval.lo)), round(plot.scale.place(verdict.interval.hi))
        for at in range(lo, hi + 1):
            row[at] = "┼" if at == plot.canvas // 2 else "─"
        row[lo], row[hi] = "├", "┤"
    if verdict.estimate is not None:
        row[round(plot.scale.place(verdict.estimate))] = _MARKS[verdict.outcome]
    return "".join(row)


def _told(verdict: Verdict, room: int) -> list[str]:
    parts = [f"{_MARKS[verdict.outcome]} {verdict.outcome.value}"]
    if verdict.estimate is not None:
        interval = verdict.interval
        write = writer_for(verdict)
        parts.append(write(verdict.estimate))
        if interval:
            parts[-1] += f" [{write(interval.lo)}, {write(interval.hi)}]"
    p_value = verdict.p_value if verdict.p_adjusted is None else verdict.p_adjusted
    if p_value is not None:
        parts.append(f"p {p_words(p_value)}")
    parts.append(f"n {verdict.n}")
    if verdict.n_errors:
        parts.append(f"{verdict.n_errors} errors")
    if verdict.mde is not None:
        parts.append(f"can see ±{figure(float(f'{verdict.mde:.2g}'))}")
    return _wrapped(parts, room - 2)


def _wrapped(parts: Sequence[str], room: int) -> list[str]:
    lines = [f"  {parts[0]}"]
    for part in parts[1:]:
        if len(lines[-1]) + 3 + len(part) > room + 2:
            lines.append(f"  {part}")
        else:
            lines[-1] += f" · {part}"
    return lines


def _axis(reach: float, plot: _Plot) -> str:
    write = signed(decimals_for(2 * reach))
    left, right = write(-reach), write(reach)
    gap = plot.canvas // 2 - len(left)
    return f"{left}{'0'.rjust(gap + 1)}{right.rjust(plot.canvas - plot.canvas // 2 - 1)}"


def _ends(verdict: Verdict) -> list[float]:
    interval = verdict.interval
    return [verdict.estimate or 0.0, verdict.margin or 0.0, *((interval.lo, interval.hi) if interval else ())]


def _cut(value: str, room: int) -> str:
    shown = printable(value).replace("\n", " ")
    return shown if len(shown) <= room else shown[: room - 1] + "…"
