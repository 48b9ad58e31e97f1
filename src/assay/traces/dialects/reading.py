"""Attributes by name, type and place, for the dialects: what has the wrong type counts as not there."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_LABEL = 256
"""Characters of a session, user or tag that are kept, as at the gateway."""
MAX_TAGS = 64
_SECOND_NS = 1_000_000_000
_LONGEST_S = 10**9
_DEEPEST = 12
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()

Attributes = Mapping[str, Any]


def text(attributes: Attributes, *names: str) -> str | None:
    """The first of the attributes that is a text with something in it."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def label(attributes: Attributes, *names: str) -> str | None:
    """A short text or number: a session, a user."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)[:MAX_LABEL]
    return None


def labels(attributes: Attributes, *names: str) -> tuple[str, ...] | None:
    """A list of short texts, sent as a list, as JSON or with commas."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str):
            found = decoded(value) if value.startswith("[") else None
            value = found if isinstance(found, list) else value.split(",")
        if isinstance(value, list) and value:
            said = [str(item).strip()[:MAX_LABEL] for item in value if isinstance(item, str | int)]
            return tuple(dict.fromkeys(filter(None, said)))[:MAX_TAGS]
    return None


def count(attributes: Attributes, *names: str) -> int | None:
    """A number of tokens. Some emitters send them as text or as a float."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 19:
            value = int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62:
            return value
    return None


def dollars(attributes: Attributes, *names: str) -> Decimal | None:
    """An amount of money, with the digits that a float shows."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                amount = Decimal(str(value))
            except InvalidOperation:
                continue
            if amount.is_finite() and 0 <= amount < 10**9:
                return amount
    return None


def flag(attributes: Attributes, *names: str) -> bool | None:
    """A yes or no."""
    return next((value for name in names if isinstance(value := attributes.get(name), bool)), None)


def nanoseconds(attributes: Attributes, name: str) -> int | None:
    """A duration that was sent in seconds."""
    value = attributes.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LONGEST_S:
        return round(value * _SECOND_NS)
    return None


def structure(attributes: Attributes, *names: str) -> Any:
    """A list or map, sent as such or as JSON text; None when there is none."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str):
            value = decoded(value)
        if isinstance(value, list | dict):
            return value
    return None


def decoded(json: str) -> Any:
    """The value of a JSON text; None when it is none."""
    try:
        return _decoder.decode(json)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def encoded(value: Any) -> bytes:
    """JSON."""
    return _encoder.encode(value)


def content(value: Any) -> bytes | None:
    """An input or output as it is kept: JSON text stays what it is, any other text and value becomes JSON."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and value[:1] in ("{", "[", '"') and decoded(value) is not None:
        return value.encode()
    return encoded(value)


def indexed(attributes: Attributes, prefix: str) -> list[Any]:
    """What was flattened: `{prefix}.0.message.role` and so on become `[{"message": {"role": …}}]`."""
    root: dict[str, Any] = {}
    start = prefix + "."
    for name, value in attributes.items():
        if not name.startswith(start):
            continue
        *path, last = name[len(start) :].split(".", _DEEPEST)
        node = root
        for step in path:
            inner = node.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            node = inner
        else:
            node.setdefault(last, value)
    found = _listed(root)
    return found if isinstance(found, list) else []


def _listed(node: Any) -> Any:
    """Maps whose keys are all numbers are lists, in the order of these."""
    if not isinstance(node, dict):
        return node
    inner = {key: _listed(value) for key, value in node.items()}
    if inner and all(key.isdecimal() and len(key) < 10 for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner
