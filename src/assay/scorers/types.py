"""What a scorer is and what it says."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

import msgspec

Kind = Literal["yes_no", "number"]


class ScoreResult(msgspec.Struct, frozen=True):
    """A bool for a yes/no scorer, a float for one of numbers."""

    value: bool | float
    explanation: str | None = None


class Unscorable(msgspec.Struct, frozen=True):
    """This case has no score, and why: counted apart, never as a zero."""

    reason: str


class Scorer(Protocol):
    """Something that scores. Its options are its constructor's arguments; the same arguments give the same scores."""

    kind: ClassVar[Kind]
    higher_is_better: ClassVar[bool]
    bounds: ClassVar[tuple[float, float] | None]
    """The least and the greatest number it can give, where there are such."""

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Score one output. `context` is the case's metadata."""


def kind_of(value: object) -> str:
    """The JSON type of a value, for messages."""
    if value is None:
        return "missing"
    names = {
        str: "a text",
        bool: "a bool",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def texts_of(reference: Any, *, scorer: str) -> list[str] | Unscorable:
    """A reference that is a text, or several of them."""
    if isinstance(reference, str):
        return [reference]
    if isinstance(reference, list) and reference and all(isinstance(each, str) for each in reference):
        return reference
    return Unscorable(f"the reference is {kind_of(reference)}; {scorer} needs a text or a list of texts")
