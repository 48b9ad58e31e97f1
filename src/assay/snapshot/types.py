"""A snapshot and its parts."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection

T = TypeVar("T")


class Part(Generic[T]):
    """What one room wants on the hot path. Identity is the key: make one per module and export it."""

    __slots__ = ("load", "name")

    def __init__(self, name: str, load: Callable[[Connection], T]) -> None:
        self.name = name
        self.load = load


class Snapshot:
    """An immutable set of part values: `snapshot[KEYS]` has the type that `KEYS` loads."""

    __slots__ = ("_values", "version")

    def __init__(self, version: int, values: Mapping[str, Any]) -> None:
        self.version = version
        self._values = dict(values)

    def __getitem__(self, part: Part[T]) -> T:
        return cast("T", self._values[part.name])

    def with_values(self, values: Mapping[str, Any]) -> "Snapshot":
        """The next snapshot: these parts replaced, the others as they were."""
        return Snapshot(self.version + 1, {**self._values, **values})
