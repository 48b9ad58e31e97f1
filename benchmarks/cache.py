"""What the cache and repeated requests cost a call: in the process, without sockets, the upstream answering at once.

    python benchmarks/cache.py [--calls 2000] [--rounds 15] [--json FILE]

Every way is measured in each round, the order within a round is drawn; the median of the rounds' means is reported. `idle` is a
call that does not use the cache of a server that has one, beside `none`, a server without: the difference is what the
feature costs those who do not use it.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from assay.access import Principal, Role
from assay.calls import Call, CallContext, Caller
from assay.calls.cache import AnswerCache
from assay.calls.cache_rules import CacheAsk
from assay.calls.cache_shelf import open_shelf
from assay.catalog.models import parse_model
from assay.catalog.prices import PriceBook
from assay.gateway.exchange import Exchange, Headers, Message
from assay.gateway.idempotency import Replays
from assay.providers.types import ProviderRequest
from assay.wire.openai_chat import decode_chat, decode_response
from assay.wire.responses import Response
from assay.wire.spans import Event

QUESTION = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant that answers briefly."},
        {"role": "user", "content": "What is the capital of France, and which river runs through it?"},
    ],
    "max_tokens": 64,
}
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris, on the Seine."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 31, "completion_tokens": 7, "total_tokens": 38},
    }
).encode()
USE = CacheAsk(mode="use")
Way = Callable[[int], Awaitable[Any]]


class Upstream:
    """A provider that answers at once, and a registry that knows no other."""

    name = type = "upstream"

    async def complete(self, request: ProviderRequest) -> Response:
        """The fixed answer, read like one that came from elsewhere."""
        return decode_response(ANSWER)

    def get(self, name: str, key: int = 0) -> "Upstream":
        """As `Providers.get`."""
        return self

    def keys(self, name: str) -> int:
        """As `Providers.keys`."""
        return 1


class Nowhere:
    """A sink that keeps nothing."""

    def admit(self) -> None:
        """Every call."""

    def append(self, events: list[Event]) -> bool:
        """Dropped."""
        return True

    async def keep(self, events: list[Event]) -> bool:
        """Dropped."""
        return True


class Client(Exchange):
    """A client that hears the answer and says nothing more."""

    __slots__ = ("_body",)

    def __init__(self, headers: dict[bytes, bytes], body: bytes) -> None:
        super().__init__("POST", "/v1/chat/completions", headers)
        self._body = body

    async def body(self, limit: int) -> bytes:
        """What it asks."""
        return self._body

    async def receive(self) -> Message:
        """Nothing more."""
        raise NotImplementedError

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Heard."""

    def watch(self, left: Callable[[], None]) -> None:
        """It stays."""

    def unwatch(self) -> None:
        """It stayed."""

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Heard."""

    async def _begin(self, status: int, headers: Headers) -> None:
        """Heard."""


def ways(folder: Path) -> dict[str, Way]:
    """Each way to make a call, by name; the argument is a number that no other call of it has."""
    models = {
        "m": parse_model(
            "m",
            {
                "route": [{"provider": "upstream", "model": "m"}],
                "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
            },
        )
    }
    made: dict[str, Any] = {
        "models": models,
        "providers": Upstream(),
        "prices": PriceBook(),
        "sink": Nowhere(),
    }
    without = Caller(**made)
    cached = Caller(**made, cache=AnswerCache(open_shelf(folder / "cache", memory_mb=64, disk_mb=256)))
    replays = Replays(open_shelf(folder / "replays", memory_mb=64, disk_mb=256), max_body_bytes=1 << 25)
    asked = json.dumps(QUESTION).encode()
    principal = Principal(
        name="b", project="default", role=Role.ADMIN, key_id="k", environment=None, via="key"
    )
    context = CallContext(project="default")

    def call(number: int | None, cache: CacheAsk | None) -> Call:
        body = asked if number is None else json.dumps({**QUESTION, "seed": number}).encode()
        return Call("chat", decode_chat(body), context, cache=cache)

    async def endpoint(exchange: Exchange, _: Principal) -> None:
        answer = await without.complete(Call("chat", decode_chat(await exchange.body(1 << 25)), context))
        await exchange.respond(200, answer.response.raw)

    def repeated(key: int) -> Awaitable[None]:
        return replays.answer(Client({b"idempotency-key": b"%d" % key}, asked), principal, endpoint)

    return {
        "none": lambda n: without.complete(call(n, None)),
        "idle": lambda n: cached.complete(call(n, None)),
        "miss, kept": lambda n: cached.complete(call(n, USE)),
        "hit": lambda _: cached.complete(call(None, USE)),
        "without a key": lambda _: endpoint(Client({}, asked), principal),
        "first with a key": lambda n: repeated(n + 1),
        "replayed": lambda _: repeated(0),
    }


async def measure(calls: int, rounds: int, folder: Path) -> dict[str, float]:
    """Microseconds a call, by way."""
    made = ways(folder)
    for way in made.values():
        for at in range(50):
            await way(-at)
    found: dict[str, list[float]] = {name: [] for name in made}
    order, number = list(made), 0
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            began = time.perf_counter()
            for _ in range(calls):
                number += 1
                await made[name](number)
            found[name].append((time.perf_counter() - began) / calls * 1e6)
    return {name: round(statistics.median(times), 2) for name, times in found.items()}


def main() -> None:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(options.calls, options.rounds, Path(folder)))
    for name, microseconds in found.items():
        print(f"{name:18}{microseconds:8.1f} µs")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
