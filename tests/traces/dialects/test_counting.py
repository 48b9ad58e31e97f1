"""Counts that overlap are taken apart, and no token is lost or counted twice."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.traces.dialects.counting import disjoint
from assay.wire.usage import Usage

patient = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Other work may share the machine."""

some = st.none() | st.integers(0, 10_000)


def test_an_emitter_that_passes_on_anthropics_own_counts_is_told_by_them() -> None:
    usage = disjoint(input=10, output=5, cache_read=5000, cache_write=100)

    assert usage == Usage(input=10, cache_read=5000, cache_write_5m=100, output=5)


def test_nothing_counted_is_unknown_and_one_side_is_not() -> None:
    assert disjoint(input=None, output=None, cache_read=5) is None
    assert disjoint(input=None, output=5) == Usage(output=5)


@patient
@given(st.integers(0, 10_000), st.integers(0, 10_000), some, some, some)
def test_what_includes_the_cached_tokens_still_sums_up(
    input: int, output: int, read: int | None, written: int | None, thought: int | None
) -> None:
    usage = disjoint(input=input, output=output, cache_read=read, cache_write=written, reasoning=thought)

    assert usage is not None
    if (read or 0) + (written or 0) <= input:
        assert usage.total_input == input
    if (thought or 0) <= output:
        assert usage.total_output == output
    assert min(usage.input, usage.output) >= 0
