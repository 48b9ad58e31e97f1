"""A job and its log."""

from enum import StrEnum
from typing import Any

import msgspec


class Status(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of background work. `total` is None while it is not known; `error` is for people to read."""

    project: str
    id: str
    kind: str
    status: Status
    arguments: dict[str, Any]
    result: Any = None
    error: str | None = None
    hint: str | None = None
    done: int = 0
    total: int | None = None
    note: str | None = None
    cancel_asked: bool = False
    created_at_ns: int
    started_at_ns: int | None = None
    ended_at_ns: int | None = None
    resumed: int = 0
    """how often it went on after it had ended"""

    @property
    def may_resume(self) -> bool:
        """Whether it ended before it was done."""
        return self.status in (Status.FAILED, Status.CANCELLED)


class JobLine(msgspec.Struct, frozen=True):
    """One line of a job's log; numbers rise by one."""

    number: int
    at_ns: int
    text: str
