"""How fast somebody may guess.

A key of a `Throttle` has `burst` attempts at once and gets one back every `every_s` seconds (the generic cell rate
algorithm: one number a key). So in any time t at most `burst + t / every_s` attempts pass, whatever the clock does in between.
An attempt is counted before it is looked at, so that many at once are no way around, and a right one is given back.

`LoginThrottle` counts twice: per account, wherever the attempts come from, and per address, whatever they try. Names
that belong to no account are counted like those that do.
"""

import ipaddress
import threading
from collections import OrderedDict
from math import ceil

from assay.errors import RateLimited
from assay.kit.clock import SYSTEM, Clock

_IPV6_PREFIX = 64
"""Bits of an IPv6 address that one household has to itself."""

_TOLD_AGAIN_S = 300.0


class Throttle:
    """Attempts by key. Forgets a key once all its attempts are back, and the longest unused beyond `capacity`."""

    def __init__(self, *, burst: int, every_s: float, clock: Clock = SYSTEM, capacity: int = 50_000) -> None:
        self._burst = burst
        self._every_s = every_s
        self._clock = clock
        self._capacity = capacity
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Seconds until the next attempt may be made; 0 when it may now."""
        over_s = self._full_at.get(key, 0.0) - self._clock.monotonic() - (self._burst - 1) * self._every_s
        return max(over_s, 0.0)

    def take(self, key: str) -> None:
        """Count an attempt."""
        now = self._clock.monotonic()
        self._full_at[key] = max(self._full_at.get(key, 0.0), now) + self._every_s
        self._full_at.move_to_end(key)
        while self._full_at and (len(self._full_at) > self._capacity or self._oldest_is_back(now)):
            self._full_at.popitem(last=False)

    def give_back(self, key: str) -> None:
        """Take back one attempt that was counted."""
        if key in self._full_at:
            self._full_at[key] -= self._every_s

    def __len__(self) -> int:
        return len(self._full_at)

    def _oldest_is_back(self, now: float) -> bool:
        return next(iter(self._full_at.values())) <= now


class LoginThrottle:
    """Who may try to sign in now. Thread-safe."""

    def __init__(self, *, clock: Clock = SYSTEM) -> None:
        self.accounts = Throttle(burst=5, every_s=30.0, clock=clock)
        self.addresses = Throttle(burst=20, every_s=6.0, clock=clock)
        self._told = Throttle(burst=1, every_s=_TOLD_AGAIN_S, clock=clock)
        self._lock = threading.Lock()

    def admit(self, account: str | None, address: str | None) -> None:
        """Count an attempt at an account (None: at a key) from an address. Raises `RateLimited` when it is one too many;
        that one is not counted, so that who waits is let in."""
        place = network_of(address)
        with self._lock:
            waits = [self.addresses.wait_s(place)]
            if account is not None:
                waits.append(self.accounts.wait_s(account))
            if max(waits) > 0:
                raise RateLimited(
                    "Too many attempts to sign in",
                    retry_after_s=max(waits),
                    hint=f"Try again in {ceil(max(waits))} seconds.",
                )
            self.addresses.take(place)
            if account is not None:
                self.accounts.take(account)

    def succeeded(self, account: str | None, address: str | None) -> None:
        """The attempt was right and does not count."""
        with self._lock:
            self.addresses.give_back(network_of(address))
            if account is not None:
                self.accounts.give_back(account)

    def is_news(self, account: str | None, address: str | None) -> bool:
        """Whether a refusal should be written down: the first one in a while, lest a flood of them fills the log."""
        key = f"{account} from {network_of(address)}"
        with self._lock:
            if self._told.wait_s(key) > 0:
                return False
            self._told.take(key)
            return True


def network_of(address: str | None) -> str:
    """What counts as one place: an IPv4 address, the /64 of an IPv6 address, this machine's socket."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "socket"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
