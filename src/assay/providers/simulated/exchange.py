"""One call that a simulated provider is answering: what will happen, and when, whatever carries it.

The in-process transport and the HTTP server both play an `Exchange`; only how a broken connection shows differs.
"""

from collections.abc import AsyncGenerator
from typing import Any, Literal

import msgspec

from assay.errors import UpstreamCut, UpstreamDown, UpstreamTimeout
from assay.kit.clock import Clock

Outcome = Literal["running", "complete", "cut", "cancelled", "refused"]
_FOREVER_S = 10.0**9


class Step(msgspec.Struct, frozen=True):
    """Bytes, and how long they take to come after those before."""

    delay_s: float
    data: bytes


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that will happen in one call. `ending` is how the body ends; a stall never does."""

    head_s: float
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()
    refused: bool = False
    ending: Literal["complete", "cut", "stall"] = "complete"


class Call(msgspec.Struct, kw_only=True):
    """What the provider saw of one call; tests read it from `Simulation.log`."""

    index: int
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at_s: float
    query: str = ""
    status: int = 200
    chunks_sent: int = 0
    outcome: Outcome = "running"

    @property
    def cancelled(self) -> bool:
        """The client went away before the end."""
        return self.outcome == "cancelled"


class Exchange:
    """Plays a plan in time. Take the head, then the body; `close` when the client is gone.

    `patience_s` is how long the client waits for all of it; afterwards `UpstreamTimeout` is raised.
    """

    def __init__(self, plan: Plan, call: Call, clock: Clock) -> None:
        self.plan = plan
        self.call = call
        self.patience_s = _FOREVER_S
        self._clock = clock

    async def head(self) -> None:
        """Wait until the head is there. Raises `UpstreamDown` when nobody answers."""
        try:
            await self._wait(self.plan.head_s)
        except BaseException:
            self.close()
            raise
        if self.plan.refused:
            self._end("refused")
            raise UpstreamDown("The simulated provider refused the connection")

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The chunks as they come. Raises `UpstreamCut` when the connection breaks."""
        try:
            for step in self.plan.steps:
                await self._wait(step.delay_s)
                self.call.chunks_sent += 1
                if self.plan.ending == "complete" and self.call.chunks_sent == len(self.plan.steps):
                    # Before it goes out: a client that has read `[DONE]` need not read on.
                    self._end("complete")
                yield step.data
            while self.plan.ending == "stall":
                await self._wait(_FOREVER_S)
            self._end("cut" if self.plan.ending == "cut" else "complete")
        finally:
            self.close()
        if self.plan.ending == "cut":
            raise UpstreamCut("The simulated provider broke the connection in the middle of its answer")

    def close(self) -> None:
        """The client needs no more; what had not ended by then counts as cancelled."""
        self._end("cancelled")

    async def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        late = seconds > self.patience_s
        await self._clock.sleep(min(seconds, self.patience_s))
        self.patience_s -= min(seconds, self.patience_s)
        if late:
            raise UpstreamTimeout("The simulated provider did not answer in time")

    def _end(self, outcome: Outcome) -> None:
        if self.call.outcome == "running":
            self.call.outcome = outcome
