"""The collector: drains the spool into the store, with exactly-once effect.

It reads only what is on the medium, and the store takes each batch together with how far it reaches (`Position`) in one
transaction. A crash at any point leaves either both or neither; what is read again is told by its sequence number.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import msgspec

from assay.errors import Unavailable
from assay.kit.clock import SYSTEM, Clock
from assay.spans import segments
from assay.spans.encoding import decode
from assay.spans.quarantine import Quarantine
from assay.spans.segments import Damage, Position
from assay.spans.spool import Spool
from assay.spans.types import Arrival, SpanStore, StoreDown, Unstorable
from assay.wire.spans import Event

log = logging.getLogger(__name__)

_BATCH_BYTES = 32 << 20


class Projector(Protocol):
    """Gives raw events their meaning on the way from the spool to the store: dialects, prices."""

    def project(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events as they should be kept; pure, since a crash may repeat it."""


class CollectorState(msgspec.Struct, frozen=True):
    """How the collector is. `lag_s` is the age of the oldest record that is not in the store."""

    lag_s: float
    backlog_bytes: int
    last_error: str | None
    stuck: bool
    collected: int
    quarantined: int
    damaged_bytes: int


class Collector:
    """Drains one spool on a thread of its own."""

    def __init__(
        self,
        spool: Spool,
        store: SpanStore,
        quarantine: Quarantine,
        *,
        projectors: Sequence[Projector] = (),
        every_s: float = 0.5,
        max_events: int = 10_000,
        stuck_after_s: float = 30.0,
        clock: Clock = SYSTEM,
    ) -> None:
        """Raises `StoreDown` when the store cannot say how far it has come."""
        self.quarantine = quarantine
        self._spool = spool
        self._store = store
        self._projectors = projectors
        self._every_s = every_s
        self._max_events = max_events
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._position = store.position(spool.id) or Position()
        self._collecting = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_error: str | None = None
        self._behind_since: float | None = None
        self._collected = 0
        self._quarantined = 0
        self._damaged_bytes = 0
        self._batch_was_full = False
        self._listeners: list[Callable[[], None]] = []
        spool.release(self._position)

    @property
    def state(self) -> CollectorState:
        """All that matters, at one look."""
        since = self._behind_since
        has_all = self._position.sequence >= self._spool.last_sequence
        lag_s = 0.0 if since is None or has_all else max(0.0, self._clock.now_ns() / 1e9 - since)
        return CollectorState(
            lag_s=lag_s,
            backlog_bytes=self._spool.backlog_bytes,
            last_error=self._last_error,
            stuck=lag_s > self._stuck_after_s and self._last_error is not None,
            collected=self._collected,
            quarantined=self._quarantined,
            damaged_bytes=self._damaged_bytes,
        )

    def on_collected(self, tell: Callable[[], None]) -> None:
        """Call `tell` after each batch that is in the store, on the thread that brought it there."""
        self._listeners.append(tell)

    def start(self) -> None:
        """Collect from now on."""
        self._thread = threading.Thread(target=self._run, name="assay-collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Collect what is there a last time and end. What is left stays in the spool for the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing moves from the spool to the store meanwhile; keep it short."""
        with self._collecting:
            yield

    async def drain(self, *, timeout_s: float = 30.0) -> None:
        """Return when everything appended so far can be read from the store. Raises `Unavailable` when it takes longer."""
        await asyncio.to_thread(self.drain_now, timeout_s=timeout_s)

    def drain_now(self, *, timeout_s: float = 30.0) -> None:
        """`drain` for a thread."""
        target = self._spool.last_sequence
        until = self._clock.monotonic() + timeout_s
        while self._position.sequence < target:
            self._spool.flush()
            if not self.collect() and self._clock.monotonic() > until:
                raise Unavailable(
                    f"The newest spans cannot be read yet: {self._last_error or 'the collector is behind'}.",
                    hint="See /readyz.",
                )
            if self._last_error is not None and self._stopping.wait(0.05):
                return

    def collect(self) -> bool:
        """Bring one batch into the store; True when there was one and it is kept. Failures show in `state`."""
        with self._collecting:
            try:
                arrivals, position = self._read_batch()
                if position == self._position:
                    self._behind_since = self._last_error = None
                    self._spool.hold_telemetry(None)
                    return False
                self._keep(arrivals, position)
                self._position = position
                self._collected += len(arrivals)
                self._last_error = None
                self._spool.hold_telemetry(None)
                self._spool.release(position)
                for tell in self._listeners:
                    tell()
            except (StoreDown, OSError) as error:
                self._failed(error)
                return False
        return True

    def _run(self) -> None:
        pause = self._every_s
        while not self._stopping.wait(pause):
            try:
                # Not again at once for the few events that came meanwhile: each batch costs the calls some of their core.
                while self.collect() and self._batch_was_full and not self._stopping.is_set():
                    pass
            except Exception as error:
                log.exception("The collector met something unforeseen")
                self._failed(error)
            pause = self._every_s if self._last_error is None else min(pause * 2, 5.0)
        self._spool.flush()
        while self.collect():
            pass

    def _failed(self, error: Exception) -> None:
        if self._last_error is None:
            log.error("The collector cannot go on: %s", error)
        self._last_error = str(error)
        if self.state.stuck:
            self._spool.hold_telemetry(self._last_error)

    def _read_batch(self) -> tuple[list[Arrival], Position]:
        arrivals: list[Arrival] = []
        reached, size, oldest_ns = self._position, 0, None
        for position, found in segments.read_from(self._spool.directory, self._position, self._spool.synced):
            reached = position
            if isinstance(found, Damage):
                self._step_over(found)
                continue
            oldest_ns = oldest_ns or found.written_at_ns
            arrivals.extend(self._open(found.payload, found.written_at_ns))
            size += len(found.payload)
            if len(arrivals) >= self._max_events or size >= _BATCH_BYTES:
                break
        self._batch_was_full = len(arrivals) >= self._max_events or size >= _BATCH_BYTES
        self._behind_since = None if oldest_ns is None else oldest_ns / 1e9
        return arrivals, reached

    def _open(self, payload: bytes, written_at_ns: int) -> list[Arrival]:
        try:
            events: Sequence[Event] = decode(payload)
            for projector in self._projectors:
                events = projector.project(events)
        except (
            msgspec.MsgspecError,
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
        ) as error:
            self._set_aside(payload, f"{type(error).__name__}: {error}")
            return []
        return [Arrival(event, written_at_ns) for event in events]

    def _keep(self, arrivals: Sequence[Arrival], position: Position) -> None:
        try:
            self._store.write(arrivals, source=self._spool.id, position=position)
        except Unstorable:
            self._store.write(self._sift(arrivals), source=self._spool.id, position=position)

    def _sift(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """The arrivals that the store can take; the others, found by halving, go into quarantine."""
        try:
            self._store.check(arrivals)
        except Unstorable as error:
            if len(arrivals) == 1:
                self._set_aside(msgspec.msgpack.encode([arrivals[0].event]), str(error))
                return []
            middle = len(arrivals) // 2
            return self._sift(arrivals[:middle]) + self._sift(arrivals[middle:])
        return list(arrivals)

    def _step_over(self, damage: Damage) -> None:
        self._damaged_bytes += len(damage.data)
        where = f"{damage.path.name} at {damage.offset}"
        log.error("%d bytes of %s are no record: stepped over", len(damage.data), where)
        self._set_aside(damage.data, f"{len(damage.data)} bytes of {where} are no record")

    def _set_aside(self, payload: bytes, reason: str) -> None:
        self.quarantine.add(payload, reason=reason, source=self._spool.id, at_ns=self._clock.now_ns())
        self._quarantined += 1
