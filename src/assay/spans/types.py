"""What a span store takes and what it answers. Times are nanoseconds since the epoch, money is exact, unknown is None."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from assay.errors import AssayError
from assay.kit.paging import Page
from assay.spans.segments import Position
from assay.wire.scores import Score
from assay.wire.spans import Event, Span, SpanKind, SpanStatus
from assay.wire.usage import Usage


class Unstorable(AssayError):
    """An event that the store can never take, however often it is tried."""


class StoreDown(AssayError):
    """The store does not take anything just now; the same events may be taken later."""

    status = 503
    type = "unavailable_error"


class Arrival(NamedTuple):
    """An event and when it was acknowledged."""

    event: Event
    received_at_ns: int


class SpanFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which spans. Every field narrows; `from_ns` is included, `to_ns` is not. `text` is looked for in names, previews and
    error messages, without regard to case."""

    project: str
    from_ns: int
    to_ns: int
    environment: str | None = None
    kind: tuple[SpanKind, ...] = ()
    status: tuple[SpanStatus, ...] = ()
    provider: str | None = None
    model: str | None = None
    task: str | None = None
    variant: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    key_id: str | None = None
    run_id: str | None = None
    case_id: str | None = None
    tag: str | None = None
    min_duration_ms: float | None = None
    min_cost_usd: Decimal | None = None
    text: str | None = None


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A span as lists show it: figures and previews, no messages."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: SpanKind
    status: SpanStatus
    error_type: str | None
    error_message: str | None
    environment: str
    provider: str | None
    model: str | None
    upstream_model: str | None
    response_model: str | None
    start_ns: int
    end_ns: int
    first_output_ns: int | None
    streamed: bool
    finish_reason: str | None
    attempts: int
    cache: str | None
    usage: Usage | None
    cost_usd: Decimal | None
    key_id: str | None
    user_id: str | None
    session_id: str | None
    task: str | None
    variant: str | None
    run_id: str | None
    case_id: str | None
    input_preview: str
    output_preview: str

    @property
    def duration_ms(self) -> float:
        """From start to end."""
        return (self.end_ns - self.start_ns) / 1e6


class StoredSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole span with its messages. `missing` counts those that retention or erasure has taken away; `is_counted` says
    whether sums count it: it is a model call, and no span below it tells of the same call."""

    span: Span
    received_at_ns: int
    missing: int
    is_counted: bool = False


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as lists show it. It is called as its first span; model, user and the like are those of the first span that
    says them, the output is the last one. Cost and tokens are those of its model calls, each counted once, and
    `cost_unknown` says how many of these have no price. `errors` leaves out attempts: a retry may have mended one."""

    trace_id: str
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    spans: int
    errors: int
    calls: int
    cost_usd: Decimal
    cost_unknown: int
    total_tokens: int
    model: str | None
    task: str | None
    variant: str | None
    user_id: str | None
    session_id: str | None
    input_preview: str
    output_preview: str

    @property
    def duration_ms(self) -> float:
        """From the first start to the last end."""
        return (self.end_ns - self.start_ns) / 1e6


class Tail(msgspec.Struct, frozen=True):
    """Spans in the order in which they were kept, the oldest first. `position` is where to go on; `is_whole` says that
    nothing that matched was left for the next time."""

    rows: list[SpanRow]
    position: str
    is_whole: bool


class Found(msgspec.Struct, frozen=True):
    """Something that is called by an id that somebody typed: a trace, a span of one, or a session."""

    kind: Literal["trace", "span", "session"]
    id: str
    trace_id: str | None
    name: str
    at_ns: int


