"""Arguments and results as JSON text of bounded size and bounded effort.

It runs in the application's own thread, between its own lines, on values that may be changed a moment later. So a value
that is plain and small is checked in one walk and written by a compiled encoder; anything else is copied as far as the
bound goes, and the rest is counted. Nothing that a value does when it is looked at can raise out of here.
"""

import dataclasses
from collections.abc import Collection, Mapping
from enum import Enum
from types import NoneType
from typing import Any

import msgspec

_NUMBERS = frozenset({int, float, bool, NoneType})
_ENDLESS = 24
"""Depth at which a value is taken for one that contains itself."""
_LONGEST_REPR = 1_000
_encode = msgspec.json.Encoder(decimal_format="number").encode


def as_json(value: object, limit: int) -> tuple[str, bool]:
    """JSON text of about `limit` characters at most, and whether something was left out."""
    try:
        if _room_after(value, limit, 0) >= 0:
            return _encode(value).decode(), False
    except (ValueError, OverflowError, RecursionError, RuntimeError):
        pass  # lone surrogates, integers beyond 64 bits, a dict that changes while it is read: the careful way
    copy = _Copy(limit)
    return _encode(copy.of(value, 0)).decode(), copy.cut


def _room_after(value: Any, room: int, depth: int) -> int:
    """What is left of `room` after a plain value; negative when it does not fit or is not plain."""
    kind = type(value)
    if kind is str:
        return room - len(value) - 2
    if kind in _NUMBERS:
        return room - 6
    if depth > _ENDLESS:
        return -1
    if kind is dict:
        room -= 2
        for key, inner in value.items():
            if type(key) is not str:
                return -1
            room = _room_after(inner, room - len(key) - 4, depth + 1)
            if room < 0:
                return room
        return room
    if kind is list or kind is tuple:
        room -= 2
        for inner in value:
            room = _room_after(inner, room - 1, depth + 1)
            if room < 0:
                return room
        return room
    return -1


class _Copy:
    """A copy in plain types that ends where the room does."""

    __slots__ = ("cut", "room")

    def __init__(self, limit: int) -> None:
        self.room = limit
        self.cut = False

    def of(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bool | float | NoneType):
            self.room -= 6
            return value
        if isinstance(value, int):
            self.room -= 6
            return (
                int(value) if value.bit_length() < 1_024 else f"[an integer of {value.bit_length():,} bits]"
            )
        if depth > _ENDLESS or self.room <= 0:
            self.cut = True
            return "…"
        try:
            return self._inside(value, depth)
        except Exception as error:  # noqa: BLE001  a value of the application's, which may do anything when looked at
            self.cut = True
            return f"[{type(value).__name__} could not be read: {type(error).__name__}]"

    def _inside(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes | bytearray | memoryview):
            return self._text(f"[{len(value):,} bytes]")
        if isinstance(value, Enum):
            return self.of(value.value, depth + 1)
        if hasattr(value, "shape"):
            return self._text(f"[{type(value).__name__} {value.shape} {getattr(value, 'dtype', '')}]")
        fields = _fields(value)
        if fields is not None:
            return self._object(fields, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._list(value, depth)
        return self._text(_described(value))

    def _object(self, fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, inner in fields.items():
            if self.room <= 0:
                self.cut = True
                made["…"] = f"{len(fields) - len(made)} more"
                break
            name = key if isinstance(key, str) else _described(key)
            made[self._text(name)] = self.of(inner, depth + 1)
        return made

    def _list(self, values: Collection[Any], depth: int) -> list[Any]:
        made: list[Any] = []
        for inner in values:
            if self.room <= 0:
                self.cut = True
                made.append(f"… {len(values) - len(made)} more")
                break
            self.room -= 1
            made.append(self.of(inner, depth + 1))
        return made

    def _text(self, value: str) -> str:
        room = max(self.room, 0)
        self.room -= len(value) + 2
        if len(value) > room:
            self.cut = True
            value = f"{value[:room]}… [{len(value) - room:,} more characters]"
        return value.encode("utf-8", "replace").decode()


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """The fields of what has fields: a mapping, a dataclass, a struct, a named tuple, a pydantic model."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    for way in ("model_dump", "_asdict"):
        if callable(made := getattr(value, way, None)):
            fields = made()
            return fields if isinstance(fields, Mapping) else None
    return None


def _described(value: object) -> str:
    shown = type(value).__str__ is object.__str__ or isinstance(value, BaseException)
    text = repr(value) if shown else str(value)
    return text if len(text) <= _LONGEST_REPR else f"{text[:_LONGEST_REPR]}…"
