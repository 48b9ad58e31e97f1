"""Scorers of plain text: `exact`, `contains`, `regex`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec
import re2

from assay.errors import BadRequest
from assay.scorers.types import Kind, ScoreResult, Unscorable, kind_of, texts_of


class Exact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the output is the reference, or one of several. `strip` ignores space around both, `casefold` case."""

    kind: ClassVar[Kind] = "yes_no"
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float] | None] = None

    strip: bool = True
    casefold: bool = False

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Yes or no."""
        accepted = texts_of(reference, scorer="exact")
        if isinstance(accepted, Unscorable):
            return accepted
        return ScoreResult(self._plain(output) in {self._plain(text) for text in accepted})

    def _plain(self, text: str) -> str:
        text = text.strip() if self.strip else text
        return text.casefold() if self.casefold else text


class Contains(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the output contains the reference, or `text` where given. Of several, `all` must be there or `any` one."""

    kind: ClassVar[Kind] = "yes_no"
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float] | None] = None

    text: str | list[str] | None = None
    casefold: bool = False
    mode: Literal["all", "any"] = "all"

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Yes or no; the explanation names what is missing."""
        wanted = texts_of(reference if self.text is None else self.text, scorer="contains")
        if isinstance(wanted, Unscorable):
            return wanted
        searched = output.casefold() if self.casefold else output
        missing = [text for text in wanted if (text.casefold() if self.casefold else text) not in searched]
        value = not missing if self.mode == "all" else len(missing) < len(wanted)
        return ScoreResult(value, None if value else f"missing: {', '.join(missing)}"[:500])


class Regex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the output matches `pattern`, or the reference as a pattern. RE2's syntax: linear time, no backreferences."""

    kind: ClassVar[Kind] = "yes_no"
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float] | None] = None

    pattern: str | None = None
    full: bool = False
    casefold: bool = False

    def __post_init__(self) -> None:
        if self.pattern is not None:
            try:
                self._compiled(self.pattern)
            except re2.error as error:
                raise BadRequest(
                    f"The pattern {self.pattern!r} cannot be used: {_said(error)}",
                    param="scorers.pattern",
                    hint="Patterns are RE2's: no backreferences, no lookaround.",
                ) from error

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Yes or no."""
        pattern = reference if self.pattern is None else self.pattern
        if not isinstance(pattern, str):
            return Unscorable(f"the reference is {kind_of(pattern)}; regex needs a pattern as text")
        try:
            compiled = self._compiled(pattern)
        except re2.error as error:
            return Unscorable(f"the reference {pattern!r} is no pattern: {_said(error)}")
        found = compiled.fullmatch(output) if self.full else compiled.search(output)
        return ScoreResult(found is not None)

    def _compiled(self, pattern: str) -> Any:
        options = re2.Options()
        options.case_sensitive = not self.casefold
        options.log_errors = False
        return re2.compile(pattern, options)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
