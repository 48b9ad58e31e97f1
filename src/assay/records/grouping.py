"""Writing what comes as it comes: what comes together shares a transaction.

Whoever gives something goes on when it is written, so a kill loses at most what was in flight. While one group is being
committed the next one gathers: a slow disk makes groups larger, and one fsync serves them all.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import Connection

from assay.records.engine import Records

T = TypeVar("T")


class GroupWriter(Generic[T]):
    """Takes things from the workers of one event loop. `keep_writing` is its task; `close` ends it."""

    def __init__(
        self,
        records: Records,
        write: Callable[[Connection, list[T]], None],
        on_written: Callable[[list[T]], None],
    ) -> None:
        """`write` puts a group into a transaction, in a thread; `on_written` hears of it on the loop."""
        self._records = records
        self._put = write
        self._on_written = on_written
        self._queue: asyncio.Queue[tuple[T, asyncio.Future[None]] | None] = asyncio.Queue()

    async def keep(self, thing: T) -> None:
        """Have it written, and wait until it is. A worker that is cancelled while it waits has it written all the same."""
        written = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((thing, written))
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
                things = [thing for thing, _ in waiting]
                await asyncio.to_thread(self._write, things)
                self._on_written(things)
                for _, written in waiting:
                    if not written.done():
                        written.set_result(None)

    def _write(self, things: list[T]) -> None:
        with self._records.write() as tx:
            self._put(tx, things)
