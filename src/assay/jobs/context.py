"""What a job's function is given: its arguments, and a way to say how far it is."""

import asyncio
from typing import Any

from assay.jobs import store
from assay.jobs.types import Job
from assay.kit.clock import Clock
from assay.records import Records

WRITE_EVERY_S = 0.25
"""Progress and log lines go to the records at most this often."""

_LONGEST_LINE = 2000


class JobContext:
    """One run of one job. All methods are cheap and may be called after every item."""

    def __init__(self, job: Job, records: Records, clock: Clock) -> None:
        self.job_id = job.id
        self.project = job.project
        self.arguments = job.arguments
        self._records = records
        self._clock = clock
        self._progress: dict[str, Any] = {}
        self._lines: list[tuple[int, str]] = []
        self._cancelled = asyncio.Event()
        if job.cancel_asked:
            self._cancelled.set()

    def progress(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Say how far the job is."""
        self._progress = {"done": done, "total": total, "note": note}

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        self._lines.append((self._clock.now_ns(), text[:_LONGEST_LINE]))

    def cancelled(self) -> bool:
        """Whether somebody asked the job to stop: finish the item at hand and return."""
        return self._cancelled.is_set()

    def ask_to_stop(self) -> None:
        """What a cancellation does; the function sees it in `cancelled()`."""
        self._cancelled.set()

    async def wait_cancelled(self) -> None:
        """Wait until the job is asked to stop."""
        await self._cancelled.wait()

    async def keep_writing(self) -> None:
        """Write what changed to the records, now and then, until cancelled."""
        while True:
            await self._clock.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what changed to the records."""
        progress, self._progress = self._progress, {}
        lines, self._lines = self._lines, []
        if progress or lines:
            await asyncio.to_thread(self._keep, progress, lines)

    def _keep(self, progress: dict[str, Any], lines: list[tuple[int, str]]) -> None:
        with self._records.write() as tx:
            if progress:
                store.change(tx, self.project, self.job_id, **progress)
            if lines:
                store.add_lines(tx, self.project, self.job_id, lines)
