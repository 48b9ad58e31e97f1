"""What a simulated model says: tokens, words that depend only on the prompt, and values of a JSON Schema's shape."""

import hashlib
import re
from collections.abc import Mapping
from random import Random
from typing import Any

_TOKEN = re.compile(r"\s*\S{1,8}|\s+")
_DEEPEST = 8
_LONGEST = 4096
_MOST_VALUES = 2000
_WORDS: list[str] = re.findall(
    r"\w+",
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city community name president team minute idea kid body back parent "
    "face others level office door health person art war history party result change morning reason research girl guy",
)


def tokens(text: str) -> list[str]:
    """Cut a text into this model's tokens: a word with the space before it, or up to 8 letters of one.

    Joined they are the text again.
    """
    return _TOKEN.findall(text)


def lorem(prompt: str, count: int) -> str:
    """`count` tokens of words; the same prompt always gets the same ones, and a shorter text begins a longer one."""
    random = Random(int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big"))
    words = [random.choice(_WORDS) for _ in range(max(1, count))]
    return " ".join([words[0].capitalize(), *words[1:]])


def shaped(schema: Mapping[str, Any], random: Random) -> Any:
    """A value that a JSON Schema allows, for the keywords that tools and structured outputs use.

    Not for `pattern`, `not`, `if` and what else can demand anything; the value then only has the right type.
    """
    return _Shaper(schema, random).value(schema, 0)


class _Shaper:
    def __init__(self, root: Mapping[str, Any], random: Random) -> None:
        self._root = root
        self._random = random
        self._left = _MOST_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            return None
        if not isinstance(schema, Mapping):
            return True
        if "$ref" in schema:
            return self.value(self._resolve(schema["$ref"]), depth + 1) if depth < _DEEPEST else None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._random.choice(list(schema["enum"]))
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                options = list(schema[keyword])
                # The last option is often the way out of a recursion (null), so deep down it is taken.
                return self.value(
                    options[-1] if depth >= _DEEPEST else self._random.choice(options), depth + 1
                )
        if schema.get("allOf"):
            merged: dict[str, Any] = {name: part for name, part in schema.items() if name != "allOf"}
            for part in schema["allOf"]:
                merged = _merged(merged, self._resolve(part["$ref"]) if "$ref" in part else part)
            return self.value(merged, depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                count = max(int(schema.get("minItems", 0)), 0 if depth >= _DEEPEST else 1)
                count = min(count, int(schema.get("maxItems", count)), _MOST_VALUES)
                return [self.value(schema.get("items", {"type": "string"}), depth + 1) for _ in range(count)]
            case "integer":
                return self._number(schema, step=1)
            case "number":
                return self._number(schema, step=0)
            case "boolean":
                return self._random.random() < 0.5
            case "null":
                return None
            case _:
                return self._string(schema)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        wanted = (
            schema.get("required", []) if depth >= _DEEPEST else [*properties, *schema.get("required", [])]
        )
        return {
            name: self.value(properties.get(name, {"type": "string"}), depth + 1)
            for name in dict.fromkeys(wanted)
        }

    def _number(self, schema: Mapping[str, Any], *, step: int) -> int | float:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        low = (min(0, high - 1) if high is not None else 0) if low is None else low
        high = max(low + 10, low) if high is None else high
        if step:
            floor = int(low) + ("exclusiveMinimum" in schema or int(low) < low)
            ceiling = int(high) - ("exclusiveMaximum" in schema and int(high) == high)
            multiple = int(schema.get("multipleOf", 1)) or 1
            choices = range(floor + -floor % multiple, max(ceiling, floor) + 1, multiple)
            return self._random.choice(choices) if choices else floor
        return round(low + (high - low) * self._random.uniform(0.25, 0.75), 6)

    def _string(self, schema: Mapping[str, Any]) -> str:
        known = {
            "date": "2026-01-31",
            "date-time": "2026-01-31T12:00:00Z",
            "time": "12:00:00Z",
            "email": "someone@example.com",
            "uri": "https://example.com/",
            "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
        }
        if schema.get("format") in known:
            return known[schema["format"]]
        text = self._random.choice(_WORDS).ljust(min(int(schema.get("minLength", 0)), _LONGEST), "x")
        return text[: int(schema.get("maxLength", len(text)))]

    def _resolve(self, reference: Any) -> Any:
        found: Any = self._root
        for step in str(reference).removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
        return found


def _type_of(schema: Mapping[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = next((name for name in declared if name != "null"), "null")
    if declared is None:
        declared = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(declared)


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**left, **right}
    if "properties" in left and "properties" in right:
        merged["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        merged["required"] = [*left["required"], *right["required"]]
    return merged
