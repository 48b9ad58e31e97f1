"""Time ranges are cut into round stretches."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assay.spans.types import SpanFilter
from assay.traces.overview import bucket_for, read_overview

HOUR_NS = 3_600_000_000_000


@given(st.integers(1, 20 * 365 * 24 * HOUR_NS))
def test_at_most_sixty_stretches_fill_a_range(range_ns: int) -> None:
    assert 0 < range_ns / bucket_for(range_ns) <= 60


def test_stretches_without_calls_are_there_with_zero(house: Any, make_span: Any) -> None:
    span = make_span()
    house.keep(span)
    filter = SpanFilter(project="default", from_ns=span.start_ns - 5 * HOUR_NS, to_ns=span.start_ns + HOUR_NS)

    overview = read_overview(house.store, filter)

    assert sum(bucket.traffic.calls for bucket in overview.over_time) == overview.total.calls == 1
    starts = [bucket.start_ns for bucket in overview.over_time]
    assert {later - earlier for earlier, later in pairwise(starts)} == {overview.bucket_ns}
    assert starts[0] <= filter.from_ns
    assert starts[-1] + overview.bucket_ns >= filter.to_ns
