"""What a call may take at most, before it is made: tokens in and out, and dollars.

Input is counted from its text, cautiously; output by what the request allows, times the answers that it asks for. A request
that sets no limit is taken to make `assumed_output_tokens`. What a call really took replaces this when it ends.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

import msgspec

from assay.calls.types import Call
from assay.catalog.models import ModelConfig, Route
from assay.catalog.prices import PriceBook, Rates
from assay.kit import money
from assay.kit.clock import Clock
from assay.wire.embeddings import EmbeddingRequest
from assay.wire.messages import AudioPart, FilePart, ImagePart, Message, OpaquePart
from assay.wire.requests import ChatRequest, CompletionRequest, Fields
from assay.wire.rerank import RerankRequest

ASSUMED_OUTPUT_TOKENS = 4096
IMAGE_TOKENS = 2_000
"""Of an image that is sent; vendors count 85 to about 1,600."""
_MESSAGE_TOKENS = 8
"""Around each message."""
_REPLY_TOKENS = 200
"""What is said to an answer that does not fit its schema."""
_TEXT = ("tools", "system", "response_format", "instructions")
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")

_REMEMBERED_S = 1.0
"""Prices have an effective moment, and a configuration may be read anew."""
_MOST_REMEMBERED = 1024

_decode = msgspec.json.Decoder(int | float | None).decode


class Reserve(NamedTuple):
    """Tokens of a call at most."""

    input: int
    output: int

    def times(self, attempts: int) -> "Reserve":
        """Of a call whose answer may be rejected: each attempt is shown all answers before it, and what is wrong with them."""
        if attempts == 1:
            return self
        shown = attempts * (attempts - 1) // 2
        return Reserve(attempts * self.input + shown * (self.output + _REPLY_TOKENS), attempts * self.output)


class _Where(NamedTuple):
    model: ModelConfig
    route: Route


def most_of(call: Call, assumed_output: int = ASSUMED_OUTPUT_TOKENS) -> Reserve:
    """The tokens that a call may take."""
    request = call.request
    if isinstance(request, EmbeddingRequest):
        return Reserve(sum(_text(each) if isinstance(each, str) else len(each) for each in request.inputs), 0)
    if isinstance(request, RerankRequest):  # an encoder reads the query with each of the documents
        query = _text(request.query)
        return Reserve(sum(query + _text(each) for each in request.documents), 0)
    fields = request.fields
    if not isinstance(request, ChatRequest | CompletionRequest):
        return Reserve(sum(len(memoryview(raw)) // 3 for raw in fields.values()), 0)
    beside = sum(len(memoryview(fields[name])) // 3 for name in _TEXT if name in fields)
    return Reserve(beside + _input(request), _output(fields, assumed_output))


class Where(Protocol):
    """An upstream of a model."""

    @property
    def model(self) -> ModelConfig: ...

    @property
    def route(self) -> Route: ...


class Dearest:
    """What calls cost at the dearest upstream that may answer them."""

    def __init__(self, models: Mapping[str, ModelConfig], prices: PriceBook, clock: Clock) -> None:
        self._models = models
        self._prices = prices
        self._clock = clock
        self._rates: dict[str, tuple[float, tuple[tuple[Decimal, Decimal], ...]]] = {}

    def cost(self, name: str, reserve: Reserve) -> Decimal | str:
        """Dollars at most. The name of a model whose price is not known instead, if there is one."""
        known = self._rates.get(name)
        if known is None or known[0] < self._clock.monotonic():
            found = self._find(name, reserve)
            if isinstance(found, str):
                return found
            known = self._rates[name] = found
        return max([_both(reserve, *rates) for rates in known[1]])

    def _find(self, name: str, reserve: Reserve) -> tuple[float, tuple[tuple[Decimal, Decimal], ...]] | str:
        rates, until = [], self._clock.monotonic() + _REMEMBERED_S
        for where in _upstreams(self._models, name):
            price = self._prices.find(where, None)
            both = None if price is None else highest(price.at(reserve.input))
            if price is None or both is None:
                return where.model.name
            if price.tiers:
                until = 0.0  # another length, another rate
            rates.append(both)
        if len(self._rates) >= _MOST_REMEMBERED:
            self._rates.clear()
        return until, tuple(rates) or ((money.NOTHING, money.NOTHING),)


def price_of(where: Where, prices: PriceBook, reserve: Reserve) -> Decimal | None:
    """What so many tokens cost at most at an upstream; None where that is not known."""
    price = prices.find(where, None)
    both = None if price is None else highest(price.at(reserve.input))
    return None if both is None else _both(reserve, *both)


def highest(rates: Rates) -> tuple[Decimal, Decimal] | None:
    """Dollars per million tokens in and out: written to a cache where that is dearer, reasoned where that is."""
    inward = [each for each in (rates.input, rates.cache_write_5m, rates.cache_write_1h) if each is not None]
    outward = [each for each in (rates.output, rates.reasoning) if each is not None]
    return (max(inward), max(outward)) if inward and outward else None


def _both(reserve: Reserve, inward: Decimal, outward: Decimal) -> Decimal:
    return money.add(inward * reserve.input, outward * reserve.output).scaleb(-6)


def _upstreams(models: Mapping[str, ModelConfig], name: str) -> Iterable[_Where]:
    queue, seen = [name], {name}
    while queue:
        model = models.get(queue.pop())
        if model is None:
            continue
        yield from (_Where(model, route) for route in model.route)
        cheaper = (model.economy.model,) if model.economy is not None else ()
        fresh = [other for other in (*model.fallback, *cheaper) if other not in seen]
        queue += fresh
        seen.update(fresh)


def _input(request: ChatRequest | CompletionRequest) -> int:
    if isinstance(request, CompletionRequest):
        prompt = request.prompt
        return _text(prompt) if isinstance(prompt, str) else sum(map(_prompt, prompt))
    return sum(_message(message) for message in request.messages)


def _prompt(given: str | int | list[int]) -> int:
    if isinstance(given, str):
        return _text(given)
    return len(given) if isinstance(given, list) else 1


def _message(message: Message) -> int:
    tokens = _MESSAGE_TOKENS
    for part in message.parts:
        if isinstance(part, ImagePart):
            tokens += IMAGE_TOKENS
        elif isinstance(part, AudioPart):
            tokens += len(part.data) // 300
        elif isinstance(part, FilePart):
            tokens += len(part.data or "") // 4
        elif isinstance(part, OpaquePart):
            tokens += len(memoryview(part.json)) // 3
        else:
            tokens += _text(part.text)
    return tokens + sum(_text(call.arguments) + _MESSAGE_TOKENS for call in message.tool_calls)


def _text(text: str) -> int:
    """English makes 4 characters a token and more, code and numbers 3, Chinese less than one."""
    return len(text) // 3 + 1 if text.isascii() else len(text.encode()) // 2 + 1


def _output(fields: Fields, assumed: int) -> int:
    most = assumed
    for name in _LIMITS:
        if name in fields and (number := _number(fields, name)) is not None:
            most = number
            break
    for name in ("n", "best_of"):
        if name in fields:
            most *= max(_number(fields, name) or 1, 1)
    return most


def _number(fields: Fields, name: str) -> int | None:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        found = _decode(raw)
    except msgspec.DecodeError:
        return None
    return max(int(found), 0) if found is not None else None
