"""Twenty thousand calls over three upstreams that fail in every way they can, with every account compared in the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from assay.access.limits import LIMITS, Limits
from assay.access.types import Limit, Per, Period
from assay.calls import Call, CallContext, Caller
from assay.calls.limiter import Limiter
from assay.catalog.models import parse_model
from assay.catalog.prices import PriceBook
from assay.errors import Upstream, UpstreamCut
from assay.providers.openai import OpenAIProvider
from assay.providers.simulated import Script, Simulation
from assay.providers.simulated.transport import SimulatedTransport
from assay.snapshot import Snapshot
from assay.testing import FakeClock
from assay.wire.messages import text_message
from assay.wire.openai_chat import chat_request
from assay.wire.spans import Event, Span, SpanKind, SpanStatus

CALLS = 20_000
AT_ONCE = 64
INPUT, OUTPUT = Decimal("0.15"), Decimal("0.60")
"""Dollars per million tokens."""
BEFORE = {"errors": {"500": 0.05, "503": 0.03, "429": 0.04}, "refuse": 0.08}
"""One call in five fails before anything of an answer came."""


class House:
    """A model with three upstreams, `retries` 1: never more than five attempts are needed here."""

    def __init__(self, **behaviour: Any) -> None:
        self.clock = FakeClock(runs_ahead=True)
        self.upstreams = {
            name: Simulation(
                Script(seed=seed, answer="lorem", output_tokens=12, **behaviour), clock=self.clock
            )
            for seed, name in enumerate("abc")
        }
        route = [{"provider": name, "model": "up"} for name in self.upstreams]
        price = {"input_usd_per_mtok": INPUT, "output_usd_per_mtok": OUTPUT}
        model = {"route": route, "retries": 1, "price": price, "breaker": {"failures": 5, "open_s": 1}}
        self.models = {"m": parse_model("m", model)}
        self.spans: list[Span] = []
        self.limit = Limit(project="p", id="l", per=Per.PROJECT, usd=Decimal(10**6), period=Period.TOTAL)
        source: Any = SimpleNamespace(current=Snapshot(0, {LIMITS.name: Limits([self.limit])}))
        self.limiter = Limiter(source, self.models, PriceBook(), clock=self.clock)
        self._providers = {
            name: OpenAIProvider(
                name=name,
                base_url="http://sim/v1",
                api_key=None,
                transport=SimulatedTransport(simulation),
                clock=self.clock,
            )
            for name, simulation in self.upstreams.items()
        }
        self.caller = Caller(
            models=self.models,
            providers=self,  # type: ignore[arg-type]
            prices=PriceBook(),
            sink=self,
            clock=self.clock,
            limiter=self.limiter,
        )

    def get(self, name: str, key: int = 0) -> OpenAIProvider:
        """As `Providers.get`."""
        return self._providers[name]

    def keys(self, name: str) -> int:
        """As `Providers.keys`."""
        return 1

    def admit(self) -> None:
        """As `SpanSink.admit`."""

    def append(self, events: list[Event]) -> bool:
        """As `SpanSink.append`."""
        self.spans += [event for event in events if isinstance(event, Span) and event.kind is SpanKind.MODEL]
        return True

    async def keep(self, events: list[Event]) -> bool:
        """As `SpanSink.keep`."""
        return self.append(events)

    async def fire(self, calls: int, *, stream: bool) -> Counter[str]:
        """So many calls, 64 at once: what their clients saw."""
        seen: Counter[str] = Counter()
        left = iter(range(calls))

        async def client() -> None:
            for number in left:
                messages = (text_message("user", f"call {number}: " + "word " * (number % 40)),)
                request = chat_request("m", messages, stream=stream or None)
                call = Call("chat", request, CallContext(project="p", session=str(number)))
                seen[await outcome(self.caller, call, stream=stream)] += 1

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        return seen

    def check_accounts(self, calls: int) -> None:
        """Every call once on a span, every token of every span at its price, and the budget's sum the same."""
        assert len(self.spans) == calls
        assert len({span.session_id for span in self.spans}) == calls
        assert len({span.span_id for span in self.spans}) == calls
        total = Decimal(0)
        for span in self.spans:
            usage = span.usage
            due = Decimal(0) if usage is None else (usage.input * INPUT + usage.output * OUTPUT) / 1_000_000
            assert (span.cost_usd or Decimal(0)) == due
            total += due
        (reading,) = self.limiter.readings(self.limit)
        assert (reading.spent_usd, reading.reserved_usd) == (total, Decimal(0))
        assert (reading.concurrent, total > 0) == (0, True)


async def outcome(caller: Caller, call: Call, *, stream: bool) -> str:
    """What a client sees: an answer that is whole, or the type of the error that ends it."""
    try:
        if not stream:
            answer = await caller.complete(call)
            return "answered" if answer.response.choices[0].finish_reason else "broken"
        return "answered" if await finished((await caller.stream(call)).events()) else "broken"
    except Upstream as error:
        return type(error).__name__


async def finished(events: AsyncIterator[Any]) -> bool:
    """Whether a stream said that it is complete."""
    return any([event.finish_reason is not None async for event in events])


@pytest.mark.parametrize("stream", [False, True])
def test_faults_before_an_answer_has_begun_are_not_seen_by_clients(stream: bool) -> None:
    house = House(**BEFORE)
    seen = asyncio.run(house.fire(CALLS // 2, stream=stream))
    assert seen["answered"] / (CALLS // 2) >= 0.999
    assert seen["broken"] == 0
    assert max(span.attempts for span in house.spans) <= 6
    house.check_accounts(CALLS // 2)
    calls = [call for upstream in house.upstreams.values() for call in upstream.log]
    finished = sum(call.status == 200 and call.outcome == "complete" for call in calls)
    assert finished == seen["answered"], "no answer was made twice"
    assert sum(span.attempts for span in house.spans) == len(calls)


def test_an_answer_that_is_cut_always_ends_with_an_error_and_is_billed_once() -> None:
    house = House(cut_at=5, fault_share=0.2)
    seen = asyncio.run(house.fire(CALLS // 4, stream=True))
    cut = [span for span in house.spans if span.status is SpanStatus.CUT]
    assert seen["broken"] == 0
    assert seen["answered"] + seen[UpstreamCut.__name__] == CALLS // 4
    assert len(cut) == seen[UpstreamCut.__name__]
    assert 0.15 < len(cut) / (CALLS // 4) < 0.25
    assert all(span.attempts == 1 for span in cut), "nothing is asked again once a client has seen some of it"
    house.check_accounts(CALLS // 4)


def test_everything_at_once() -> None:
    house = House(cut_at=5, malformed_at=3, fault_share=0.1, **BEFORE)
    seen = asyncio.run(house.fire(CALLS // 4, stream=True))
    assert seen["broken"] == 0
    assert sum(seen.values()) == CALLS // 4
    house.check_accounts(CALLS // 4)
