"""How well a name answers what somebody typed: pure, and the same for everything that is found."""

import re

_WORD = re.compile(r"[a-z0-9]+")


def rank(asked: str, name: str) -> int | None:
    """0 for the name itself, then its beginning, the beginning of one of its words, its middle, its letters in order with
    others between; None when it does not answer at all."""
    asked, name = asked.casefold().strip(), name.casefold()
    if not asked or asked == name:
        return 0
    if name.startswith(asked):
        return 1
    if any(name.startswith(asked, found.start()) for found in _WORD.finditer(name)):
        return 2
    if asked in name:
        return 3
    return 4 if len(asked) > 2 and _in_order(asked, name) else None


def _in_order(asked: str, name: str) -> bool:
    letters = iter(name)
    return all(letter in letters for letter in asked if not letter.isspace())
