"""Names that are not known, said with the nearest one that is."""

from collections.abc import Iterable
from difflib import get_close_matches

from assay.errors import BadRequest


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint with the known name that looks most like `name`, if one does."""
    close = get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else None


def unknown(where: str, name: str, known: Iterable[str]) -> BadRequest:
    """The error for a key that a table does not have."""
    names = list(known)
    hint = nearest(name, names) or f"Known: {', '.join(names)}."
    return BadRequest(f"{where} has no key {name!r}", param=f"{where}.{name}", hint=hint)
