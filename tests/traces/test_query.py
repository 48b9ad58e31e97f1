"""Addresses become filters, and what is wrong in one is named."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadRequest
from assay.traces.query import PARAMETERS, read_filter
from assay.wire.spans import SpanKind, SpanStatus

NOW_NS = 1_780_000_000_000_000_000
HOUR_NS = 3_600_000_000_000


def test_without_parameters_the_last_week_is_meant() -> None:
    filter = read_filter([], project="p", now_ns=NOW_NS)

    assert filter.project == "p"
    assert filter.from_ns == NOW_NS - 7 * 24 * HOUR_NS
    assert filter.to_ns > NOW_NS


def test_every_parameter_narrows_its_field() -> None:
    filter = read_filter(
        [
            ("last", "2h"), ("kind", "model,tool"), ("status", "error"), ("status", "cut"), ("model", "m"), ("user", "u"),
            ("session", "s"), ("key", "k"), ("run", "r"), ("case", "c"), ("q", " word "), ("min_duration_ms", "1.5"),
            ("min_cost_usd", "0.1"), ("task", ""), ("limit", "3"),
        ],
        project="p", now_ns=NOW_NS, also=("limit",),
    )  # fmt: skip

    assert filter.from_ns == NOW_NS - 2 * HOUR_NS
    assert filter.kind == (SpanKind.MODEL, SpanKind.TOOL)
    assert filter.status == (SpanStatus.ERROR, SpanStatus.CUT)
    assert (filter.model, filter.user_id, filter.session_id, filter.key_id) == ("m", "u", "s", "k")
    assert (filter.run_id, filter.case_id, filter.text, filter.task) == ("r", "c", "word", None)
    assert (filter.min_duration_ms, filter.min_cost_usd) == (1.5, Decimal("0.1"))


def test_a_range_from_to_wins_over_last() -> None:
    given_range = [("from", "2026-11-24T05:00:00Z"), ("to", "2026-11-24T06:00:00+00:00"), ("last", "1h")]

    filter = read_filter(given_range, project="p", now_ns=NOW_NS)

    assert filter.to_ns - filter.from_ns == HOUR_NS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("last", "soon"), ("last", "0h"), ("from", "yesterday"), ("from", "2026-11-24T05:00:00"), ("to", "tomorrow"),
        ("kind", "poem"), ("status", "ok,bad"), ("min_duration_ms", "fast"), ("min_duration_ms", "nan"), ("min_cost_usd", "-1"),
        ("min_cost_usd", "NaN"), ("min_cost_usd", "sNaN"), ("color", "red"), ("q", "x" * 501),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_filter([(name, value)], project="p", now_ns=NOW_NS)

    assert caught.value.param in (name, "from")


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(BadRequest, match="empty") as caught:
        read_filter(
            [("from", "2026-11-24T05:00:00Z"), ("to", "2026-11-24T05:00:00Z")], project="p", now_ns=NOW_NS
        )

    assert caught.value.param == "from"


@given(st.lists(st.tuples(st.sampled_from(PARAMETERS), st.text(max_size=30))))
def test_any_address_gives_a_filter_or_a_bad_request(parameters: list[tuple[str, str]]) -> None:
    try:
        filter = read_filter(parameters, project="p", now_ns=NOW_NS)
    except BadRequest:
        return
    assert filter.from_ns < filter.to_ns
