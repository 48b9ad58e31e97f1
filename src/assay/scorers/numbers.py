"""The scorer `numeric`: a number read out of the output."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from assay.scorers.types import Kind, ScoreResult, Unscorable, kind_of

_MAX_OUTPUT = 100_000
_NUMBER = re.compile(
    r"[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+\u2212]?\.\d+", re.ASCII
)


class Numeric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the `last` (or `first`) number in the output equals the reference within `tolerance`, or within
    `relative` times the reference. Groups of thousands by commas are read; no number in the output is a no."""

    kind: ClassVar[Kind] = "yes_no"
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float] | None] = None

    take: Literal["last", "first"] = "last"
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    relative: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Yes or no; the explanation says which number was read."""
        wanted = _wanted(reference)
        if wanted is None:
            return Unscorable(f"the reference is {kind_of(reference)}; numeric needs a number")
        numbers = _NUMBER.findall(output[-_MAX_OUTPUT:] if self.take == "last" else output[:_MAX_OUTPUT])
        if not numbers:
            return ScoreResult(False, "no number in the output")
        read = numbers[-1 if self.take == "last" else 0]
        allowed = max(Decimal(repr(self.tolerance)), Decimal(repr(self.relative)) * abs(wanted))
        return ScoreResult(abs(_decimal(read) - wanted) <= allowed, f"read {read}")


def _wanted(reference: Any) -> Decimal | None:
    if isinstance(reference, bool) or not isinstance(reference, int | float | str):
        return None
    try:
        value = _decimal(str(reference).strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("\u2212", "-"))
