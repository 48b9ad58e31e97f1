"""A call that several spans of a trace tell of is counted once, whatever comes first."""

import itertools
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from assay.spans import DuckDBStore
from assay.spans.segments import Position
from assay.spans.types import Arrival, SpanFilter
from assay.wire.spans import Span, SpanKind
from assay.wire.usage import Usage

EVERYTHING = SpanFilter(project="default", from_ns=0, to_ns=1 << 62)
AT_NS = 1_780_000_000_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
FOREIGN = "openinference/1"


def keep(store: DuckDBStore, *spans: Span) -> None:
    store.write([Arrival(span, AT_NS) for span in spans], source="test", position=Position())


def three(make_span: Any) -> list[Span]:
    """An app's span of a call, its HTTP request below, and the gateway's span of the same call below that."""
    usage, cost = Usage(input=10, output=5), Decimal("0.01")
    return [
        make_span(trace_id=TRACE, span_id="a" * 16, name="ChatOpenAI", usage=usage, cost_usd=cost, mapping=FOREIGN),
        make_span(
            trace_id=TRACE, span_id="b" * 16, parent_id="a" * 16, name="POST", kind=SpanKind.OTHER, mapping="otel/1"
        ),
        make_span(trace_id=TRACE, span_id="c" * 16, parent_id="b" * 16, usage=usage, cost_usd=cost),
    ]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whatever_order_they_come(store: DuckDBStore, make_span: Any, order: tuple[int, ...]) -> None:
    spans = three(make_span)
    for place in order:
        keep(store, spans[place])

    (trace,) = store.list_traces(EVERYTHING).items
    assert (trace.spans, trace.calls, trace.cost_usd, trace.total_tokens) == (3, 1, Decimal("0.01"), 15)
    total = store.traffic(EVERYTHING)
    assert (total.calls, total.cost_usd, total.input_tokens) == (1, Decimal("0.01"), 10)
    assert [group.traffic.calls for group in store.traffic_by(EVERYTHING, "model")] == [1]
    assert [bucket.traffic.calls for bucket in store.traffic_over_time(EVERYTHING, bucket_ns=10**9)] == [1]
    counted = {item.span.span_id[0]: item.is_counted for item in store.trace("default", TRACE).items}
    assert counted == {"a": False, "b": False, "c": True}


def test_in_one_batch(store: DuckDBStore, make_span: Any) -> None:
    keep(store, *three(make_span))

    assert store.traffic(EVERYTHING).calls == 1


def test_again_when_the_outer_span_comes_in_a_newer_version(store: DuckDBStore, make_span: Any) -> None:
    outer, between, inner = three(make_span)
    keep(store, outer, between, inner)
    keep(store, outer)

    assert store.traffic(EVERYTHING).calls == 1


def test_an_app_that_calls_past_the_gateway_is_counted_by_its_own_span(
    store: DuckDBStore, make_span: Any
) -> None:
    outer, between, _ = three(make_span)
    keep(store, outer, between)

    assert store.traffic(EVERYTHING).cost_usd == Decimal("0.01")


def test_the_innermost_of_two_foreign_spans_counts(store: DuckDBStore, make_span: Any) -> None:
    outer, between, inner = three(make_span)
    keep(store, outer, between, make_span(
        trace_id=TRACE, span_id=inner.span_id, parent_id=between.span_id, mapping="genai/1", usage=Usage(input=10, output=5),
    ))  # fmt: skip

    counted = [item.span.span_id for item in store.trace("default", TRACE).items if item.is_counted]
    assert counted == [inner.span_id]


def test_a_call_of_the_gateway_counts_even_when_it_led_to_another(store: DuckDBStore, make_span: Any) -> None:
    outer = make_span(trace_id=TRACE)
    keep(store, outer, make_span(trace_id=TRACE, parent_id=outer.span_id))

    assert store.traffic(EVERYTHING).calls == 2


def test_the_same_ids_in_another_project_and_trace_are_other_spans(
    store: DuckDBStore, make_span: Any
) -> None:
    outer, between, inner = three(make_span)
    keep(store, outer, between)
    keep(store, make_span(span_id=inner.span_id, parent_id=between.span_id))
    keep(store, make_span(trace_id=TRACE, project="other", span_id=inner.span_id, parent_id=between.span_id))

    assert store.traffic(EVERYTHING).calls == 2
    assert [item.is_counted for item in store.trace("default", TRACE).items] == [True, False]


def test_spans_in_a_circle_end_nothing(store: DuckDBStore, make_span: Any) -> None:
    keep(
        store,
        make_span(trace_id=TRACE, span_id="a" * 16, parent_id="b" * 16, mapping=FOREIGN),
        make_span(trace_id=TRACE, span_id="b" * 16, parent_id="a" * 16, mapping=FOREIGN),
    )

    assert store.list_traces(EVERYTHING).items[0].spans == 2


