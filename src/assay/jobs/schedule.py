"""Work that comes due: every so often somebody looks, and adds a job when there is something to do.

What is due is read from what there is, not from a clock that a restart forgets: a server that was off catches up at its
next start, and looking twice adds one job.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from assay.jobs.runner import Jobs
from assay.kit.clock import SYSTEM, Clock
from assay.records import Records

log = logging.getLogger(__name__)


class Schedule:
    """Adds a job of a kind when `is_due` says so and none is on its way."""

    def __init__(
        self,
        jobs: Jobs,
        records: Records,
        kind: str,
        *,
        project: str,
        is_due: Callable[[], bool],
        every_s: float,
        clock: Clock = SYSTEM,
    ) -> None:
        """`is_due` is called in a thread."""
        self._jobs = jobs
        self._records = records
        self._kind = kind
        self._project = project
        self._is_due = is_due
        self._every_s = every_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look now and from now on, on this event loop."""
        self._task = asyncio.create_task(self._keep_looking(), name=f"schedule-{self._kind}")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def look(self) -> str | None:
        """Look once; the id of the job that was added."""
        if not await asyncio.to_thread(self._should_add):
            return None
        return await self._jobs.start(self._kind, project=self._project)

    def _should_add(self) -> bool:
        with self._records.read() as tx:
            if self._jobs.is_on_its_way(tx, self._kind):
                return False
        return self._is_due()

    async def _keep_looking(self) -> Any:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("It cannot be said whether %r is due", self._kind)
            await self._clock.sleep(self._every_s)
