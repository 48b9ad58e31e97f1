"""A session as a conversation: what was said, once, though every call was sent all that came before it.

A client sends the history along with each call, so the n-th call of a chat repeats n - 1 of them. Here each call is laid
over what is known already: the longest end of a known thread that its messages begin with is history, the rest is new.
Calls with another prompt (a router, a judge, a task that renders each question anew) begin threads of their own. A turn is
a trace; what it shows are the calls of models that count, and of other work a line each.
"""

from collections.abc import Sequence

import msgspec

from assay.errors import NotFound
from assay.spans.types import SessionRow, SpanFilter, SpanStore, StoredSpan, TraceRow
from assay.traces.conversation import turns
from assay.wire.messages import Message
from assay.wire.scores import Score
from assay.wire.spans import Span, SpanKind

_Key = tuple[str, str, tuple[tuple[str, str], ...]]

TURNS = 30
"""Turns on a page."""
MOST_STEPS = 40
"""Calls of one turn that are shown; of more the last."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call: the messages that are new with it, and its answer. `instructions` are its system messages where they are not
    those of the call before; `earlier` is history that no call of this page has shown."""

    span: Span
    instructions: list[Message]
    earlier: list[Message]
    asked: list[Message]
    said: list[Message]
    missing: int


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One trace of a session. `others` are its spans that are no calls of models; `left_out` earlier calls are not shown."""

    trace: TraceRow
    steps: list[Step]
    others: list[Span]
    left_out: int
    scores: list[Score]

    @property
    def model(self) -> str | None:
        """The model that answered last."""
        return next((step.span.model for step in reversed(self.steps) if step.span.model), self.trace.model)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session: its figures, a page of its turns, and the scores about it as a whole."""

    row: SessionRow
    turns: list[Turn]
    scores: list[Score]
    next: str | None


class _Threads:
    """What has been said so far, by thread."""

    def __init__(self, *, is_beginning: bool) -> None:
        self._threads: list[list[_Key]] = []
        self._instructions: list[_Key] | None = None
        self._is_beginning = is_beginning

    def lay(self, span: Span, missing: int) -> Step:
        """The call over what is known."""
        messages = turns(span.input, speaker="user").messages
        said = turns(span.output, speaker="assistant").messages
        spoken = [message for message in messages if message.role not in ("system", "developer")]
        instructions = [message for message in messages if message.role in ("system", "developer")]
        keys = [_key(message) for message in spoken]
        known = self._known(keys)
        earlier: list[Message] = []
        if known == 0 and (self._threads or not self._is_beginning):
            known = _last_turn(spoken)
            earlier = spoken[:known]
        keys_of_instructions = [_key(message) for message in instructions]
        is_same = keys_of_instructions == self._instructions
        self._instructions = keys_of_instructions
        self._threads.append([*keys, *(_key(message) for message in said)])
        return Step(
            span=span,
            instructions=[] if is_same else instructions,
            earlier=earlier,
            asked=spoken[known:],
            said=said,
            missing=missing,
        )

    def _known(self, keys: list[_Key]) -> int:
        """How many of the messages a thread ends with; that thread goes on, so it is taken away."""
        lengths = [overlap(thread, keys) for thread in self._threads]
        longest = max(lengths, default=0)
        if longest:
            del self._threads[lengths.index(longest)]
        return longest


def read_session(
    store: SpanStore, project: str, session_id: str, *, cursor: str | None = None, limit: int = TURNS
) -> Session:
    """Raises `NotFound`."""
    everything = SpanFilter(project=project, from_ns=0, to_ns=1 << 62, session_id=session_id)
    rows = store.list_sessions(everything, limit=1).items
    if not rows:
        raise NotFound(f"There is no session {session_id!r}.", hint="It may not have been collected yet.")
    page = store.session_traces(project, session_id, limit=limit, cursor=cursor)
    spans = store.spans_of(project, [trace.trace_id for trace in page.items])
    scores = store.scores_about(
        project,
        traces=[trace.trace_id for trace in page.items],
        spans=[item.span.span_id for item in spans],
        sessions=[session_id],
    )
    return Session(
        row=rows[0],
        turns=lay_out(page.items, spans, scores, is_beginning=cursor is None),
        scores=[score for score in scores if score.session_id == session_id],
        next=page.next,
    )


def lay_out(
    traces: Sequence[TraceRow],
    spans: Sequence[StoredSpan],
    scores: Sequence[Score],
    *,
    is_beginning: bool,
) -> list[Turn]:
    """The turns in the order of the traces. Without the session's beginning the first call's history is `earlier`."""
    by_trace: dict[str, list[StoredSpan]] = {}
    for item in spans:
        by_trace.setdefault(item.span.trace_id, []).append(item)
    threads = _Threads(is_beginning=is_beginning)
    return [_turn(trace, by_trace.get(trace.trace_id, []), scores, threads) for trace in traces]


def overlap(thread: Sequence[object], messages: Sequence[object]) -> int:
    """The length of the longest end of `thread` that `messages` begin with."""
    for length in range(min(len(thread), len(messages)), 0, -1):
        if thread[-length:] == messages[:length]:
            return length
    return 0


def _turn(trace: TraceRow, items: list[StoredSpan], scores: Sequence[Score], threads: _Threads) -> Turn:
    calls = [item for item in items if item.is_counted]
    if not calls:  # an application's own spans: what its first one says
        calls = [item for item in items if item.span.input or item.span.output][:1]
    shown = {item.span.span_id for item in calls}
    ids = {item.span.span_id for item in items}
    steps = [threads.lay(item.span, item.missing) for item in calls]
    return Turn(
        trace=trace,
        steps=steps[-MOST_STEPS:],
        others=[
            item.span
            for item in items
            if item.span.span_id not in shown and item.span.kind is not SpanKind.MODEL
        ],
        left_out=max(0, len(steps) - MOST_STEPS),
        scores=[
            score
            for score in scores
            if score.trace_id == trace.trace_id or (score.trace_id is None and score.span_id in ids)
        ],
    )


def _last_turn(messages: Sequence[Message]) -> int:
    """Where the last thing that was asked begins: at the last user's message, or at what answers a tool call at the end."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].role == "user":
            return place
    return 0


def _key(message: Message) -> _Key:
    """What makes two messages the same, whoever wrote down their JSON."""
    calls = tuple((call.name, call.arguments) for call in message.tool_calls)
    return message.role, message.text.strip() or (message.tool_call_id or ""), calls
