"""Spans as a tree, whatever their parents claim."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from assay.spans.types import StoredSpan
from assay.traces.waterfall import chosen, lay_out
from assay.wire.spans import Span, SpanKind


def _stored(
    span_id: str, parent_id: str | None = None, start_ns: int = 0, kind: SpanKind = SpanKind.TASK
) -> StoredSpan:
    span = Span(
        trace_id="t",
        span_id=span_id,
        parent_id=parent_id,
        project="p",
        name=span_id,
        kind=kind,
        start_ns=start_ns,
        end_ns=start_ns + 10**6,
    )
    return StoredSpan(span=span, received_at_ns=0, missing=0)


def test_children_follow_their_parent_in_the_order_of_their_start() -> None:
    spans = [
        _stored("root"),
        _stored("b", "root", 2),
        _stored("a", "root", 1),
        _stored("b1", "b", 3),
        _stored("other", "gone", 4),
    ]

    laid = lay_out(spans)

    assert [(bar.span.span_id, bar.depth) for bar in laid.bars] == [
        ("root", 0),
        ("a", 1),
        ("b", 1),
        ("b1", 2),
        ("other", 0),
    ]
    assert laid.total_ms == (4 + 10**6) / 1e6


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)),
        min_size=1,
        max_size=8,
        unique_by=lambda row: row[0],
    )
)
def test_every_span_has_one_bar_even_in_a_circle(rows: list[tuple[int, int, int]]) -> None:
    spans = [_stored(str(own), str(parent), start) for own, parent, start in rows]

    laid = lay_out(spans)

    assert sorted(bar.span.span_id for bar in laid.bars) == sorted(str(own) for own, _, _ in rows)


def test_the_span_asked_for_is_shown_else_the_first_model_call_else_the_first(
    make_span: Callable[..., Span],
) -> None:
    spans = [_stored("task"), _stored("call", "task", kind=SpanKind.MODEL)]

    assert chosen(spans, "task").span.span_id == "task"
    assert chosen(spans, None).span.span_id == "call"
    assert chosen(spans[:1], "gone").span.span_id == "task"
