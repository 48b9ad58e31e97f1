"""Writing what came of lines: one writer for a batch, so that answers that come together share a transaction.

A worker goes on to its next line when the last one is written. While one group is being committed the next one gathers.
"""

import asyncio
from collections.abc import Callable

from assay.batches import store
from assay.batches.types import Batch, Outcome
from assay.records import Records

_Waiting = tuple[Outcome, "asyncio.Future[None]"]


class Writer:
    """Takes outcomes from the workers of one event loop. `keep_writing` is its task; `close` ends it."""

    def __init__(self, records: Records, batch: Batch, on_written: Callable[[int], None]) -> None:
        self._records = records
        self._batch = batch
        self._on_written = on_written
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()

    async def keep(self, outcome: Outcome) -> None:
        """Have it written, and wait until it is. A worker that is cancelled while it waits has it written all the same."""
        written = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((outcome, written))
        await written

    def close(self) -> None:
        """Write what is waiting, then end."""
        self._queue.put_nowait(None)

    async def keep_writing(self) -> None:
        """Write until closed. Raises what the records raise: then nothing can be kept, and nothing more must be paid."""
        is_open = True
        while is_open:
            group = [await self._queue.get()]
            while not self._queue.empty():
                group.append(self._queue.get_nowait())
            is_open = None not in group
            waiting = [each for each in group if each is not None]
            if waiting:
                await asyncio.to_thread(self._write, [outcome for outcome, _ in waiting])
                self._on_written(len(waiting))
                for _, written in waiting:
                    if not written.done():
                        written.set_result(None)

    def _write(self, outcomes: list[Outcome]) -> None:
        with self._records.write() as tx:
            store.put_outcomes(tx, self._batch, outcomes)
