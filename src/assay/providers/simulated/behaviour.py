"""How a simulated provider behaves: one flat, frozen struct of figures, and a script that changes it over time.

Every field is also an option of a `[providers.<name>]` table with `type = "simulated"`, a key of `then[].set`, and a
part of a request's steering (`x-simulate: status=429;retry_after_s=7`, or the body field `simulate`).
"""

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from random import Random
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from assay.errors import BadRequest

B = TypeVar("B", bound="Behaviour")

Share = Annotated[float, Meta(ge=0, le=1)]
"""A probability."""

AtChunk = Annotated[int, Meta(ge=1)]
"""Which event of a stream, counted from 1 (of OpenAI's chat format the first carries the role)."""


class Normal(msgspec.Struct, frozen=True, tag_field="shape", tag="normal", forbid_unknown_fields=True):
    """A bell, cut at 0."""

    mean: float
    sd: Annotated[float, Meta(ge=0)]

    def sample(self, random: Random) -> float:
        """Draw one value."""
        return max(0.0, random.gauss(self.mean, self.sd))


class LogNormal(msgspec.Struct, frozen=True, tag_field="shape", tag="lognormal", forbid_unknown_fields=True):
    """Like real latencies: half below `median`, a long tail above; `sigma` is the spread of the logarithm."""

    median: Annotated[float, Meta(gt=0)]
    sigma: Annotated[float, Meta(ge=0)]

    def sample(self, random: Random) -> float:
        """Draw one value."""
        return self.median * math.exp(random.gauss(0.0, self.sigma))


class Percentiles(
    msgspec.Struct, frozen=True, tag_field="shape", tag="percentiles", forbid_unknown_fields=True
):
    """What was measured somewhere: `at` maps a percentile to its value; straight lines between, flat outside."""

    at: Annotated[dict[str, float], Meta(min_length=1)]

    def __post_init__(self) -> None:
        points = self._points()
        if any(not 0 <= percent <= 100 for percent, _ in points):
            raise ValueError("a percentile lies outside 0 to 100")
        if any(later[1] < earlier[1] for earlier, later in pairwise(points)):
            raise ValueError("a higher percentile has a lower value")

    def sample(self, random: Random) -> float:
        """Draw one value."""
        points, percent = self._points(), random.random() * 100
        for (left, low), (right, high) in pairwise(points):
            if left <= percent <= right:
                return low + (high - low) * (percent - left) / (right - left)
        return points[0][1] if percent < points[0][0] else points[-1][1]

    def _points(self) -> list[tuple[float, float]]:
        return sorted((float(percent), value) for percent, value in self.at.items())


Distribution = float | Normal | LogNormal | Percentiles
"""A plain number is always that number."""


def draw(distribution: Distribution, random: Random) -> float:
    """One value, never below 0."""
    if isinstance(distribution, (int, float)):
        return max(0.0, distribution)
    return max(0.0, distribution.sample(random))


class ToolUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool to call, with arguments of its schema's shape when none are given."""

    tool: str
    arguments: dict[str, Any] | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When `match` (a regular expression) is found in the last user message, say `answer` or call `tool`.

    `answer` may use the match's groups as `\\1` or `\\g<name>`. `share` is how often the rule holds, drawn per call. `also`
    are tools that are called at once with the first, `saying` is what is said before.
    """

    match: str
    answer: str | None = None
    tool: str | None = None
    arguments: dict[str, Any] | None = None
    also: tuple[ToolUse, ...] = ()
    saying: str = ""
    share: Share = 1.0

    def __post_init__(self) -> None:
        if (self.answer is None) == (self.tool is None):
            raise ValueError("a rule has either an answer or a tool")
        if self.tool is None and (self.also or self.saying):
            raise ValueError("also and saying go with a tool")
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(f"match {self.match!r} is not a regular expression: {error}") from error


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one call meets. Durations are seconds; a chunk is one event of a stream.

    In an answer that is not streamed `cut_at`, `stall_at` and `malformed_at` hit the middle of the body, and `error_at`
    sends 200 with an error inside.
    """

    answer: Literal["echo", "fixed", "lorem"] = "lorem"
    """`echo` the last user message, `fixed` text, or `lorem`: words that depend only on the prompt"""
    text: str = "Hello from a simulated model."
    rules: tuple[Rule, ...] = ()
    """tried in order before `answer`"""
    output_tokens: Distribution = 24
    """length of a `lorem` answer"""
    reasoning_tokens: int = 0
    """counted as used; shown to Anthropic clients that ask for thinking, to others with `show_reasoning`"""
    show_reasoning: bool = False
    """say it as `reasoning_content`, as some servers of OpenAI's format do"""
    dimensions: Annotated[int, Meta(ge=1, le=4096)] = 256
    """length of an embedding; a request may ask for a shorter one"""
    cached_share: Share = 0.0
    """part of the prompt that the usage calls read from a cache"""
    cache_write_share: Share = 0.0
    """part that it calls written to a cache for five minutes"""
    cache_write_1h_share: Share = 0.0
    """part that it calls written to a cache for an hour"""

    head_s: Distribution = 0.0
    """until the answer's head"""
    first_token_s: Distribution = 0.0
    """from the head to the first token"""
    tokens_per_s: Annotated[float, Meta(gt=0)] | None = None
    """None: all at once"""
    jitter: Annotated[float, Meta(ge=0)] = 0.0
    """spread of the gaps between tokens: the sigma of a lognormal factor"""

    usage: bool = True
    """False: never say how many tokens were used, as some servers do"""
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    """anything else than 200 fails every call"""
    errors: dict[str, Share] = {}
    """how often to fail with a status, e.g. {"500" = 0.01, "429" = 0.02}"""
    retry_after_s: float | None = None
    """sent with an error"""
    retry_after_as: Literal["seconds", "date"] = "seconds"
    refuse: Share = 0.0
    """how often nobody answers at all"""
    fault_share: Share = 1.0
    """how often the faults below hit"""
    cut_at: Annotated[int, Meta(ge=0)] | None = None
    """the connection breaks after this many chunks"""
    stall_at: AtChunk | None = None
    """this chunk never comes, the connection stays open"""
    malformed_at: AtChunk | None = None
    """this chunk is broken JSON"""
    error_at: AtChunk | None = None
    """this chunk is an error, and the last one"""

    def __post_init__(self) -> None:
        for status in self.errors:
            if not (status.isdecimal() and 400 <= int(status) <= 599):
                raise ValueError(f"errors has {status!r}, which is no status from 400 to 599")
        if sum(self.errors.values()) > 1:
            raise ValueError("the shares in errors add up to more than 1")
        if self.cached_share + self.cache_write_share + self.cache_write_1h_share > 1:
            raise ValueError("the shares of the cache add up to more than 1")

    def with_changes(self, changes: Mapping[str, Any]) -> "Behaviour":
        """The same with some fields replaced. Raises `BadRequest` naming the field."""
        if not changes:
            return self
        return _convert(
            {**{name: getattr(self, name) for name in Behaviour.__struct_fields__}, **changes}, Behaviour
        )


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `at_s` seconds after the start, or from the call after `after_calls` on, these fields are different."""

    set: dict[str, Any]
    at_s: Annotated[float, Meta(ge=0)] | None = None
    after_calls: Annotated[int, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if (self.at_s is None) == (self.after_calls is None):
            raise ValueError("a change has either at_s or after_calls")

    def holds(self, *, calls_before: int, elapsed_s: float) -> bool:
        """Is it in force for the next call?"""
        if self.after_calls is not None:
            return calls_before >= self.after_calls
        return self.at_s is not None and elapsed_s >= self.at_s


class Script(Behaviour, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole simulated provider: a behaviour, what changes it, and who may use it."""

    seed: int = 0
    models: tuple[str, ...] = ()
    """models that exist; empty: every name does, and the list shows `simulated-1`"""
    api_key: str | None = None
    """the only key that is let in; None: no key is needed"""
    then: tuple[Change, ...] = ()
    """applied in order, each from its moment on"""

    def __post_init__(self) -> None:
        super().__post_init__()
        behaviour = self.behaviour
        for change in self.then:
            behaviour = behaviour.with_changes(change.set)

    @property
    def behaviour(self) -> Behaviour:
        """How it starts."""
        return Behaviour(**{name: getattr(self, name) for name in Behaviour.__struct_fields__})


def parse_script(options: Mapping[str, Any]) -> Script:
    """Read the options of a configuration table. Raises `BadRequest` naming the field."""
    return _convert(dict(options), Script)


def _convert(values: dict[str, Any], kind: type[B]) -> B:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        path = where.strip("`").removeprefix("$").removeprefix(".")
        raise BadRequest(
            f"A simulated provider cannot be scripted like this: {path + ': ' if path else ''}{what}",
            param=path or None,
            hint="docs/testing.md lists the fields.",
        ) from error
