"""The live tail: spans as they are kept, for whoever watches.

The collector rings a bell after each batch that is in the store; a viewer holds no queue, only a position in the store, and
reads on from there when the bell rings. So a slow viewer costs no memory, a filter means the same as in the list of traces,
and who comes back with a position, after a cut, a pause or a restart of the server, misses nothing and sees nothing twice.
Viewers with the same filter at the same position share one read.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import msgspec

from assay.errors import AssayError, Unavailable
from assay.kit.clock import SYSTEM, Clock
from assay.spans.types import SpanFilter, SpanRow, SpanStore, Tail

PAGE = 200
"""Spans in one step."""
MOST_BEHIND = 2000
"""Spans that are shown to somebody who comes back; of more only the newest, and that there were more is said."""
MOST_VIEWERS = 500
LONGEST_S = 600.0
"""Then the answer ends, so that who watches is asked again who they are; a browser goes on by itself."""
QUIET_S = 15.0
"""At least so often something is said."""

_READS_AT_ONCE = 4
_AFTER_TROUBLE_S = 2.0


class Step(msgspec.Struct, frozen=True):
    """What is new, the oldest first, and where to go on. `passed_over` says that there was more, which is not shown;
    `trouble` is why nothing can be read just now."""

    rows: list[SpanRow]
    position: str
    passed_over: bool = False
    trouble: str | None = None
    drawn: dict[str, str] = {}
    """What was made of the rows for one viewer, for the others who get the same."""


class _Read(msgspec.Struct, frozen=True):
    tail: Tail
    drawn: dict[str, str]


class LiveTail:
    """Everybody who watches this server, on one event loop; `ring` may be called from any thread."""

    def __init__(self, store: SpanStore, *, clock: Clock = SYSTEM) -> None:
        self._store = store
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._reads: dict[tuple[SpanFilter, str], asyncio.Task[_Read | AssayError]] = {}
        self._closed = False
        self.viewers = 0

    def ring(self) -> None:
        """Something has come."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended: nobody watches any more
                self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Let every viewer go: the server stops."""
        self._closed = True
        self._wake()

    async def follow(
        self, filter: SpanFilter, *, after: str | None = None, longest_s: float = LONGEST_S
    ) -> AsyncGenerator[Step, None]:
        """What matches from a position on, or from now on without one. A step without rows says that time has passed.

        Raises `BadRequest` for a position that is none, `Unavailable` when too many watch or nothing can be read.
        """
        if self.viewers >= MOST_VIEWERS:
            raise Unavailable(
                f"{MOST_VIEWERS} viewers watch already.", hint="Close some pages, or read the list of traces."
            )
        self._loop = asyncio.get_running_loop()
        first = await self._begin(filter, after)
        return self._steps(filter, first, longest_s)

    async def _steps(self, filter: SpanFilter, first: Step, longest_s: float) -> AsyncGenerator[Step, None]:
        self.viewers += 1
        try:
            until_s = self._clock.monotonic() + longest_s
            position = first.position
            yield first
            while not self._closed and self._clock.monotonic() < until_s:
                bell = self._bell
                read = await self._read(filter, position)
                if isinstance(read, AssayError):
                    yield Step([], position, trouble=read.message)
                    await self._clock.sleep(_AFTER_TROUBLE_S)
                    continue
                tail, position = read.tail, read.tail.position
                if tail.rows:
                    yield Step(tail.rows, position, drawn=read.drawn)
                if tail.is_whole and not await self._rings(bell):
                    yield Step([], position)
        finally:
            self.viewers -= 1

    async def _begin(self, filter: SpanFilter, after: str | None) -> Step:
        """Where to begin, with what to show to somebody who was away for long."""
        if after is None:
            newest = await asyncio.to_thread(self._store.tail, filter, limit=1)
            return Step([], newest.position)
        behind = await asyncio.to_thread(self._store.count_after, filter, after, most=MOST_BEHIND + 1)
        if behind <= MOST_BEHIND:
            return Step([], after)
        newest = await asyncio.to_thread(self._store.tail, filter, limit=PAGE)
        return Step(newest.rows, newest.position, passed_over=True)

    async def _rings(self, bell: asyncio.Event) -> bool:
        """Wait for the bell; False when it was quiet for `QUIET_S`."""
        try:
            async with asyncio.timeout(QUIET_S):
                await bell.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self, filter: SpanFilter, after: str) -> _Read | AssayError:
        """Read on, together with all who stand at the same place."""
        key = (filter, after)
        reading = self._reads.get(key)
        if reading is None:
            reading = self._reads[key] = asyncio.create_task(self._ask(filter, after))
        return await asyncio.shield(reading)

    async def _ask(self, filter: SpanFilter, after: str) -> _Read | AssayError:
        async with self._reading:
            try:
                return _Read(await asyncio.to_thread(self._store.tail, filter, after=after, limit=PAGE), {})
            except AssayError as error:
                return error

    def _wake(self) -> None:
        self._reads.clear()
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
