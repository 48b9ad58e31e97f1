"""Keeps limits and budgets: takes what a call may need before it is made, and gives back what it did not need.

A budget is never overspent by more than calls in flight cost beyond what was reserved for them. Everything is in memory and
on one event loop, so that checking every limit of a call and taking from all of them is one step.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, NoReturn

from assay.access.limits import LIMITS, Applied, Limits, ProjectLimits
from assay.access.types import Limit, Per, Spent
from assay.calls.meters import Meter, began_ns, ends_ns
from assay.calls.reserve import ASSUMED_OUTPUT_TOKENS, Dearest, Reserve, most_of
from assay.calls.structured import attempts_of
from assay.calls.types import Call
from assay.catalog.models import ModelConfig
from assay.catalog.prices import PriceBook
from assay.errors import BudgetSpent, Forbidden, RateLimited
from assay.kit import money
from assay.kit.clock import SYSTEM, Clock
from assay.snapshot import SnapshotSource
from assay.wire.spans import Span

log = logging.getLogger(__name__)

WARNS_AT = 0.8
_SHARES = {1.0: Decimal(1), WARNS_AT: Decimal("0.8")}
"""The share of a budget from which on people are told."""
REFUSALS = ("requests", "tokens", "concurrent", "usd", "price")
"""What refuses a call: a limit, the money of a budget, or a price that is not known."""
MOST_METERS = 100_000
"""Users and tags are named by clients: before there are more meters than this, idle ones are dropped."""
_FORGOTTEN = 10_000
_NO_TOKENS = Reserve(0, 0)


class _Held:
    """The limits that count a call, each with its meter."""

    __slots__ = ("meters", "money", "tokens")

    def __init__(self, meters: Iterable[tuple[Limit, Meter]]) -> None:
        self.meters = tuple(meters)
        self.money = any(limit.usd is not None for limit, _ in self.meters)
        self.tokens = self.money or any(limit.tokens_per_minute is not None for limit, _ in self.meters)


class Reading(NamedTuple):
    """A meter as it stands."""

    name: str
    requests: int
    tokens: int
    concurrent: int
    spent_usd: Decimal
    reserved_usd: Decimal
    refused: int


class Reservation:
    """What was taken for one call; `settle` gives it back, once, whatever has become of the call."""

    __slots__ = ("_began_s", "_held", "_limiter", "_tokens", "_usd")

    def __init__(self, limiter: "Limiter", held: _Held, *, tokens: int, usd: Decimal, began_s: float) -> None:
        self._limiter = limiter
        self._held: _Held | None = held
        self._tokens = tokens
        self._usd = usd
        self._began_s = began_s

    @property
    def share(self) -> float:
        """How much of the fullest budget is spent, or reserved for other calls."""
        shares = [0.0]
        for limit, meter in self._held.meters if self._held is not None else ():
            if limit.usd is not None:
                used = money.subtract(money.add(meter.spent, meter.reserved), self._usd)
                shares.append(float(used / limit.usd) if limit.usd else 1.0)
        return max(shares)

    def settle(self, span: Span | None) -> None:
        """The call has ended with this span, or before an upstream was asked."""
        held, self._held = self._held, None
        if held is not None:
            self._limiter.settle(held, span, tokens=self._tokens, usd=self._usd, began_s=self._began_s)


class Limiter:
    """The meters of one process. `refused` counts calls by what refused them."""

    def __init__(
        self,
        snapshot: SnapshotSource,
        models: Mapping[str, ModelConfig],
        prices: PriceBook,
        *,
        clock: Clock = SYSTEM,
        assumed_output_tokens: int = ASSUMED_OUTPUT_TOKENS,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._snapshot = snapshot
        self.models = models
        self._dearest = Dearest(models, prices, clock)
        self._clock = clock
        self._assumed = assumed_output_tokens
        self._meters: dict[tuple[str, str], Meter] = {}
        self._limits: Limits | None = None
        self._found: dict[tuple[object, ...], _Held] = {}

    def reserve(self, call: Call) -> Reservation | None:
        """Take what a call may need, or nothing at all. None where no limit applies.

        Raises `RateLimited` with when to try again, `BudgetSpent`, and `Forbidden` for a model without a price under a budget.
        """
        limits = self._snapshot.current[LIMITS]
        project = limits.of(call.context.project)
        if project is None:
            return None
        if limits is not self._limits:
            self._limits, self._found = limits, {}
        held = self._applying(project, call)
        return self._take(held, call) if held.meters else None

    def settle(self, held: _Held, span: Span | None, *, tokens: int, usd: Decimal, began_s: float) -> None:
        """See `Reservation.settle`."""
        usage = None if span is None else span.usage
        used = 0 if usage is None or not held.tokens else usage.total_input + usage.total_output
        cost = money.NOTHING if span is None or span.cost_usd is None else span.cost_usd
        now_ns = self._clock.now_ns() if span is None else span.end_ns
        for limit, meter in held.meters:
            meter.in_flight -= 1
            if limit.tokens_per_minute is not None and used != tokens:
                meter.tokens.correct(began_s, used - tokens)
            if limit.usd is not None:
                assert limit.period is not None
                meter.enter(began_ns(limit.period, now_ns))
                meter.settle(usd, cost)
                if meter.told < 1.0:
                    self._tell(limit, meter)

    def readings(self, limit: Limit, *, most: int = 100) -> list[Reading]:
        """The meters of a limit, the fullest first."""
        now_s, now_ns = self._clock.monotonic(), self._clock.now_ns()
        found = []
        for (limit_id, name), meter in self._meters.items():
            if limit_id != limit.id:
                continue
            if limit.period is not None:
                meter.enter(began_ns(limit.period, now_ns))
            found.append(
                Reading(
                    name,
                    meter.requests.total(now_s),
                    meter.tokens.total(now_s),
                    meter.in_flight,
                    meter.spent,
                    meter.reserved,
                    meter.refused,
                )
            )
        return sorted(found, key=lambda reading: fullness(limit, reading), reverse=True)[:most]

    def spent(self) -> list[Spent]:
        """What was spent under every budget up to now, to be kept."""
        limits, now_ns = self._snapshot.current[LIMITS], self._clock.now_ns()
        budgets = {limit.id: limit for limit in limits.budgets()}
        return [
            Spent(
                project=budgets[limit_id].project,
                limit_id=limit_id,
                name=name,
                usd=meter.spent,
                since_ns=meter.since_ns,
                until_ns=now_ns,
            )
            for (limit_id, name), meter in self._meters.items()
            if limit_id in budgets
        ]

    def add_spent(self, sums: Iterable[Spent]) -> None:
        """What was spent before this process, or before a budget was made."""
        for each in sums:
            meter = self._meter(each.limit_id, each.name)
            meter.enter(each.since_ns)
            meter.settle(money.NOTHING, each.usd)

    def _applying(self, project: ProjectLimits, call: Call) -> _Held:
        context = call.context
        key = (context.project, context.key_id, context.user, context.tags, call.request.model)
        found = self._found.get(key)
        if found is None:
            applied: Iterable[Applied] = project.of(
                key_id=context.key_id, user=context.user, tags=context.tags, model=call.request.model
            )
            if len(self._found) >= _FORGOTTEN:
                self._found.clear()
            if len(self._meters) >= MOST_METERS:
                self._drop_idle()
            found = self._found[key] = _Held((limit, self._meter(limit.id, name)) for limit, name in applied)
        return found

    def _meter(self, limit_id: str, name: str) -> Meter:
        meter = self._meters.get((limit_id, name))
        if meter is None:
            meter = self._meters[limit_id, name] = Meter()
        return meter

    def _drop_idle(self) -> None:
        now_s = self._clock.monotonic()
        self._meters = {key: meter for key, meter in self._meters.items() if not meter.idle(now_s)}
        self._found.clear()

    def _take(self, held: _Held, call: Call) -> Reservation:
        now_s, now_ns = self._clock.monotonic(), self._clock.now_ns()
        most = _NO_TOKENS
        if held.tokens:
            most = most_of(call, self._assumed).times(attempts_of(call, self.models))
        tokens = most.input + most.output
        usd = self._price(call, most) if held.money else money.NOTHING
        for limit, meter in held.meters:
            try:
                self._check(limit, meter, tokens, usd, now_s, now_ns)
            except RateLimited:
                meter.refused += 1
                raise
        for limit, meter in held.meters:
            meter.in_flight += 1
            if limit.requests_per_minute is not None:
                meter.requests.add(now_s, 1)
            if limit.tokens_per_minute is not None:
                meter.tokens.add(now_s, tokens)
            if limit.usd is not None:
                meter.reserve(usd)
        return Reservation(self, held, tokens=tokens, usd=usd, began_s=now_s)

    def _check(
        self, limit: Limit, meter: Meter, tokens: int, usd: Decimal, now_s: float, now_ns: int
    ) -> None:
        """Raises what `reserve` raises."""
        if limit.requests_per_minute is not None:
            room = limit.requests_per_minute - 1
            if meter.requests.total(now_s) > room:
                self._refuse(
                    limit,
                    "requests",
                    f"{limit.requests_per_minute} requests a minute",
                    meter.requests.free_in_s(now_s, room),
                )
        if limit.tokens_per_minute is not None:
            room = limit.tokens_per_minute - tokens
            if meter.tokens.total(now_s) > room:
                self._refuse(
                    limit,
                    "tokens",
                    f"{limit.tokens_per_minute} tokens a minute",
                    meter.tokens.free_in_s(now_s, room),
                    needs=tokens if room < 0 else None,
                )
        if limit.concurrent is not None and meter.in_flight >= limit.concurrent:
            self._refuse(limit, "concurrent", f"{limit.concurrent} calls at once", 1.0)
        if limit.usd is not None:
            assert limit.period is not None
            meter.enter(began_ns(limit.period, now_ns))
            if money.add(money.add(meter.spent, meter.reserved), usd) > limit.usd:
                self._refuse_budget(limit, meter, usd, now_ns)

    def _refuse(
        self, limit: Limit, what: str, allowed: str, retry_after_s: float, *, needs: int | None = None
    ) -> NoReturn:
        self.refused[what] += 1
        if needs is not None:
            raise RateLimited(
                f"{whose(limit)} may use {allowed}, and this call alone may need {needs}",
                hint="Set a lower max_tokens, send less, or have the limit raised.",
            )
        raise RateLimited(
            f"{whose(limit)} may make {allowed}" if what != "tokens" else f"{whose(limit)} may use {allowed}",
            retry_after_s=retry_after_s,
            hint=f"Try again in {retry_after_s:.0f} s.",
        )

    def _refuse_budget(self, limit: Limit, meter: Meter, usd: Decimal, now_ns: int) -> NoReturn:
        self.refused["usd"] += 1
        assert limit.usd is not None
        assert limit.period is not None
        left = max(money.subtract(limit.usd, money.add(meter.spent, meter.reserved)), money.NOTHING)
        ends = ends_ns(limit.period, now_ns)
        raise BudgetSpent(
            f"{whose(limit)} has {money.display(left)} left of its budget of {money.display(limit.usd)}"
            f"{'' if limit.period == 'total' else f' a {limit.period}'}, and this call may cost {money.display(usd)}",
            retry_after_s=None if ends is None else (ends - now_ns) / 1e9,
            hint="Set a lower max_tokens, or have the budget raised."
            if left > 0
            else "Have the budget raised.",
        )

    def _price(self, call: Call, most: Reserve) -> Decimal:
        found = self._dearest.cost(call.request.model, most)
        if isinstance(found, str):
            self.refused["price"] += 1
            raise Forbidden(
                f"The price of the model {found!r} is not known, so no budget can be kept with it",
                hint=f"Give [models.{found}] a price in assay.toml, or take the budget away.",
            )
        return found

    def _tell(self, limit: Limit, meter: Meter) -> None:
        """Say once, in a period, that a budget is nearly spent, and once that it is."""
        assert limit.usd is not None
        for level in (1.0, WARNS_AT):
            if level > meter.told and meter.spent >= limit.usd * _SHARES[level]:
                meter.told = level
                log.warning(
                    "%s in the project %s has spent %s of its budget of %s",
                    whose(limit),
                    limit.project,
                    money.display(meter.spent),
                    money.display(limit.usd),
                )
                return


def whose(limit: Limit) -> str:
    """Whom a limit is about, for people."""
    name = "This project" if limit.per is Per.PROJECT else f"This {limit.per}"
    return name if limit.model is None else f"{name}, with the model {limit.model!r},"


def fullness(limit: Limit, reading: Reading) -> float:
    """The fullest share of what is allowed."""
    shares = [0.0]
    for allowed, used in (
        (limit.requests_per_minute, reading.requests),
        (limit.tokens_per_minute, reading.tokens),
        (limit.concurrent, reading.concurrent),
        (limit.usd, money.add(reading.spent_usd, reading.reserved_usd)),
    ):
        if allowed is not None:
            shares.append(float(used / allowed) if allowed else 1.0)
    return max(shares)
