"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
import threading


class FakeClock:
    """Implements `kit.clock.Clock`.

    `advance` moves the time and wakes who is due; `elapse` does the same from waker to waker and lets each run in
    between. With `runs_ahead=True` nobody waits: a `sleep` moves the clock by itself and returns, which suits a test of
    one task with many delays.
    """

    def __init__(self, *, start_ns: int = 1_767_225_600_000_000_000, runs_ahead: bool = False) -> None:
        self._start_ns = start_ns
        self._elapsed_ns = 0
        self._runs_ahead = runs_ahead
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch; starts at 2026-01-01T00:00:00Z by default."""
        return self._start_ns + self._elapsed_ns

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_ns / 1e9

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved that far."""
        if seconds <= 0 or self._runs_ahead:
            self._elapsed_ns += round(max(seconds, 0.0) * 1e9)
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            due_ns = self._elapsed_ns + round(seconds * 1e9)
            heapq.heappush(self._sleepers, (due_ns, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move the time at once; tasks that are due run when the event loop gets to them. Any thread may call it."""
        with self._lock:
            self._elapsed_ns += round(seconds * 1e9)
            while self._sleepers and self._sleepers[0][0] <= self._elapsed_ns:
                _, _, future = heapq.heappop(self._sleepers)
                future.get_loop().call_soon_threadsafe(_wake, future)

    async def elapse(self, seconds: float) -> None:
        """Let this much time pass: each sleeper wakes at its own moment and runs before the next one does."""
        end_ns = self._elapsed_ns + round(seconds * 1e9)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            self.advance((self._sleepers[0][0] - self._elapsed_ns) / 1e9)
            await _settle()
        self.advance((end_ns - self._elapsed_ns) / 1e9)
        await _settle()


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def _settle() -> None:
    """Give every task that can run its turns; a task rarely needs more than a few to reach its next wait."""
    for _ in range(20):
        await asyncio.sleep(0)
