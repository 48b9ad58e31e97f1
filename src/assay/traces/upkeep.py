"""The background work on what is kept: sealing days, dropping what is past its time or over the limit, purging.

Each run looks at what there is and does what is due, so a run that was killed goes on with the next one, and a server that
was off for a week catches up. Only one runs at a time: they share a lock.
"""

import asyncio
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from assay.errors import AssayError
from assay.jobs import JobContext
from assay.kit.clock import DAY_NS, SYSTEM, Clock, day_of, day_text
from assay.records import Records
from assay.settings import Settings
from assay.spans import Collector, SpanStore, Spool
from assay.spans.types import Purge, StoredDay, StoreSize
from assay.traces import store as policies
from assay.traces.retention import Due, default_policy, due, over_limit

KIND, PURGE = "upkeep", "purge"
"""The two kinds of job."""

EVERY_S = 600.0
"""How often somebody looks whether something is due."""
_SETTLED_NS = 600_000_000_000
"""How long after its end a day is sealed: by then the spool has been collected."""
_SIZE_FOR_S = 30.0
_MIB = 2**20


class KeptContent(Protocol):
    """Content that another room keeps, for as long as the project's spans keep theirs."""

    def oldest(self) -> Mapping[str, int]:
        """Project to when its oldest was made, in nanoseconds since the epoch."""

    def purge(self, project: str, *, user_id: str | None = None, before_ns: int | None = None) -> int:
        """Let go of a project's: of a person, of what is older, or of both. How many there were."""


