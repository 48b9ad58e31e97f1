"""A picture that needs no page: its stylesheet inside, for reports, benchmarks and README files."""

from importlib import resources
from typing import Literal

from assay.charts.svg import Svg


def stylesheet() -> str:
    """The text of `charts.css`, the one place that says what pictures look like."""
    return (resources.files("assay") / "ui" / "static" / "charts.css").read_text(encoding="utf-8")


def standalone(drawn: Svg, *, theme: Literal["auto", "light", "dark"] = "auto") -> str:
    """`drawn` as the text of an .svg file: stylesheet and background inside, `auto` follows the reader's system."""
    scheme = {"auto": "light dark", "light": "light", "dark": "dark"}[theme]
    head, body = drawn.split(">", 1)
    css = (
        f":root {{ color-scheme: {scheme}; padding: 12px; background: var(--chart-paper); }}\n{stylesheet()}"
    )
    inside = css.replace("&", "&amp;").replace("<", "&lt;")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}><style>{inside}</style>{body}\n'
