"""What was recorded and is not delivered yet: bounded, in memory, with a thread that sends it.

The application only ever appends. When the bound is reached, what comes next is counted and let go; what is in the box
stays there until the server has taken it or says that it never will. After a fork the child begins with an empty box:
what the parent recorded is the parent's to send.
"""

import logging
import os
import random
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
from opentelemetry import context as otel_context

from assay.sdk.configuration import UNKNOWN, Configuration
from assay.sdk.delivery import Next, Outcome, Post
from assay.sdk.recording import Ended

BATCH_SPANS = 512
BATCH_BYTES = 2 * 1024 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
"""Between attempts while the server is away."""
_SPAN_BYTES, _EVENT_BYTES = 600, 2_000
"""Of a span without its text, and of an event (an exception with its stack), in memory, roughly."""

Send = Callable[[Sequence[Any], float | None], Outcome]
"""Items and how long it may take."""

logger = logging.getLogger("assay")


class Counts(msgspec.Struct, frozen=True):
    """`dropped` says why: `full` (the bound), `refused` or `rejected` (by the server), `unfit` (alone too
    large, or not to be encoded), `exit` (not delivered in time), `closed` (came after the end)."""

    recorded: int = 0
    waiting: int = 0
    delivered: int = 0
    dropped: dict[str, int] = {}


class _Line:
    """A queue whose items stay until they are settled."""

    def __init__(self) -> None:
        self.items: deque[tuple[Any, int]] = deque()
        self.bytes = 0
        self.recorded = self.settled = self.delivered = 0
        self.dropped: Counter[str] = Counter()

    def add(self, item: Any, size: int) -> None:
        self.items.append((item, size))
        self.bytes += size
        self.recorded += 1

    def drop(self, reason: str) -> None:
        self.recorded += 1
        self.settled += 1
        self.dropped[reason] += 1

    def first(self, count: int, size: int) -> list[Any]:
        """The oldest that fit; at least one."""
        chosen: list[Any] = []
        for item, weight in islice(self.items, count):
            if chosen and size < weight:
                break
            size -= weight
            chosen.append(item)
        return chosen

    def settle(self, count: int, *, lost: int = 0, reason: str = "") -> None:
        count = min(count, len(self.items))  # `close` may have given up on what was under way
        for _ in range(count):
            self.bytes -= self.items.popleft()[1]
        self.settled += count
        lost = min(lost, count)
        self.delivered += count - lost
        if lost:
            self.dropped[reason] += lost

    def counts(self) -> Counts:
        return Counts(self.recorded, len(self.items), self.delivered, dict(self.dropped))


