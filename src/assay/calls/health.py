"""How each upstream has been lately: a breaker for every provider, model and key, and what it takes to answer.

A breaker opens after failures in a row, at once for a key that is refused, and for as long as a 429 asks for. While it is
open other upstreams of the call's plan come first. When its time is over one call is let through: if that succeeds the
breaker closes, else it opens for twice as long. An upstream that is the last resort is asked although its breaker is open,
once and without retries: a client gets the upstream's own answer rather than a guess, and a sick upstream one request a
call instead of several.
"""

import math
from collections.abc import Callable, Iterable

from assay.calls.plan import CREDENTIAL_STATUSES, Target, is_retried
from assay.catalog.models import BreakerRule
from assay.errors import Upstream, UpstreamRefused
from assay.kit.clock import Clock


class Condition:
    """One upstream as it is. Belongs to one event loop."""

    __slots__ = (
        "failures",
        "in_flight",
        "latency_s",
        "open_until",
        "opened_s",
        "probing",
        "reason",
        "rule",
        "stamp",
    )

    def __init__(self, rule: BreakerRule) -> None:
        self.rule = rule
        self.failures = 0
        self.open_until = -math.inf
        self.opened_s = 0.0
        self.probing = False
        self.reason: str | None = None
        self.in_flight = 0
        self.latency_s = 0.0
        self.stamp = 0.0

    def state(self, now: float) -> str:
        """`closed`, `open`, or `half-open`: its time is over, and nothing has succeeded since."""
        if self.open_until == -math.inf:
            return "closed"
        return "open" if now < self.open_until or self.probing else "half-open"


class Health:
    """The conditions of all upstreams. `draw` gives numbers in [0, 1)."""

    def __init__(
        self,
        clock: Clock,
        draw: Callable[[], float],
        *,
        rule: BreakerRule | None = None,
        decay_s: float = 10.0,
    ) -> None:
        """`decay_s` is the time in which an old latency loses 63 % of its weight."""
        self._clock = clock
        self._draw = draw
        self._decay_s = decay_s
        self._conditions: dict[tuple[str, str, int], Condition] = {}

    def of(self, target: Target) -> Condition:
        """The condition of a target's upstream."""
        route = target.route
        key = (route.provider, route.model, target.key)
        return self._conditions.get(key) or self._conditions.setdefault(key, Condition(target.model.breaker))

    def conditions(self) -> dict[tuple[str, str, int], tuple[str, Condition]]:
        """State and condition by provider, upstream model and number of the key."""
        now = self._clock.monotonic()
        return {key: (condition.state(now), condition) for key, condition in self._conditions.items()}

    def sick_last(self, targets: list[Target]) -> list[Target]:
        """The targets whose breaker lets a call through, in their order, then the others, the soonest to recover first."""
        if len(targets) == 1:
            return targets
        now = self._clock.monotonic()
        well: list[Target] = []
        sick: list[Target] = []
        for target in targets:
            (sick if self.of(target).state(now) == "open" else well).append(target)
        return [*well, *sorted(sick, key=lambda target: self.of(target).open_until)] if sick else well

    def is_open(self, target: Target) -> bool:
        """Whether the target is asked only because nothing better is left."""
        return self.of(target).state(self._clock.monotonic()) == "open"

    def begins(self, target: Target) -> Condition:
        """A request goes there; `over` must follow when nothing more is awaited from it."""
        condition = self.of(target)
        condition.in_flight += 1
        if condition.open_until != -math.inf and condition.state(self._clock.monotonic()) == "half-open":
            condition.probing = True
        return condition

    def answers(self, condition: Condition, seconds: float) -> None:
        """Its answer began after so long: an open breaker closes."""
        if condition.open_until != -math.inf:
            self._close(condition)
        self._learn(condition, seconds)

    def completes(self, condition: Condition | None) -> None:
        """Its answer came to its end: failures before it no longer count."""
        if condition is not None:
            condition.failures = 0
            self.over(condition)

    def over(self, condition: Condition | None) -> None:
        """The request has ended, this way or another. By itself that says nothing of the upstream."""
        if condition is not None:
            condition.in_flight -= 1
            condition.probing = False

    def blames(self, condition: Condition | None, error: Upstream) -> None:
        """It failed, before its answer or in the middle of it. An error that is the request's own fault shows that the
        upstream is well."""
        if condition is None or not condition.rule.failures:
            return
        if isinstance(error, UpstreamRefused):
            if error.status in CREDENTIAL_STATUSES:
                self._open(condition, error)
                return
            if error.status == 429 and error.retry_after_s:
                condition.open_until = max(
                    condition.open_until, self._clock.monotonic() + min(error.retry_after_s, 3600.0)
                )
                condition.probing, condition.reason = False, error.message
                return
        if not is_retried(error):
            condition.failures = 0
            self._close(condition)
            return
        condition.failures += 1
        if condition.failures >= condition.rule.failures or condition.open_until != -math.inf:
            self._open(condition, error)

    def least_loaded(self, targets: Iterable[Target]) -> list[Target]:
        """The better of two drawn at random first (Mitzenmacher 2001, "The power of two choices"), the rest by what a call
        there is expected to take: peak latency times the calls that are waiting."""
        left = list(targets)
        if len(left) < 2:
            return left
        one = left.pop(int(self._draw() * len(left)))
        two = left.pop(int(self._draw() * len(left)))
        first, second = (one, two) if self._load(one) <= self._load(two) else (two, one)
        return [first, *sorted([second, *left], key=self._load)]

    def _load(self, target: Target) -> float:
        condition = self.of(target)
        age = max(self._clock.monotonic() - condition.stamp, 0.0)
        return condition.latency_s * math.exp(-age / self._decay_s) * (condition.in_flight + 1)

    def _learn(self, condition: Condition, seconds: float) -> None:
        """Peak EWMA: a higher latency counts at once, a lower one with time (as in Twitter's Finagle)."""
        now = self._clock.monotonic()
        if seconds >= condition.latency_s:
            condition.latency_s = seconds
        else:
            weight = math.exp(-max(now - condition.stamp, 0.0) / self._decay_s)
            condition.latency_s = condition.latency_s * weight + seconds * (1 - weight)
        condition.stamp = now

    def _close(self, condition: Condition) -> None:
        condition.open_until, condition.opened_s = -math.inf, 0.0
        condition.probing, condition.reason = False, None

    def _open(self, condition: Condition, error: Upstream) -> None:
        rule = condition.rule
        condition.opened_s = min(condition.opened_s * 2 or rule.open_s, rule.longest_s)
        condition.open_until = self._clock.monotonic() + condition.opened_s * (0.5 + self._draw() / 2)
        condition.probing, condition.reason = False, error.message
