"""Patterns in linear time, and many of them at once.

RE2 has neither backreferences nor lookaround, and no text makes it slow (decision 0051). A `PatternSet` asks all patterns in
one pass; only those that are somewhere in the text are then looked for one by one.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import re2

from assay.errors import BadRequest

MAX_MEMORY = 64 << 20
"""Bytes that the automaton of a set may grow to."""

_SURROGATES = re.compile("[\ud800-\udfff]")


def compile_pattern(pattern: str, *, casefold: bool = False, param: str = "pattern") -> Any:
    """A compiled RE2 pattern. Raises `BadRequest` for one that it has not."""
    try:
        return re2.compile(pattern, _options(casefold=casefold))
    except re2.error as error:
        said = error.args[0] if error.args else error
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise BadRequest(
            f"The pattern {pattern!r} cannot be used: {words}",
            param=param,
            hint="Patterns are RE2's: no backreferences, no lookaround.",
        ) from error


def encodable(text: str) -> str:
    """The same text, each lone surrogate (which UTF-8 cannot say) replaced by one character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text)
    return text


class PatternSet:
    """Patterns that are looked for together."""

    def __init__(self, patterns: Sequence[str]) -> None:
        options = _options(casefold=False)
        self._each = [re2.compile(pattern, options) for pattern in patterns]
        self._all = re2.Set.SearchSet(options)
        for pattern in patterns:
            self._all.Add(pattern)
        self._all.Compile()

    def which(self, text: str) -> list[int]:
        """The numbers of the patterns that are somewhere in it."""
        return sorted(self._all.Match(text) or ())

    def matches(self, number: int, text: str) -> Iterator[Any]:
        """Each match of one pattern, from left to right, without overlaps."""
        found: Iterator[Any] = self._each[number].finditer(text)
        return found


def _options(*, casefold: bool) -> Any:
    options = re2.Options()
    options.case_sensitive = not casefold
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return options
