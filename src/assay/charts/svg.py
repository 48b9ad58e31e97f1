"""A small SVG writer: elements in, escaped text out. It refuses what the pages' security policy would block."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

# What XML does not allow, and the invisible characters that reorder text: a label is hostile input.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u200b\u2028-\u202e\u2060\u2066-\u2069\ufeff]"
)
_FORBIDDEN = re.compile(r"style|href|on.*", re.IGNORECASE)
_NARROW_LETTERS = frozenset("fijlrtI.,:;!|'()[] -\u202f")


class Svg(str):
    """A whole picture. Templates with autoescape take it as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


class Element(NamedTuple):
    """One element of a picture; children that are text are escaped when written."""

    tag: str
    attributes: dict[str, str]
    children: tuple["Element | str", ...]

    def render(self) -> str:
        """The element as SVG text."""
        attributes = "".join(
            f" {name}={quoteattr(printable(value))}" for name, value in self.attributes.items()
        )
        if not self.children:
            return f"<{self.tag}{attributes}/>"
        inner = "".join(c.render() if isinstance(c, Element) else escape(printable(c)) for c in self.children)
        return f"<{self.tag}{attributes}>{inner}</{self.tag}>"


def element(tag: str, *children: Element | str, **attributes: str | float | None) -> Element:
    """An element. In attribute names `_` stands for `-` and a last one is dropped (`class_`); None leaves one out.

    Raises `ValueError` for attributes that carry style, script or a link, and for numbers that are not finite.
    """
    written: dict[str, str] = {}
    for name, value in attributes.items():
        plain = name.rstrip("_").replace("_", "-")
        if _FORBIDDEN.fullmatch(plain):
            raise ValueError(f"a picture may not carry the attribute {plain!r}")
        if value is not None:
            written[plain] = value if isinstance(value, str) else coordinate(value)
    return Element(tag, written, children)


def picture(*children: Element, width: float, height: float, title: str, description: str, kind: str) -> Svg:
    """The whole picture with its title and description for those who do not see it; `kind` becomes `chart-{kind}`."""
    return Svg(
        element(
            "svg",
            element("title", title),
            element("desc", description),
            *children,
            xmlns="http://www.w3.org/2000/svg",
            class_=f"chart chart-{kind}",
            viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
            width=width,
            height=height,
            role="img",
            aria_label=f"{title}. {description}",
        ).render()
    )


def group(*children: Element, class_: str | None = None, hover: str | None = None) -> Element:
    """Elements that belong together; `hover` is what a pointer resting on them shows."""
    return element("g", *([element("title", hover)] if hover else []), *children, class_=class_)


def text(value: str, x: float, y: float, *, class_: str, anchor: str = "start") -> Element:
    """One line of text; `anchor` is start, middle or end."""
    return element("text", value, x=x, y=y, class_=class_, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, *, class_: str) -> Element:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def box(
    x: float, y: float, width: float, height: float, *, class_: str, radius: float | None = None
) -> Element:
    """A rectangle; one of negative size has size 0."""
    return element("rect", x=x, y=y, width=max(0.0, width), height=max(0.0, height), rx=radius, class_=class_)


def path(points: Sequence[tuple[float, float]], *, class_: str, closed: bool = False) -> Element:
    """A line through all points."""
    drawn = " ".join(
        f"{'L' if place else 'M'}{coordinate(x)} {coordinate(y)}" for place, (x, y) in enumerate(points)
    )
    return element("path", d=drawn + ("Z" if closed else ""), class_=class_)


def coordinate(value: float) -> str:
    """A number as short as two decimals allow. Raises `ValueError` where it is not finite."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value!r} has no place in a picture")
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def printable(value: str) -> str:
    """The text without control characters, bidirectional overrides and what XML does not allow."""
    return _UNPRINTABLE.sub("\ufffd", value)


def fitted(value: str, width: float, *, size: float) -> str:
    """The text cut with an ellipsis to about `width` pixels at a font size of `size` pixels."""
    room = width
    for place, letter in enumerate(value):
        room -= size * letter_width(letter)
        if room < 0:
            return value[: max(1, place - 1)].rstrip() + "…"
    return value


def letter_width(letter: str) -> float:
    """About how wide a letter is, in font sizes: an estimate on the safe side for sans-serif faces."""
    if letter in _NARROW_LETTERS:
        return 0.36
    if ord(letter) >= 0x1100:
        return 1.0
    return 0.72 if letter.isupper() or letter in "mw%@" else 0.58
