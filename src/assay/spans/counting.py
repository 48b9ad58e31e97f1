"""Which spans of a trace tell of the same call, so that sums count it once. Pure: spans in, row ids out.

A call through the gateway from a program that traces itself is told twice: by the span that the program's instrumentor
made, and by the gateway's own, which is the better witness. Mostly the gateway's stands below the other. Some
instrumentors (LangChain's) never make their span the current one, so that the HTTP request, and with it the gateway's
span, becomes its sibling; those are told by model, tokens and time.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

_SLACK_NS = 50_000_000
"""By how much a span may stand out of the one that encloses it: the program's clock is not the gateway's."""
_SLACK_WITH_TOKENS_NS = 1_000_000_000
"""The same where both count the same tokens."""


class Told(NamedTuple):
    """What a span says of a call. `tokens` are all in and out, None when unknown; `names` are the model's, in lower case."""

    row_id: int
    trace: tuple[str, str]
    span_id: str
    parent_id: str | None
    is_call: bool
    is_foreign: bool
    start_ns: int
    end_ns: int
    names: frozenset[str] = frozenset()
    tokens: tuple[int, int] | None = None


def told_twice(spans: Iterable[Told]) -> set[int]:
    """The rows of foreign spans whose call another span tells of as well: one below it, or one of the gateway's beside it."""
    found: set[int] = set()
    for _, trace in groupby(sorted(spans, key=attrgetter("trace")), key=attrgetter("trace")):
        found |= _in_trace(list(trace))
    return found


def _in_trace(trace: Sequence[Told]) -> set[int]:
    by_id = {span.span_id: span for span in trace}
    calls = [span for span in trace if span.is_call]
    above = _ancestors(calls, by_id)
    twice = {span.row_id for span in calls if span.is_foreign and span.span_id in above}
    alone = [span for span in calls if span.is_foreign and span.row_id not in twice]
    if alone:
        free = [span for span in calls if not span.is_foreign and not _is_below_a_call(span, by_id)]
        twice |= _matched(alone, sorted(free, key=attrgetter("start_ns")), by_id)
    return twice


def _ancestors(calls: Sequence[Told], by_id: dict[str, Told]) -> set[str]:
    """Every span that stands above a call."""
    above: set[str] = set()
    for call in calls:
        parent = by_id.get(call.parent_id or "")
        while parent is not None and parent.span_id not in above and parent is not call:
            above.add(parent.span_id)
            parent = by_id.get(parent.parent_id or "")
    return above


def _is_below_a_call(span: Told, by_id: dict[str, Told]) -> bool:
    seen = {span.span_id}
    parent = by_id.get(span.parent_id or "")
    while parent is not None and parent.span_id not in seen:
        if parent.is_call:
            return True
        seen.add(parent.span_id)
        parent = by_id.get(parent.parent_id or "")
    return False


def _matched(alone: list[Told], free: Sequence[Told], by_id: dict[str, Told]) -> set[int]:
    """Each of the gateway's calls is taken for at most one foreign span: the one that counts the same tokens, else the
    shortest around it."""
    left = sorted(alone, key=lambda span: span.end_ns - span.start_ns)
    matched: set[int] = set()
    for call in free:
        fitting = [span for span in left if _is_same_call(span, call, by_id)]
        if fitting:
            best = next(
                (span for span in fitting if span.tokens is not None and span.tokens == call.tokens),
                fitting[0],
            )
            matched.add(best.row_id)
            left.remove(best)
    return matched


def _is_same_call(outer: Told, call: Told, by_id: dict[str, Told]) -> bool:
    if outer.names and not outer.names & call.names:
        return False
    both_counted = outer.tokens is not None and call.tokens is not None
    if both_counted and outer.tokens != call.tokens:
        return False
    request = by_id.get(call.parent_id or "")
    if request is not None and request.is_foreign and _encloses(outer, request, 0):
        return True
    return _encloses(outer, call, _SLACK_WITH_TOKENS_NS if both_counted else _SLACK_NS)


def _encloses(outer: Told, inner: Told, slack_ns: int) -> bool:
    return outer.start_ns - slack_ns <= inner.start_ns and inner.end_ns <= outer.end_ns + slack_ns