class Outbox:
    """A `recording.Sink`. `offer` costs about a microsecond and never blocks on the network."""

    def __init__(self, configuration: Configuration, resource: Mapping[str, Any]) -> None:
        self._configuration = configuration
        self._resource = dict(resource)
        self._begin()
        _boxes.add(self)

    def _begin(self) -> None:
        # Re-entrant: the cycle collector may end a forgotten generator, and with it a span, while this thread is in here.
        self._changed = threading.Condition(threading.RLock())
        self._spans, self._scores = _Line(), _Line()
        self._batch_spans = BATCH_SPANS
        self._thread: threading.Thread | None = None
        self._closing = self._hurry = self._backing_off = False
        self._ends_at = 0.0
        self._failures = 0
        self._complained: dict[str, float] = {}
        self.last_error: str | None = None
        self.reachable: bool | None = None

    def offer(self, span: Ended) -> None:
        size = _SPAN_BYTES + _EVENT_BYTES * len(span.events)
        for value in span.attributes.values():
            if type(value) is str:
                size += len(value)
        self._offer(self._spans, span, size)

    def offer_score(self, score: Mapping[str, Any]) -> None:
        """Keep a score until it is sent: the body of `POST /api/scores`."""
        self._offer(self._scores, score, _SPAN_BYTES + len(str(score.get("comment") or "")))

    def refuse_score(self) -> None:
        """Count one that cannot be sent as it is."""
        with self._changed:
            self._scores.drop("unfit")

    def describe(self, resource: Mapping[str, Any]) -> None:
        """Add what somebody else knows of who sends; a name of the service only if it has none yet."""
        ours = {name: value for name, value in self._resource.items() if value != UNKNOWN}
        self._resource = {**resource, **ours}

    def flush(self, timeout_s: float) -> bool:
        """Send now; whether everything recorded up to here is settled when this returns."""
        with self._changed:
            goals = [(line, line.recorded) for line in (self._spans, self._scores)]
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: self._closing or all(line.settled >= goal for line, goal in goals), timeout_s
            ) and all(line.settled >= goal for line, goal in goals)

    def close(self, timeout_s: float) -> None:
        """Send what is left, once, within the time; count the rest as dropped."""
        with self._changed:
            if self._closing:
                return
            self._closing, self._ends_at = True, time.monotonic() + timeout_s
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        with self._changed:
            left = len(self._spans.items) + len(self._scores.items)
            for line in (self._spans, self._scores):
                line.settle(len(line.items), lost=len(line.items), reason="exit")
        if left:
            logger.warning("%d spans and scores were not delivered before the end: %s", left, self.last_error)

    def counts(self) -> tuple[Counts, Counts]:
        """Of spans and of scores."""
        with self._changed:
            return self._spans.counts(), self._scores.counts()

    def forked(self) -> None:
        """In the child: begin anew. Children of `multiprocessing` end without `atexit`, so they are told to close."""
        self._begin()
        self._resource["process.pid"] = os.getpid()
        if (processes := sys.modules.get("multiprocessing.util")) is not None:
            processes.register_after_fork(self, _close_when_the_process_ends)

    def _offer(self, line: _Line, item: Any, size: int) -> None:
        settings = self._configuration
        with self._changed:
            if self._closing:
                line.drop("closed")
                return
            if len(line.items) >= settings.max_spans or line.bytes + size > settings.max_buffer_bytes:
                line.drop("full")
                return
            line.add(item, size)
            if self._thread is None:
                self._start()
            waiting = len(line.items)
            if waiting == 1 or (waiting >= BATCH_SPANS and not self._backing_off):
                self._changed.notify_all()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="assay-delivery", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: what is left is counted by `close`
            return
        self._thread = thread

    def _run(self) -> None:
        # Otherwise an instrumented HTTP client would make spans of our own requests, and those requests spans again.
        for key in (
            otel_context._SUPPRESS_INSTRUMENTATION_KEY,
            otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY,
        ):
            otel_context.attach(otel_context.set_value(key, True))
        post: Post | None = None
        wait_s = self._configuration.interval_s
        while True:
            ending = self._pause(wait_s)
            try:
                post = post or Post(self._configuration, lambda: self._resource)
                wait_s = self._deliver(post)
            except Exception as error:  # noqa: BLE001  a fault of ours must not end the thread that everything waits for
                self._complain("fault", f"Delivery failed: {type(error).__name__}: {error}")
                wait_s = LONGEST_WAIT_S
            if ending:
                break
        if post is not None:
            post.close()

    def _pause(self, wait_s: float) -> bool:
        """Until there is something to send and it is time to; whether for the last time."""

        def is_full() -> bool:
            return not self._backing_off and len(self._spans.items) >= BATCH_SPANS

        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self._hurry or self._spans.items or self._scores.items
            )
            self._changed.wait_for(lambda: self._closing or self._hurry or is_full(), wait_s)
            self._hurry = False
            return self._closing

    def _deliver(self, post: Post) -> float:
        """Send until nothing is left or the server cannot take it now; seconds until the next attempt."""
        ways: tuple[tuple[_Line, int, Send], ...] = (
            (self._spans, BATCH_BYTES, post.spans),
            (self._scores, 1, post.score),
        )
        for line, size, send in ways:
            outcome = self._empty(line, size, send)
            if outcome is not None:
                return self._back_off(outcome)
        with self._changed:
            full = sum(line.dropped["full"] for line in (self._spans, self._scores))
            self._failures, self._backing_off = 0, False
        if full:
            self._complain("full", f"{full} spans and scores were dropped so far because the buffer was full")
        return self._configuration.interval_s

    def _empty(self, line: _Line, size: int, send: Send) -> Outcome | None:
        """Send a line batch by batch. The outcome that says to come back later, or None when all is settled."""
        while True:
            with self._changed:
                items = line.first(self._batch_spans, size)
                timeout_s = self._ends_at - time.monotonic() if self._closing else None
            if not items:
                return None
            if timeout_s is not None and timeout_s <= 0:
                return Outcome(Next.LATER, self.last_error or "the time to send it was over")
            try:
                outcome = send(items, timeout_s)
            except (ValueError, TypeError, AttributeError, OverflowError, msgspec.MsgspecError) as error:
                outcome = Outcome(Next.SMALLER, f"it cannot be encoded: {error}")
            if outcome.next is Next.LATER:
                return outcome
            self._settle(line, items, outcome)

    def _settle(self, line: _Line, items: Sequence[Any], outcome: Outcome) -> None:
        if outcome.next is Next.SMALLER and len(items) > 1:
            self._batch_spans = max(len(items) // 2, 1)
            return
        count, lost, reason = len(items), 0, ""
        if outcome.next is Next.DONE:
            self._batch_spans = min(self._batch_spans * 2, BATCH_SPANS)
            lost, reason = outcome.rejected, "rejected"
        else:
            lost, reason = count, "unfit" if outcome.next is Next.SMALLER else "refused"
        with self._changed:
            line.settle(count, lost=lost, reason=reason)
            self.reachable = True
            self.last_error = outcome.why if lost else None
            self._changed.notify_all()
        if lost:
            self._complain(reason, f"{lost} spans or scores were not taken: {outcome.why}")

    def _back_off(self, outcome: Outcome) -> float:
        with self._changed:
            self._failures += 1
            self._backing_off = True
            self.reachable, self.last_error = False, outcome.why
            failures = self._failures
        if failures > 1:  # one failed attempt is a restart or a hiccup
            self._complain("away", f"Spans wait for the server: {outcome.why}")
        if outcome.wait_s is not None:
            return outcome.wait_s
        wait_s: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures - 1, 10))
        return wait_s * random.uniform(0.75, 1.25)

    def _complain(self, about: str, message: str) -> None:
        """Warn, of each matter at most once a minute."""
        now = time.monotonic()
        if now - self._complained.get(about, -60.0) >= 60.0:
            self._complained[about] = now
            logger.warning("%s", message)


def _close_when_the_process_ends(box: Outbox) -> None:
    sys.modules["multiprocessing.util"].Finalize(
        None, box.close, args=(box._configuration.exit_timeout_s,), exitpriority=0
    )


def _after_fork() -> None:
    for box in list(_boxes):
        box.forked()


_boxes: "weakref.WeakSet[Outbox]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
