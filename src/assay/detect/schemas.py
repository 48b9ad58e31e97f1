"""JSON Schemas: whether a text is JSON that fits one, and what is wrong with it. Without references to elsewhere, with patterns
in linear time (decision 0051)."""

import re
from typing import Any

import jsonschema_rs
import msgspec

from assay.errors import BadRequest

SHOWN = 300
"""Characters of what is said about a value."""

_FENCED = re.compile(r"\A\s*```[a-zA-Z0-9]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


class Schema:
    """A schema that is ready to validate."""

    def __init__(self, schema: dict[str, Any], *, param: str = "schema") -> None:
        """Raises `BadRequest` naming `param` for one that cannot be used."""
        self.schema = schema
        try:
            self._validator = jsonschema_rs.validator_for(
                schema, offline=True, pattern_options=jsonschema_rs.RegexOptions()
            )
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise BadRequest(f"The schema cannot be used: {error}"[:500], param=param) from error

    def problem(self, text: str) -> str | None:
        """The first thing that is wrong with a text: that it is no JSON, or where it does not fit and why."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            return f"not JSON: {error}"[:SHOWN]
        wrong = next(iter(self._validator.iter_errors(value)), None)
        if wrong is None:
            return None
        place = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in wrong.instance_path)
        said = str(wrong.message)[:SHOWN]
        return f"{place.removeprefix('.')}: {said}" if place else said


def unfenced(text: str) -> tuple[int, int]:
    """Where in a text the JSON stands: within the Markdown fence around all of it, or everywhere."""
    fenced = _FENCED.match(text)
    return (fenced.start(1), fenced.end(1)) if fenced else (0, len(text))
