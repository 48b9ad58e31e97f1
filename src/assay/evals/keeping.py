"""Writing results as they come: one writer for a run, so that calls that end together share a transaction.

A worker goes on to its next case when the last one is written, so a kill loses at most what was in flight. While one batch
is being committed the next one gathers: a slow disk makes batches larger, and one fsync serves them all.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from assay.evals import store
from assay.evals.types import CachedAnswer, Result, Run
from assay.records import Records


class Kept(NamedTuple):
    """What is written for a case: its result, and the answer where another run may use it."""

    result: Result
    answer: CachedAnswer | None = None


_Waiting = tuple[Kept, "asyncio.Future[None]"]


class Keeper:
    """Takes results from the workers of one event loop. `keep_writing` is its task; `close` ends it."""

    def __init__(self, records: Records, run: Run, on_written: Callable[[list[Result]], None]) -> None:
        self._records = records
        self._run = run
        self._on_written = on_written
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()

    async def keep(self, kept: Kept) -> None:
        """Have it written, and wait until it is. A worker that is cancelled while it waits has it written all the same."""
        written = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((kept, written))
        await written

    def close(self) -> None:
        """Write what is waiting, then end."""
        self._queue.put_nowait(None)

    async def keep_writing(self) -> None:
        """Write until closed. Raises what the records raise: then nothing can be kept, and nothing more must be paid."""
        is_open = True
        while is_open:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            is_open = None not in batch
            waiting = [each for each in batch if each is not None]
            if waiting:
                await asyncio.to_thread(self._write, [kept for kept, _ in waiting])
                self._on_written([kept.result for kept, _ in waiting])
                for _, written in waiting:
                    if not written.done():
                        written.set_result(None)

    def _write(self, batch: list[Kept]) -> None:
        answers = [each.answer for each in batch if each.answer is not None]
        with self._records.write() as tx:
            store.put_results(tx, self._run, [each.result for each in batch], answers)