def test_what_a_foreign_span_was_sent_with_is_read_with_it_alone(store: DuckDBStore, make_span: Any) -> None:
    span = make_span(trace_id=TRACE, mapping=FOREIGN, raw=(b'{"a": 1}', b"[2]"), input=(b'"hi"',))
    keep(store, span)

    assert store.get_span("default", span.span_id).span == span
    (listed,) = store.trace("default", TRACE).items
    assert (listed.span.raw, listed.span.input, listed.missing) == ((), (b'"hi"',), 0)


@pytest.mark.parametrize("kind", [SpanKind.MODEL, SpanKind.EMBEDDING])
def test_calls_for_vectors_count_like_those_of_a_model(
    store: DuckDBStore, make_span: Any, kind: SpanKind
) -> None:
    outer, between, inner = [
        msgspec.structs.replace(span, kind=span.kind if span.kind is SpanKind.OTHER else kind)
        for span in three(make_span)
    ]
    keep(store, inner, between)
    keep(store, outer)

    (trace,) = store.list_traces(EVERYTHING).items
    assert (trace.calls, trace.cost_usd) == (1, Decimal("0.01"))
    total = store.traffic(EVERYTHING)
    assert (total.calls, total.cost_usd) == (1, Decimal("0.01"))
    counted = {item.span.span_id[0]: item.is_counted for item in store.trace("default", TRACE).items}
    assert counted == {"a": False, "b": False, "c": True}


def beside(make_span: Any) -> list[Span]:
    """An instrumentor's span that was never the current one, and beside it the request with the gateway's call below."""
    usage = Usage(input=10, output=5)
    at_ns = AT_NS - 1_000_000
    return [
        make_span(trace_id=TRACE, span_id="a" * 16, parent_id="e" * 16, usage=usage, mapping=FOREIGN, start_ns=at_ns - 9),
        make_span(
            trace_id=TRACE, span_id="b" * 16, parent_id="e" * 16, kind=SpanKind.OTHER, mapping="otel/1", start_ns=at_ns
        ),
        make_span(trace_id=TRACE, span_id="c" * 16, parent_id="b" * 16, usage=usage, cost_usd=Decimal("0.01"), start_ns=at_ns),
    ]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_call_beside_its_span_counts_once_too(
    store: DuckDBStore, make_span: Any, order: tuple[int, ...]
) -> None:
    spans = beside(make_span)
    for place in order:
        keep(store, spans[place])

    assert (store.traffic(EVERYTHING).calls, store.traffic(EVERYTHING).cost_unknown) == (1, 0)
    assert [item.span.span_id[0] for item in store.trace("default", TRACE).items if item.is_counted] == ["c"]


def test_a_span_that_was_taken_for_anothers_is_counted_again(store: DuckDBStore, make_span: Any) -> None:
    outer, request, call = beside(make_span)
    keep(store, outer, request, call)
    keep(store, make_span(
        trace_id=TRACE, span_id="d" * 16, parent_id="e" * 16, usage=Usage(input=99), mapping=FOREIGN, start_ns=outer.start_ns,
    ))  # fmt: skip
    keep(store, make_span(
        trace_id=TRACE, span_id=call.span_id, parent_id="d" * 16, usage=Usage(input=99), start_ns=call.start_ns,
    ))  # fmt: skip

    assert {
        item.span.span_id[0]: item.is_counted
        for item in store.trace("default", TRACE).items
        if item.span.kind is SpanKind.MODEL
    } == {"a": True, "d": False, "c": True}


def test_a_trace_shows_what_the_first_span_says_that_says_it(store: DuckDBStore, make_span: Any) -> None:
    at_ns = AT_NS - 1_000_000
    keep(
        store,
        make_span(trace_id=TRACE, span_id="a" * 16, name="answer", kind=SpanKind.AGENT, model=None, mapping="otel/1", start_ns=at_ns),
        make_span(
            trace_id=TRACE, span_id="b" * 16, parent_id="a" * 16, model="fast", user_id="ann", session_id="s", start_ns=at_ns + 1,
            end_ns=at_ns + 2, input=(b'"first question"',), output=(b'"first answer"',),
        ),
        make_span(
            trace_id=TRACE, span_id="c" * 16, parent_id="a" * 16, model="large", user_id="bob", start_ns=at_ns + 3,
            end_ns=at_ns + 4, input=(b'"last question"',), output=(b'"last answer"',),
        ),
        make_span(
            trace_id=TRACE, span_id="d" * 16, parent_id="a" * 16, kind=SpanKind.TOOL, model=None, mapping="otel/1", start_ns=at_ns,
            end_ns=at_ns + 9, input=(b'{"city": "Oslo"}',), output=(b'"grey"',),
        ),
    )  # fmt: skip

    (trace,) = store.list_traces(EVERYTHING).items

    assert (trace.name, trace.kind, trace.model) == ("answer", SpanKind.AGENT, "fast")
    assert (trace.user_id, trace.session_id) == ("ann", "s")
    assert (trace.input_preview, trace.output_preview) == ("first question", "last answer")
