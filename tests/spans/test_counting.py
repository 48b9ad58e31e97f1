"""Spans of one call are found by what stands above what, or by model, tokens and time."""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.spans.counting import Told, told_twice

patient = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Other work may share the machine."""

MS = 1_000_000


def told(row_id: int, span_id: str, parent_id: str | None = None, **fields: Any) -> Told:
    """A foreign span from 0 to 100 ms; give what differs."""
    at_ms, to_ms = fields.pop("at", (0, 100))
    given: dict[str, Any] = {
        "is_call": True,
        "is_foreign": True,
        "start_ns": at_ms * MS,
        "end_ns": to_ms * MS,
    }
    names = frozenset(fields.pop("names", ("fast",)))
    return Told(
        row_id=row_id, trace=fields.pop("trace", ("p", "t")), span_id=span_id, parent_id=parent_id, names=names, **given | fields
    )  # fmt: skip


def request(row_id: int, span_id: str, parent_id: str | None, at: tuple[int, int]) -> Told:
    """An HTTP request of the program."""
    return told(row_id, span_id, parent_id, at=at, is_call=False, names=())


def gateway(row_id: int, span_id: str, parent_id: str | None, at: tuple[int, int], **fields: Any) -> Told:
    """A call of the gateway."""
    fields = {"tokens": (3, 4), "names": ("fast", "m-1")} | fields
    return told(row_id, span_id, parent_id, at=at, is_foreign=False, **fields)


def test_a_call_below_is_the_same_through_whatever_lies_between() -> None:
    spans = [told(1, "llm"), request(2, "post", "llm", (10, 90)), gateway(3, "call", "post", (20, 80))]

    assert told_twice(spans) == {1}
    assert told_twice([spans[0]]) == set()
    assert told_twice([*spans[1:]]) == set()


def test_a_call_beside_is_the_same_when_model_tokens_and_time_agree() -> None:
    llm = told(1, "llm", "root", tokens=(3, 4))
    beside = [request(2, "post", "root", (10, 90)), gateway(3, "call", "post", (20, 80))]

    assert told_twice([llm, *beside]) == {1}
    assert told_twice([llm._replace(tokens=None), *beside]) == {1}
    assert told_twice([llm._replace(names=frozenset()), *beside]) == {1}


@pytest.mark.parametrize(
    "differs",
    [
        {"tokens": (3, 5)},
        {"names": frozenset({"other"})},
        {"start_ns": 15 * MS, "end_ns": 85 * MS},
        {"trace": ("p", "u")},
    ],
)
def test_a_call_beside_is_another_when_one_of_them_does_not(differs: dict[str, Any]) -> None:
    llm = told(1, "llm", "root", tokens=(3, 4))._replace(**differs)
    beside = [request(2, "post", "root", (10, 90)), gateway(3, "call", "post", (16, 5000))]

    assert told_twice([llm, *beside]) == set()


def test_a_gateway_whose_clock_is_off_is_believed_when_the_tokens_agree() -> None:
    llm = told(1, "llm", "root", tokens=(3, 4))

    assert told_twice([llm, gateway(2, "call", "root", (520, 580))]) == {1}
    assert told_twice([llm._replace(tokens=None), gateway(2, "call", "root", (520, 580))]) == set()
    assert told_twice([llm._replace(tokens=None), gateway(2, "call", "root", (20, 80))]) == {1}


def test_each_call_of_the_gateway_stands_for_one_span() -> None:
    both = [told(1, "a", "root"), told(2, "b", "root")]

    assert len(told_twice([*both, gateway(3, "c", "root", (20, 80))])) == 1
    assert told_twice([*both, gateway(3, "c", "root", (20, 80)), gateway(4, "d", "root", (20, 80))]) == {1, 2}


def test_the_one_with_the_same_tokens_is_chosen_before_a_shorter_one() -> None:
    spans = [told(1, "short", "root", at=(10, 90)), told(2, "same", "root", tokens=(3, 4))]

    assert told_twice([*spans, gateway(3, "call", "root", (20, 80))]) == {2}


def test_a_retry_of_the_client_covers_once_and_counts_twice() -> None:
    spans = [
        told(1, "llm", "root", tokens=(3, 4)),
        gateway(2, "failed", "root", (10, 20), tokens=None),
        gateway(3, "worked", "root", (30, 80)),
    ]

    assert told_twice(spans) == {1}


def test_the_judge_that_a_call_asked_is_no_witness_of_another() -> None:
    spans = [
        told(1, "llm", "root", tokens=(9, 9)),
        gateway(2, "call", "root", (20, 80), tokens=(1, 1)),
        gateway(3, "judge", "call", (30, 40), tokens=(9, 9)),
    ]

    assert told_twice(spans) == set()


def test_circles_end() -> None:
    assert told_twice([told(1, "a", "b"), told(2, "b", "a"), told(3, "c", "c")]) <= {1, 2, 3}


tangled = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sampled_from("abcdefx"), st.booleans(), st.booleans(), st.integers(0, 3)
    ),
    max_size=8,
    unique_by=lambda row: row[0],
)


@patient
@given(tangled)
def test_only_foreign_calls_are_left_out_and_something_is_always_counted(rows: list[Any]) -> None:
    spans = [
        told(at, span_id, parent_id, is_call=is_call, is_foreign=is_foreign, at=(start, start + 2))
        for at, (span_id, parent_id, is_call, is_foreign, start) in enumerate(rows)
    ]

    twice = told_twice(spans)

    assert twice <= {span.row_id for span in spans if span.is_call and span.is_foreign}
    own = [span for span in spans if span.is_call and not span.is_foreign]
    assert len(twice) < len([span for span in spans if span.is_call]) or not spans or not own


def test_deep_and_long_traces_take_no_time_to_speak_of() -> None:
    deep = [
        request(number, f"s{number}", f"s{number - 1}" if number else None, (0, 10**6))
        for number in range(20_000)
    ]
    calls = [
        gateway(50_000 + number, f"g{number}", "s19999", (number, number + 1)) for number in range(2_000)
    ]
    llms = [
        told(70_000 + number, f"l{number}", "root", at=(number, number + 1), tokens=(3, 4))
        for number in range(2_000)
    ]
    began = time.process_time()

    twice = told_twice([*deep, *calls, *llms])

    assert len(twice) == 2_000
    assert time.process_time() - began < 10
