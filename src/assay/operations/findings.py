"""What an examination says: one line each, ok, warn or fail, with what to do."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

import msgspec

from assay.catalog import Config
from assay.kit.clock import Clock
from assay.settings import Settings


class State(StrEnum):
    """How something is: `warn` works and will not for ever or not for everybody, `fail` does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One line. `area` is a word that groups lines; `hint` says what to do."""

    area: str
    state: State
    message: str
    hint: str | None = None


class Patient(msgspec.Struct, frozen=True):
    """What is examined: a data directory with its settings and configuration. `running` is the address of the server that
    holds it, None when none does, and "" for one that only commands reach."""

    settings: Settings
    config: Config
    data: Path
    running: str | None
    clock: Clock


Check = Callable[[Patient], Iterable[Finding]]


def ok(area: str, message: str) -> Finding:
    """All is well."""
    return Finding(area, State.OK, message)


def warn(area: str, message: str, hint: str | None = None) -> Finding:
    """It works, and somebody should look."""
    return Finding(area, State.WARN, message, hint)


def fail(area: str, message: str, hint: str | None = None) -> Finding:
    """It does not work."""
    return Finding(area, State.FAIL, message, hint)