class Upkeep:
    """Looks after one span store."""

    def __init__(
        self,
        records: Records,
        span_store: SpanStore,
        spool: Spool,
        collector: Collector,
        settings: Settings,
        *,
        clock: Clock = SYSTEM,
        also: Iterable[KeptContent] = (),
    ) -> None:
        self._records = records
        self._also = tuple(also)
        self._store = span_store
        self._spool = spool
        self._collector = collector
        self._clock = clock
        self._default = default_policy(settings)
        self._busy = threading.Lock()
        self._measured_at = clock.monotonic()
        self._size = span_store.size()
        self.limit_bytes = int(settings.max_store_mb * _MIB) if settings.max_store_mb else None

    @property
    def size(self) -> StoreSize:
        """Bytes on the disk, as of a minute ago at most while somebody asks; never waits for the store."""
        now = self._clock.monotonic()
        if now - self._measured_at > _SIZE_FOR_S:
            self._measured_at = now
            threading.Thread(target=self._measure_quietly, name="assay-store-size", daemon=True).start()
        return self._size

    def measure(self) -> StoreSize:
        """Bytes on the disk now."""
        self._size = self._store.size()
        self._measured_at = self._clock.monotonic()
        return self._size

    @property
    def free_disk_bytes(self) -> int | None:
        """What the disk still takes."""
        return self._spool.state.free_disk_bytes

    def is_due(self) -> bool:
        """Whether a run would find something to do."""
        days = self._store.stored_days()
        return any(not day.is_sealed and day.day < self._settled() for day in days) or bool(
            self._past_time(days) or self._over_limit(days) or self._old_elsewhere()
        )

    def troubles(self) -> list[tuple[str, str]]:
        """What is wrong with what is kept, in words, and what to do."""
        found = []
        size = self.size
        if size.missing_files:
            found.append(
                (
                    f"{len(size.missing_files)} sealed files of spans are not there: what they held is not shown.",
                    f"Bring sealed/{size.missing_files[0]} back from a backup and restart.",
                )
            )
        if self.limit_bytes is not None and size.total_bytes > self.limit_bytes:
            found.append(
                (
                    f"Spans take {size.total_bytes // _MIB} MiB; max_store_mb is {self.limit_bytes // _MIB}.",
                    "The oldest content is being dropped. If this stays: today's and imported spans alone are over it, "
                    "so raise the limit or purge.",
                )
            )
        return found

    async def run(self, context: JobContext) -> dict[str, Any]:
        """The job: everything that is due."""
        return await asyncio.to_thread(self._run, context)

    async def purge(self, context: JobContext) -> dict[str, Any]:
        """The job that takes out what its arguments name; see `purge_arguments`."""
        return await asyncio.to_thread(self._purge, context)

    def count_purge(self, purge: Purge) -> dict[str, int]:
        """What a purge would take, of all that has arrived until now."""
        self._collector.drain_now()
        found: dict[str, int] = msgspec.to_builtins(self._store.count_purge(purge))
        return found

    def _measure_quietly(self) -> None:
        with suppress(AssayError):  # the store is being closed, or says itself what is wrong with it
            self.measure()

    def _run(self, context: JobContext) -> dict[str, Any]:
        with self._busy:
            sealed = self._store.seal(before_day=self._settled(), progress=context.progress)
            if sealed:
                context.log(f"Sealed the days of {sealed} projects.")
            done = self._drop(context, self._past_time(self._store.stored_days()), "past its time")
            more = self._drop(context, self._over_limit(self._store.stored_days()), "over the limit")
            for kept, project, before_ns in self._old_elsewhere():
                gone = kept.purge(project, before_ns=before_ns)
                context.log(
                    f"{project}: dropped {gone} stored responses or files of batches, past their time."
                )
            given_back = self._store.compact()
            self.measure()
        return {
            "sealed": sealed,
            "content_dropped": done[0] + more[0],
            "days_dropped": done[1] + more[1],
            "given_back_bytes": given_back,
        }

    def _drop(self, context: JobContext, due: Due, why: str) -> tuple[int, int]:
        for day, drop, what in (
            *((day, self._store.drop_content, "content") for day in due.content),
            *((day, self._store.drop_days, "everything") for day in due.days),
        ):
            if context.cancelled():
                break
            drop([day])
            context.log(
                f"{day.project}, {day_text(day.day)}{', imported' if day.imported else ''}: dropped {what} of "
                f"{day.spans} spans, {why}."
            )
        return len(due.content), len(due.days)

    def _purge(self, context: JobContext) -> dict[str, Any]:
        with self._busy:
            # What is in the store may still lie in the spool's newest segment: a new one, begun by an empty record, lets go of it.
            self._spool.begin_segment()
            self._spool.append([])
            self._collector.drain_now()
            purge = purge_of(context.project, context.arguments)
            gone = self._store.purge(purge)
            before_ns = None if purge.before_day is None else purge.before_day * DAY_NS
            for kept in self._also:
                kept.purge(purge.project, user_id=purge.user_id, before_ns=before_ns)
            self.measure()
        context.log(f"{gone.spans} spans of {gone.traces} traces and {gone.scores} scores are gone.")
        found: dict[str, Any] = msgspec.to_builtins(gone)
        return found

    def _settled(self) -> int:
        return (self._clock.now_ns() - _SETTLED_NS) // DAY_NS

    def _past_time(self, days: Iterable[StoredDay]) -> Due:
        with self._records.read() as tx:
            chosen = policies.policies(tx)
        return due(days, chosen, self._default, today=self._clock.now_ns() // DAY_NS)

    def _old_elsewhere(self) -> list[tuple[KeptContent, str, int]]:
        """What other rooms keep that is past its time, with the moment before which it goes."""
        with self._records.read() as tx:
            chosen = policies.policies(tx)
        today = self._clock.now_ns() // DAY_NS
        found = []
        for kept in self._also:
            for project, oldest_ns in kept.oldest().items():
                content_days = chosen.get(project, self._default).content_days
                if content_days is not None and oldest_ns < (today - content_days) * DAY_NS:
                    found.append((kept, project, (today - content_days) * DAY_NS))
        return found

    def _over_limit(self, days: Iterable[StoredDay]) -> Due:
        if self.limit_bytes is None:
            return Due([], [])
        excess = self._store.size().total_bytes - self.limit_bytes
        with self._records.read() as tx:
            chosen = policies.policies(tx)
        return over_limit(days, chosen, self._default, excess_bytes=excess, today=self._settled())


def purge_arguments(purge: Purge) -> dict[str, Any]:
    """A purge as the arguments of its job. The person's id is part of the job, which is kept: an account of what was done."""
    before = None if purge.before_day is None else day_text(purge.before_day)
    return {"before": before, "user": purge.user_id}


def purge_of(project: str, arguments: dict[str, Any]) -> Purge:
    """The inverse."""
    before = arguments["before"]
    return Purge(
        project=project, before_day=None if before is None else day_of(before), user_id=arguments["user"]
    )
