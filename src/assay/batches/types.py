"""A batch, its lines and what came of them."""

from decimal import Decimal
from enum import StrEnum

import msgspec

ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/moderations",
)
"""What the lines of a batch may ask for."""
WINDOW = "24h"
MOST_LINES = 50_000
MOST_PROBLEMS = 100
"""Mistakes of an input that are told."""
MOST_AT_ONCE = 256


class BatchStatus(StrEnum):
    """Where a batch stands, in OpenAI's words."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (
            BatchStatus.FAILED,
            BatchStatus.COMPLETED,
            BatchStatus.EXPIRED,
            BatchStatus.CANCELLED,
        )


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with an input; `line` counts from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """`times` says when it came to each status, in nanoseconds since the epoch. `cost_usd` None: a price is not known, or nothing
    was spent yet."""

    project: str
    id: str
    job_id: str
    endpoint: str
    input_file_id: str
    status: BatchStatus
    model: str | None = None
    concurrency: int
    environment: str
    key_id: str | None = None
    actor: str
    metadata: dict[str, str] | None = None
    problems: list[Problem] = []
    total: int = 0
    completed: int = 0
    failed: int = 0
    usage: dict[str, int] | None = None
    cost_usd: Decimal | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    times: dict[str, int] = {}
    created_at_ns: int
    expires_at_ns: int


class Line(msgspec.Struct, frozen=True):
    """A line of an input: its number from 1, where it lies in the file, and whose answer it will be."""

    number: int
    offset: int
    length: int
    custom_id: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a line. `status_code` 0: it was never asked, and `body` is the error that says why."""

    line: int
    custom_id: str
    status_code: int
    body: str
    trace_id: str | None = None
    usage: dict[str, int] | None = None
    cost_usd: Decimal | None = None

    @property
    def is_answered(self) -> bool:
        """Whether it belongs to the output."""
        return self.status_code == 200
