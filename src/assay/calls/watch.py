"""A watchdog over silence: one timer for a whole stream instead of one for each of its events."""

import asyncio


class IdleWatch:
    """Cancels the task that entered it when `touch` was not called for `limit_s`, and then raises `TimeoutError`."""

    __slots__ = ("_expired", "_last", "_limit_s", "_loop", "_resting", "_task", "_timer")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._expired = False
        self._resting = False

    def __enter__(self) -> "IdleWatch":
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._last = self._loop.time()
        self._timer = self._loop.call_at(self._last + self._limit_s, self._look)
        return self

    def touch(self) -> None:
        """Something came, or is waited for again: the silence begins anew."""
        self._last = self._loop.time()
        self._resting = False

    def rest(self) -> None:
        """Nothing is waited for until the next `touch`: a client that reads slowly is not the upstream's silence."""
        self._resting = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if (
            self._expired
            and self._task is not None
            and kind is asyncio.CancelledError
            and self._task.uncancel() <= 0
        ):
            raise TimeoutError from error

    def _look(self) -> None:
        now = self._loop.time()
        due = now + self._limit_s if self._resting else self._last + self._limit_s
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()
