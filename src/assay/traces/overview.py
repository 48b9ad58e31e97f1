"""The overview: how much, how dear, how slow, how often wrong, over time and by model."""

import msgspec

from assay.spans import SpanStore
from assay.spans.types import Bucket, Group, SpanFilter, Traffic

_SECOND_NS = 1_000_000_000
_STEPS_S = (60, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800)
_MOST_BUCKETS = 60


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """`over_time` has a point for each stretch, also for those without calls."""

    bucket_ns: int
    total: Traffic
    over_time: list[Bucket]
    by_model: list[Group]


def read_overview(store: SpanStore, filter: SpanFilter) -> Overview:
    """The figures of a time range, in at most 60 stretches of a round length."""
    bucket_ns = bucket_for(filter.to_ns - filter.from_ns)
    found = {bucket.start_ns: bucket for bucket in store.traffic_over_time(filter, bucket_ns=bucket_ns)}
    first = filter.from_ns // bucket_ns * bucket_ns
    empty = Traffic()
    return Overview(
        bucket_ns=bucket_ns,
        total=store.traffic(filter),
        over_time=[found.get(at) or Bucket(at, empty) for at in range(first, filter.to_ns, bucket_ns)],
        by_model=store.traffic_by(filter, "model"),
    )


def bucket_for(range_ns: int) -> int:
    """The shortest round stretch of which at most 60 fill the range."""
    for step_s in _STEPS_S:
        if range_ns <= step_s * _SECOND_NS * _MOST_BUCKETS:
            return step_s * _SECOND_NS
    week_ns = _STEPS_S[-1] * _SECOND_NS
    return -(-range_ns // (week_ns * _MOST_BUCKETS)) * week_ns