class ScoreFigure(msgspec.Struct, frozen=True):
    """The scores of one name: how many, and the mean of those that are numbers (of yes and no: the share of yes)."""

    name: str
    count: int
    mean: float | None


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session as lists show it: figures over all spans of its traces, each call counted once. What was asked first and
    answered last is its first and last call's."""

    session_id: str
    start_ns: int
    end_ns: int
    traces: int
    errors: int
    calls: int
    cost_usd: Decimal
    cost_unknown: int
    total_tokens: int
    user_id: str | None
    task: str | None
    models: tuple[str, ...]
    input_preview: str
    output_preview: str
    scores: tuple[ScoreFigure, ...] = ()

    @property
    def duration_ms(self) -> float:
        """From the first start to the last end."""
        return (self.end_ns - self.start_ns) / 1e6


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Model calls that have something in common. Sums are exact; latencies are of calls that ended well and that an upstream
    answered; `cached` counts those that the cache answered."""

    calls: int = 0
    cached: int = 0
    errors: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_unknown: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    first_output_p50_ms: float | None = None
    first_output_p95_ms: float | None = None


class Bucket(msgspec.Struct, frozen=True):
    """The traffic of one stretch of time."""

    start_ns: int
    traffic: Traffic


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What the cache did for the calls of a model. `unpriced` counts hits of answers whose cost is not known."""

    model: str
    hits: int = 0
    misses: int = 0
    saved_usd: Decimal = Decimal(0)
    unpriced: int = 0
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0


class Spending(NamedTuple):
    """What Assay's own calls of one kind cost."""

    key_id: str | None
    user_id: str | None
    tags: tuple[str, ...]
    model: str | None
    usd: Decimal


class Group(msgspec.Struct, frozen=True):
    """The traffic of one value of a field; None stands for calls without one."""

    value: str | None
    traffic: Traffic


GroupField = Literal[
    "model", "provider", "task", "variant", "user_id", "session_id", "key_id", "environment", "error_type"
]

FACETS = ("model", "provider", "task", "variant", "environment", "kind", "status", "error_type")
"""Fields with few values, offered as choices."""


class Facet(msgspec.Struct, frozen=True):
    """The values of a field, most frequent first, with how many spans have each."""

    field: str
    values: tuple[tuple[str, int], ...]


class StoredDay(msgspec.Struct, frozen=True, kw_only=True):
    """What arrived for a project on one day (UTC, counted from the epoch): live, or imported. `bytes` are those of rows and
    `content_bytes` those of messages on the disk, as far as the day is sealed; `has_content` is False once the content has
    been dropped."""

    project: str
    day: int
    imported: bool
    spans: int
    scores: int
    bytes: int
    content_bytes: int
    is_sealed: bool
    has_content: bool


