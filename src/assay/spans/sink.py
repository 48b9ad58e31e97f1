"""Where calls put their spans: the spool, as durable as the setting says."""

from typing import Literal

from assay.spans.spool import Spool
from assay.wire.spans import Event


class CallSink:
    """Writes settled calls to a spool. When strict a call waits for the fsync, and is refused while there can be none."""

    def __init__(
        self, spool: Spool, durability: Literal["grouped", "strict"] = "grouped", *, timeout_s: float = 0.25
    ) -> None:
        """`timeout_s` is how long an answer waits for a disk that takes nothing."""
        self._spool = spool
        self._strict = durability == "strict"
        self._timeout_s = timeout_s

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
        receipt = self._spool.append(events)
        if receipt is None:
            receipt = await self._spool.append_or_wait(events, timeout_s=self._timeout_s)
        if receipt is None:
            return False
        return await self._spool.kept(receipt) if self._strict else True
