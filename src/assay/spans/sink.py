"""Where calls put their spans: the spool, as durable as the setting says."""

import asyncio
from typing import Literal

from assay.spans.spool import Receipt, Spool
from assay.wire.spans import Event


class CallSink:
    """Writes settled calls to a spool. When strict a call waits for the fsync, and is refused while there can be none.

    Calls that end in the same turn of the event loop become one record, written once: under load that saves most of the
    system calls. Lives on one event loop.
    """

    def __init__(
        self, spool: Spool, durability: Literal["grouped", "strict"] = "grouped", *, timeout_s: float = 0.25
    ) -> None:
        """`timeout_s` is how long an answer waits for a disk that takes nothing."""
        self._spool = spool
        self._strict = durability == "strict"
        self._timeout_s = timeout_s
        self._together: list[tuple[list[Event], asyncio.Future[Receipt | None]]] = []

    def admit(self) -> None:
        """Raise `Unavailable` when durability is strict and nothing can be kept."""
        if self._strict:
            self._spool.admit_strict()

    def append(self, events: list[Event]) -> bool:
        """Write without waiting; a loss is counted."""
        if self._spool.append(events) is None:
            self._spool.lost_calls += 1
            return False
        return True

    async def keep(self, events: list[Event]) -> bool:
        """Write, and wait as durability asks. False when it is not kept."""
        receipt = await self._written(events)
        if receipt is None:
            receipt = await self._spool.append_or_wait(events, timeout_s=self._timeout_s)
        if receipt is None:
            return False
        return await self._spool.kept(receipt) if self._strict else True

    def _written(self, events: list[Event]) -> asyncio.Future[Receipt | None]:
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Receipt | None] = loop.create_future()
        if not self._together:
            loop.call_soon(self._write)
        self._together.append((events, written))
        return written

    def _write(self) -> None:
        together, self._together = self._together, []
        receipt = self._spool.append([event for events, _ in together for event in events])
        for _, written in together:
            if not written.done():  # whoever waited may have left; the span is kept all the same
                written.set_result(receipt)