class StoreSize(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on the disk: days that are not sealed yet, rows of sealed days, their messages. `missing_files` should be there
    and are not."""

    hot_bytes: int
    sealed_bytes: int
    content_bytes: int
    missing_files: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.hot_bytes + self.sealed_bytes + self.content_bytes


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """What to take out of a project for good: everything, what arrived before a day, what belongs to a person, or both of
    the latter."""

    project: str
    before_day: int | None = None
    user_id: str | None = None


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What a purge took or would take. `messages` are those that nothing else refers to."""

    spans: int
    traces: int
    scores: int
    messages: int
    message_bytes: int


@runtime_checkable
class SpanStore(Protocol):
    """Where spans, scores and messages are kept. Synchronous and thread-safe; reads are bounded in time and raise
    `Unavailable` past the bound."""

    def write(self, arrivals: Sequence[Arrival], *, source: str, position: Position) -> None:
        """Keep the events and how far their source has been read, both or neither.

        An event that is there already is kept once: a span supersedes its older version, a score is the same score.
        Raises `Unstorable` when an event can never be kept, `StoreDown` when it should be tried again.
        """

    def check(self, arrivals: Sequence[Arrival]) -> None:
        """Raise what `write` would raise, and keep nothing."""

    def position(self, source: str) -> Position | None:
        """How far a source has been read."""

    def list_spans(self, filter: SpanFilter, *, limit: int = 50, cursor: str | None = None) -> Page[SpanRow]:
        """Newest first."""

    def list_traces(
        self, filter: SpanFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TraceRow]:
        """Traces with a span that matches, the one with the newest match first."""

    def trace(
        self, project: str, trace_id: str, *, limit: int = 500, cursor: str | None = None
    ) -> Page[StoredSpan]:
        """The spans of a trace in the order in which they began, with their messages. Raises `NotFound`."""

    def get_span(self, project: str, span_id: str, *, trace_id: str | None = None) -> StoredSpan:
        """One span with its messages and, of a foreign one, with what it was sent with. Raises `NotFound`."""

    def list_scores(
        self,
        project: str,
        *,
        trace_id: str | None = None,
        span_id: str | None = None,
        session_id: str | None = None,
        case_id: str | None = None,
        limit: int = 1000,
    ) -> list[Score]:
        """The scores of one target, oldest first."""

    def tail(self, filter: SpanFilter, *, after: str | None = None, limit: int = 200) -> Tail:
        """What was kept after a position, the oldest `limit` of it; without a position the newest `limit` there are.
        Raises `BadRequest` for a position that is none."""

    def count_after(self, filter: SpanFilter, after: str, *, most: int) -> int:
        """How many spans `tail` would still give after a position, counted up to `most`."""

    def find_ids(self, project: str, text: str, *, from_ns: int, limit: int = 5) -> list[Found]:
        """Traces and spans whose id begins or ends with a text of hexadecimal digits, and sessions whose id holds it, the
        newest of each first."""

    def list_sessions(
        self, filter: SpanFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[SessionRow]:
        """Sessions with a span that matches, the one with the newest match first. Of a session that lasted longer, spans
        more than a week outside the time range are not counted."""

    def session_traces(
        self, project: str, session_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TraceRow]:
        """The traces of a session in the order in which they began. Raises `NotFound`."""

    def spans_of(self, project: str, trace_ids: Sequence[str], *, limit: int = 2000) -> list[StoredSpan]:
        """The spans of some traces in the order in which they began, with their messages, without attempts."""

    def scores_about(
        self,
        project: str,
        *,
        traces: Sequence[str] = (),
        spans: Sequence[str] = (),
        sessions: Sequence[str] = (),
        limit: int = 5000,
    ) -> list[Score]:
        """The scores of any of these, oldest first."""

    def traffic(self, filter: SpanFilter) -> Traffic:
        """Figures of the model calls that match."""

    def traffic_over_time(self, filter: SpanFilter, *, bucket_ns: int) -> list[Bucket]:
        """The same per stretch of time; stretches without calls are left out."""

    def traffic_by(self, filter: SpanFilter, field: GroupField, *, limit: int = 50) -> list[Group]:
        """The same per value of a field, busiest first."""

    def facets(self, filter: SpanFilter, *, limit: int = 20) -> list[Facet]:
        """What can be chosen from, given the other choices."""

    def savings(self, filter: SpanFilter) -> list[Saving]:
        """What the cache did for the calls that match, by model; models that use none are left out."""

    def spending(self, project: str, *, after_ns: int, until_ns: int) -> list[Spending]:
        """What Assay's own calls cost that ended after the one time and not after the other, for budgets: by key, user, tags
        and model. What other programs told of is not among them."""

    def seal(
        self, *, before_day: int, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> int:
        """Bring what arrived before a day into its lasting form, in which it can be thinned out and dropped; how many
        projects' days that were."""

    def stored_days(self, project: str | None = None) -> list[StoredDay]:
        """What is kept, oldest first."""

    def size(self) -> StoreSize:
        """What it takes of the disk."""

    def drop_content(self, days: Iterable[StoredDay]) -> None:
        """Take messages, previews, requests and attributes out of whole days; figures stay."""

    def drop_days(self, days: Iterable[StoredDay]) -> None:
        """Drop days whole."""

    def count_purge(self, purge: Purge) -> Purged:
        """What `purge` would take."""

    def purge(self, purge: Purge) -> Purged:
        """Take spans, their messages and their scores out for good. A person's are the traces in which they appear, but for
        spans that name somebody else, and every score about these."""

    def compact(self, *, even_little: bool = False) -> int:
        """Give back the disk that deleted rows still hold, if that is worth the work; how many bytes that were."""

    def close(self) -> None:
        """Let go of the files."""
