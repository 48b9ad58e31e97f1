"""Which spans of a trace tell of the same call, so that sums count it once. Pure: spans in, row ids out.

A call through the gateway from a program that traces itself is told twice: by the span that the program's instrumentor
made, and by the gateway's own, which is the better witness. Mostly the gateway's stands below the other. Some
instrumentors (LangChain's) never make their span the current one, so that the HTTP request, and with it the gateway's
span, becomes its sibling; those are told by model, tokens and time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

_SLACK_NS = 50_000_000
"""By how much a span may stand out of the one that encloses it: the program's clock is not the gateway's."""
_SLACK_WITH_TOKENS_NS = 1_000_000_000
"""The same where both count the same tokens."""
_MOST_AROUND = 200
"""Foreign spans that are looked at for one call, of those that began last before it, and first after it."""


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
        below = _Below(by_id)
        free = [span for span in calls if not span.is_foreign and not below.a_call(span)]
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


class _Below:
    """What stands below a call; what was found once is remembered, so that a deep trace is climbed once."""

    def __init__(self, by_id: dict[str, Told]) -> None:
        self._by_id = by_id
        self._known: dict[str, bool] = {}

    def a_call(self, span: Told) -> bool:
        """Whether a call stands somewhere above the span."""
        climbed: list[str] = []
        found = False
        at: Told | None = span
        while at is not None:
            if at.span_id in self._known:
                found = self._known[at.span_id]
                break
            climbed.append(at.span_id)
            self._known[at.span_id] = False  # for one that is its own ancestor
            at = self._by_id.get(at.parent_id or "")
            if at is not None and at.is_call:
                found = True
                break
        self._known.update(dict.fromkeys(climbed, found))
        return found


def _matched(alone: Sequence[Told], free: Sequence[Told], by_id: dict[str, Told]) -> set[int]:
    """Each of the gateway's calls is taken for at most one foreign span: the one that counts the same tokens, else the
    shortest around it."""
    in_order = sorted(alone, key=attrgetter("start_ns"))
    starts = [span.start_ns for span in in_order]
    longest_ns = max(span.end_ns - span.start_ns for span in alone)
    matched: set[int] = set()
    for call in free:
        first = bisect_left(starts, call.start_ns - longest_ns - _SLACK_WITH_TOKENS_NS)
        last = bisect_right(starts, call.start_ns + _SLACK_WITH_TOKENS_NS)
        middle = bisect_right(starts, call.start_ns)
        around = in_order[max(first, middle - _MOST_AROUND) : min(last, middle + _MOST_AROUND)]
        fitting = [span for span in around if span.row_id not in matched and _is_same_call(span, call, by_id)]
        if fitting:
            matched.add(min(fitting, key=lambda span: _distance(span, call)).row_id)
    return matched


def _distance(span: Told, call: Told) -> tuple[bool, int, int]:
    standing_out = max(0, span.start_ns - call.start_ns) + max(0, call.end_ns - span.end_ns)
    return span.tokens is None or span.tokens != call.tokens, standing_out, span.end_ns - span.start_ns


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
