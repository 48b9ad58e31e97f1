"""Writing results as they come: one writer for a run, so that many calls at once share a transaction.

A result counts when it is written. While one batch is being committed the next one gathers, so a slow disk makes batches
larger, never the calls slower.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from assay.evals import store
from assay.evals.types import CachedAnswer, Result, Run
from assay.records import Records

LARGEST_BATCH = 200


class Kept(NamedTuple):
    """What is written for a case: its result, and the answer where another run may use it."""

    result: Result
    answer: CachedAnswer | None = None


class Keeper:
    """Takes results from any number of workers of one event loop. `keep_writing` is its task; `close` ends it."""

    def __init__(self, records: Records, run: Run, on_written: Callable[[list[Result]], None]) -> None:
        self._records = records
        self._run = run
        self._on_written = on_written
        self._waiting: asyncio.Queue[Kept | None] = asyncio.Queue()

    def keep(self, kept: Kept) -> None:
        """Have it written."""
        self._waiting.put_nowait(kept)

    def close(self) -> None:
        """Write what is waiting, then end."""
        self._waiting.put_nowait(None)

    async def keep_writing(self) -> None:
        """Write until closed. Raises what the records raise: then nothing can be kept, and nothing more must be paid."""
        is_open = True
        while is_open:
            batch = [await self._waiting.get()]
            while not self._waiting.empty() and len(batch) < LARGEST_BATCH:
                batch.append(self._waiting.get_nowait())
            is_open = batch[-1] is not None
            written = [each for each in batch if each is not None]
            if written:
                await asyncio.to_thread(self._write, written)
                self._on_written([each.result for each in written])

    def _write(self, batch: list[Kept]) -> None:
        answers = [each.answer for each in batch if each.answer is not None]
        with self._records.write() as tx:
            store.put_results(tx, self._run, [each.result for each in batch], answers)
