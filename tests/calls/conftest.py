"""The pipeline over simulated providers, on a clock that stands still."""

from collections.abc import Callable
from typing import Any

import pytest

from assay.calls import Call, CallContext, Caller
from assay.calls.cache import AnswerCache
from assay.calls.cache_shelf import Shelf
from assay.catalog.models import parse_model
from assay.catalog.prices import PriceBook
from assay.errors import Unavailable
from assay.providers.openai import OpenAIProvider
from assay.providers.simulated import Script, Simulation
from assay.providers.simulated.transport import SimulatedTransport
from assay.testing import FakeClock
from assay.wire.messages import text_message
from assay.wire.openai_chat import chat_request
from assay.wire.spans import Event, Span, SpanKind


class Kept:
    """A sink in memory; `writable` False is a disk that takes nothing, `strict` refuses calls then."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []
        self.writable = True
        self.strict = False

    def admit(self) -> None:
        if self.strict and not self.writable:
            raise Unavailable("Nothing can be kept")

    def append(self, events: list[Event]) -> bool:
        if self.writable:
            self.batches.append(events)
        return self.writable

    async def keep(self, events: list[Event]) -> bool:
        return self.append(events)


class Pipeline:
    """A caller over the providers `a` and `b`, with what went in and what was kept. With `waits` delays never end. The
    provider `a` has `keys` keys, `key-0` and so on."""

    def __init__(
        self, a: Script, b: Script | None = None, *, waits: bool = False, keys: int = 1, **model: Any
    ) -> None:
        self.clock = FakeClock(runs_ahead=not waits)
        self.simulations = {
            name: Simulation(script, clock=self.clock) for name, script in (("a", a), ("b", b or Script()))
        }
        self._keys = {"a": keys, "b": 1}
        self._providers = {
            (name, key): OpenAIProvider(
                name=name,
                base_url="http://sim/v1",
                api_key=f"key-{key}" if keys > 1 else None,
                transport=SimulatedTransport(simulation),
                clock=self.clock,
            )
            for name, simulation in self.simulations.items()
            for key in range(self._keys[name])
        }
        table = {"route": [{"provider": "a", "model": "up-a"}], "retries": 0, **model}
        price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
        self.models = {
            "m": parse_model("m", {"price": price, **table}),
            "spare": parse_model("spare", {"route": [{"provider": "b", "model": "up-b"}], "retries": 0}),
        }
        self.sink = Kept()
        self.cache = AnswerCache(Shelf(memory_bytes=1 << 20, clock=self.clock), clock=self.clock)
        self.caller = Caller(
            models=self.models,
            providers=self,  # type: ignore[arg-type]
            prices=PriceBook(),
            sink=self.sink,
            clock=self.clock,
            draw=lambda: 0.5,
            cache=self.cache,
        )

    def get(self, name: str, key: int = 0) -> OpenAIProvider:
        """As `Providers.get`."""
        return self._providers[name, key]

    def keys(self, name: str) -> int:
        """As `Providers.keys`."""
        return self._keys[name]

    def call(self, *, stream: bool = False, model: str = "m", **options: Any) -> Call:
        """One call with a message of three words."""
        request = chat_request(
            model, (text_message("user", "one two three"),), stream=stream or None, **options
        )
        return Call("chat", request, CallContext(project="p", tags=("t",)))

    def asked(self, name: str) -> int:
        """How often a provider was asked."""
        return len(self.simulations[name].log)

    @property
    def span(self) -> Span:
        """The span of the one call that was made, which was kept once."""
        (batch,) = self.sink.batches
        (span,) = [event for event in batch if isinstance(event, Span) and event.kind is SpanKind.MODEL]
        return span


@pytest.fixture
def pipeline() -> Callable[..., Pipeline]:
    """Makes one: `pipeline(Script(…), Script(…), retries=2, fallback=["spare"])`."""
    return Pipeline
