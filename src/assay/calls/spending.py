"""What was spent under budgets outlives the process: sums are written to the records now and then, and at a start the calls
since the last time are added from the span store. So a killed server knows every cent that it has kept a span of, and a
budget does not forget what retention or a purge has taken out of the spans.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from assay.access import limits_store
from assay.access.limits import LIMITS, ProjectLimits
from assay.access.types import Limit, Period, Spent
from assay.calls.limiter import Limiter
from assay.calls.meters import began_ns
from assay.errors import AssayError
from assay.kit.clock import SYSTEM, Clock
from assay.kit.money import NOTHING, add
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.spans import Collector, SpanStore

log = logging.getLogger(__name__)

EVERY_S = 30.0


class Spending:
    """Keeps the sums of one limiter. `run` is a task of the event loop that the limiter lives on."""

    def __init__(
        self,
        limiter: Limiter,
        records: Records,
        snapshot: SnapshotSource,
        store: SpanStore,
        collector: Collector,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._limiter = limiter
        self._records = records
        self._snapshot = snapshot
        self._store = store
        self._collector = collector
        self._clock = clock
        self._known: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find what was spent before, then keep what is spent from now on. Before it returns no call should be made."""
        now_ns = self._clock.now_ns()
        await self._look_back({limit.id: now_ns for limit in self._fresh()})
        self._task = asyncio.create_task(self._run(), name="assay-spending")

    async def stop(self) -> None:
        """Write the sums a last time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.keep()

    async def keep(self) -> None:
        """Write the sums as of now."""
        sums = self._sums()
        try:
            await asyncio.to_thread(self._write, sums)
        except (SQLAlchemyError, AssayError):
            log.exception("What was spent could not be written; it is found in the spans instead.")

    async def _run(self) -> None:
        before: list[Spent] = []
        while True:
            await asyncio.sleep(1.0 if self._fresh() else EVERY_S)
            await self._look_back({limit.id: limit.created_at_ns for limit in self._fresh()})
            now = [msgspec.structs.replace(each, until_ns=0) for each in self._sums()]
            if now != before:
                before = now
                await self.keep()

    def _fresh(self) -> list[Limit]:
        return [limit for limit in self._snapshot.current[LIMITS].budgets() if limit.id not in self._known]

    def _sums(self) -> list[Spent]:
        """Those of budgets whose past is known: a sum that lacks it must not be taken for whole."""
        return [each for each in self._limiter.spent() if each.limit_id in self._known]

    async def _look_back(self, until_ns: Mapping[str, int]) -> None:
        """Add what was spent under budgets that are not known yet, up to a moment each; later calls are counted as they end."""
        fresh = [limit for limit in self._fresh() if limit.id in until_ns]
        if fresh:
            self._limiter.add_spent(await asyncio.to_thread(self._find, fresh, until_ns))
            self._known.update(until_ns)

    def _find(self, fresh: Iterable[Limit], until_ns: Mapping[str, int]) -> list[Spent]:
        self._collector.drain_now()
        written: dict[str, list[Spent]] = {}
        with self._records.read() as tx:
            for each in limits_store.all_spent(tx):
                written.setdefault(each.limit_id, []).append(each)
        return [
            each
            for limit in fresh
            for each in self._sum(limit, written.get(limit.id, []), until_ns[limit.id])
        ]

    def _sum(self, limit: Limit, written: Iterable[Spent], until_ns: int) -> Iterable[Spent]:
        assert limit.period is not None
        since_ns = began_ns(limit.period, until_ns)
        first_ns = limit.created_at_ns if limit.period is Period.TOTAL else since_ns
        after_ns = max([first_ns, *(each.until_ns for each in written)])
        sums = {each.name: each.usd for each in written if each.since_ns == since_ns}
        alone = ProjectLimits([limit])
        for spending in self._store.spending(limit.project, after_ns=after_ns, until_ns=until_ns):
            for _, name in alone.of(
                key_id=spending.key_id, user=spending.user_id, tags=spending.tags, model=spending.model or ""
            ):
                sums[name] = add(sums.get(name, NOTHING), spending.usd)
        return [
            Spent(
                project=limit.project,
                limit_id=limit.id,
                name=name,
                usd=usd,
                since_ns=since_ns,
                until_ns=until_ns,
            )
            for name, usd in sums.items()
        ]

    def _write(self, sums: list[Spent]) -> None:
        with self._records.write() as tx:
            limits_store.replace_spent(tx, sums)
