"""What a model or a task says about its cache: `cache = { ttl_s = 3600 }`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from assay.catalog.known import unknown
from assay.errors import BadRequest

MAX_TTL_S = 30 * 86_400.0
"""A month: what is older is no cache any more but a dataset."""


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long an answer is told again. `sampled` caches calls of a temperature above 0, too.

    With `similarity` a question that means the same as an earlier one of the task is answered likewise: from this cosine on
    of their vectors, which the model `encoder` makes. `input` is the task's input that is compared, where it has several; the
    others must be equal.
    """

    ttl_s: float
    sampled: bool = False
    similarity: float | None = None
    encoder: str | None = None
    input: str | None = None


_OF_MODEL = ("ttl_s", "sampled")
_TYPES: Mapping[str, Any] = {
    "ttl_s": float,
    "sampled": bool,
    "similarity": float,
    "encoder": str,
    "input": str,
}


def parse_policy(where: str, given: Any, *, is_task: bool) -> CachePolicy:
    """Read a `cache` table. Raises `BadRequest` whose `param` is the field."""
    if not isinstance(given, Mapping):
        raise BadRequest(f"{where} is {given!r}: it must be a table", param=where, hint="{ ttl_s = 3600 }")
    fields = tuple(_TYPES) if is_task else _OF_MODEL
    for name in given:
        if name not in fields:
            raise unknown(where, name, fields)
    values = {name: _value(f"{where}.{name}", _TYPES[name], value) for name, value in given.items()}
    if "ttl_s" not in values:
        raise BadRequest(
            f"{where} does not say how long: ttl_s is missing",
            param=f"{where}.ttl_s",
            hint="{ ttl_s = 3600 }",
        )
    if not 0 < values["ttl_s"] <= MAX_TTL_S:
        raise BadRequest(
            f"{where}.ttl_s is {values['ttl_s']:g}: it must be seconds, above 0 and at most {MAX_TTL_S:.0f}",
            param=f"{where}.ttl_s",
        )
    if ("similarity" in values) != ("encoder" in values):
        raise BadRequest(
            f"{where} needs both similarity and encoder, or neither",
            param=where,
            hint='{ ttl_s = 3600, similarity = 0.95, encoder = "minilm" }',
        )
    if not 0 < values.get("similarity", 1) <= 1:
        raise BadRequest(
            f"{where}.similarity is {values['similarity']:g}: it must be above 0 and at most 1",
            param=f"{where}.similarity",
        )
    if "input" in values and "similarity" not in values:
        raise BadRequest(f"{where}.input is of use only with similarity", param=f"{where}.input")
    return CachePolicy(**values)


def _value(where: str, type: Any, given: Any) -> Any:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not (is_number if type is float else isinstance(given, type)):
        wanted = {float: "a number", bool: "true or false", str: "a text"}[type]
        raise BadRequest(f"{where} is {given!r}: it must be {wanted}", param=where)
    return type(given)
