"""Scorers of JSON: `json_valid`, `json_fields`."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import jsonschema_rs
import msgspec

from assay.errors import BadRequest
from assay.scorers.types import Kind, ScoreResult, Unscorable, kind_of

_FENCED = re.compile(r"\A\s*```[a-zA-Z0-9]*\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


class JsonValid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the output is JSON, and fits `schema` (JSON Schema, without references to elsewhere). With `fenced` a
    Markdown code fence around it is allowed."""

    kind: ClassVar[Kind] = "yes_no"
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float] | None] = None

    fenced: bool = True
    schema: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self._validator()

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Yes or no; the explanation says what is wrong."""
        value, problem = read_json(output, fenced=self.fenced)
        if problem is not None:
            return ScoreResult(False, problem)
        validator = self._validator()
        wrong = None if validator is None else next(iter(validator.iter_errors(value)), None)
        return ScoreResult(wrong is None, None if wrong is None else str(wrong.message)[:500])

    def _validator(self) -> Any:
        if self.schema is None:
            return None
        try:
            return jsonschema_rs.validator_for(
                self.schema, offline=True, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise BadRequest(f"The schema cannot be used: {error}"[:500], param="scorers.schema") from error


class JsonFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether these fields of the output equal the reference's (all fields of the reference by default). Numbers equal
    by value, everything else as JSON; further fields of the output do not matter."""

    kind: ClassVar[Kind] = "yes_no"
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float] | None] = None

    fields: list[str] | None = None
    fenced: bool = True

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """Yes or no; the explanation names the fields that differ."""
        if not isinstance(reference, dict):
            return Unscorable(f"the reference is {kind_of(reference)}; json_fields needs an object")
        fields = list(reference) if self.fields is None else self.fields
        absent = [name for name in fields if name not in reference]
        if absent:
            return Unscorable(f"the reference lacks {', '.join(absent)}")
        value, problem = read_json(output, fenced=self.fenced)
        if problem is not None:
            return ScoreResult(False, problem)
        if not isinstance(value, dict):
            return ScoreResult(False, f"the output is {kind_of(value)}, not an object")
        wrong = [name for name in fields if name not in value or not _same(value[name], reference[name])]
        return ScoreResult(not wrong, f"differs in {', '.join(wrong)}"[:500] if wrong else None)


def read_json(output: str, *, fenced: bool) -> tuple[Any, str | None]:
    """The value, or what is wrong."""
    inside = _FENCED.match(output) if fenced else None
    try:
        return msgspec.json.decode(inside[1] if inside else output), None
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        return None, f"not JSON: {error}"


def _same(left: Any, right: Any) -> bool:
    """Equality in which `True` is not 1, at any depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
