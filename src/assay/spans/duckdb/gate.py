"""Who is inside, since when, and how to be alone: for files that must not vanish under a question."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Everybody enters in an epoch. `oldest` says the earliest epoch that somebody inside came in; `alone` waits until
    nobody is."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._epoch = 0
        self._inside: dict[int, int] = {}
        self._tickets = itertools.count()
        self._closed = False

    @contextmanager
    def entering(self) -> Iterator[None]:
        """Be inside; waits while somebody is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            ticket = next(self._tickets)
            self._inside[ticket] = self._epoch
        try:
            yield
        finally:
            with self._changed:
                del self._inside[ticket]
                self._changed.notify_all()

    def advance(self) -> int:
        """Begin a new epoch: whoever enters from now on sees what was changed before. Returns it."""
        with self._changed:
            self._epoch += 1
            return self._epoch

    def oldest(self) -> int | None:
        """The earliest epoch that somebody inside entered in; None when nobody is inside."""
        with self._changed:
            return min(self._inside.values(), default=None)

    @contextmanager
    def alone(self, *, timeout_s: float) -> Iterator[bool]:
        """Keep everybody out and wait until all have left. Yields whether that came about in time."""
        until = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
            is_alone = self._changed.wait_for(
                lambda: not self._inside, timeout=max(0.0, until - time.monotonic())
            )
        try:
            yield is_alone
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()
