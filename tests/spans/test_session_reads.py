"""What is kept can be followed from a position on, and read by session."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from assay.errors import BadRequest, NotFound
from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.segments import Position
from assay.spans.types import Arrival, SpanFilter
from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage

AT_NS = 1_780_000_000_000_000_000
SECOND_NS = 1_000_000_000
EVERYTHING = SpanFilter(project="default", from_ns=0, to_ns=1 << 62)


def _keep(store: DuckDBStore, *events: Any) -> None:
    store.write([Arrival(event, AT_NS) for event in events], source="test", position=Position())


def _score(score_id: str, value: Any, **fields: Any) -> Score:
    given: dict[str, Any] = {"project": "default", "name": "thumbs", "source": ScoreSource.USER, "at_ns": 1}
    return Score(score_id=score_id, value=value, **given | fields)


def test_the_tail_begins_with_the_newest_and_goes_on_without_loss(store: DuckDBStore, make_span: Any) -> None:
    _keep(store, *(make_span(name=f"call {number}") for number in range(5)))

    newest = store.tail(EVERYTHING, limit=2)
    _keep(store, *(make_span(name=f"call {number}", start_ns=1) for number in range(5, 9)))
    first = store.tail(EVERYTHING, after=newest.position, limit=3)
    second = store.tail(EVERYTHING, after=first.position, limit=3)
    third = store.tail(EVERYTHING, after=second.position, limit=3)

    assert [row.name for row in newest.rows] == ["call 3", "call 4"]
    assert [row.name for row in first.rows] == ["call 5", "call 6", "call 7"]
    assert not first.is_whole
    assert [row.name for row in second.rows] == ["call 8"]
    assert second.is_whole
    assert third.rows == []
    assert store.count_after(EVERYTHING, newest.position, most=100) == 4
    assert store.count_after(EVERYTHING, newest.position, most=3) == 3


def test_a_filter_passes_over_what_does_not_match_and_its_position_moves_on(
    store: DuckDBStore, make_span: Any
) -> None:
    begin = store.tail(EVERYTHING).position
    _keep(
        store,
        *(make_span(model="large" if number % 3 == 0 else "fast", user_id="ann") for number in range(9)),
    )
    large = msgspec.structs.replace(EVERYTHING, model="large")

    found = store.tail(large, after=begin)
    _keep(store, make_span(model="fast"))
    nothing = store.tail(large, after=found.position)

    assert len(found.rows) == 3
    assert nothing.rows == []
    assert int(nothing.position) > int(found.position)


def test_the_tail_of_another_project_is_another(store: DuckDBStore, make_span: Any) -> None:
    _keep(store, make_span(project="other"), make_span())

    assert len(store.tail(EVERYTHING).rows) == 1


@pytest.mark.parametrize("position", ["", "x", "-1", "1.5", "٣", "9" * 30])
def test_a_position_that_is_none_is_refused(store: DuckDBStore, position: str) -> None:
    with pytest.raises(BadRequest) as refused:
        store.tail(EVERYTHING, after=position)

    assert refused.value.param == "after"


def test_a_position_outlives_the_process(tmp_path: Any, make_span: Any) -> None:
    store = DuckDBStore(tmp_path / "spans.duckdb", memory_mb=128, threads=1)
    _keep(store, make_span())
    position = store.tail(EVERYTHING).position
    store.close()

    again = DuckDBStore(tmp_path / "spans.duckdb", memory_mb=128, threads=1)
    _keep(again, make_span(name="after the restart"))

    assert [row.name for row in again.tail(EVERYTHING, after=position).rows] == ["after the restart"]
    again.close()


def test_whoever_listens_hears_of_each_batch(
    spool: Spool, store: DuckDBStore, collector: Collector, make_span: Any
) -> None:
    heard: list[int] = []
    collector.on_collected(lambda: heard.append(len(store.tail(EVERYTHING).rows)))

    spool.append([make_span()])
    collector.drain_now()
    collector.collect()

    assert heard == [1]


def test_a_session_sums_up_all_spans_of_its_traces(store: DuckDBStore, make_span: Any) -> None:
    agent = make_span(kind=SpanKind.AGENT, name="support", session_id="s1", user_id="ann", task="support")
    call = make_span(
        trace_id=agent.trace_id, parent_id=agent.span_id, start_ns=agent.start_ns + 1, cost_usd=Decimal("0.01"),
        usage=Usage(input=10, output=5), input=(b'{"role":"user","content":"first"}',), output=(b'{"role":"assistant","content":"one"}',),
    )  # fmt: skip
    later = make_span(
        session_id="s1", model="large", start_ns=agent.start_ns + 60 * SECOND_NS, end_ns=agent.start_ns + 61 * SECOND_NS,
        status=SpanStatus.ERROR, input=(b'{"role":"user","content":"second"}',), output=(b'{"role":"assistant","content":"two"}',),
    )  # fmt: skip
    _keep(store, agent, call, later, make_span(), make_span(session_id="s2", start_ns=agent.start_ns - 1))

    first, second = store.list_sessions(EVERYTHING).items

    assert (first.session_id, second.session_id) == ("s1", "s2")
    assert (first.traces, first.calls, first.errors) == (2, 2, 1)
    assert (first.cost_usd, first.cost_unknown, first.total_tokens) == (Decimal("0.01"), 1, 15)
    assert (first.user_id, first.task, first.models) == ("ann", "support", ("fast", "large"))
    assert (first.input_preview, first.output_preview) == ("first", "two")
    assert first.duration_ms == 61_000


def test_sessions_page_without_gap_or_repetition(store: DuckDBStore, make_span: Any) -> None:
    _keep(
        store,
        *(
            make_span(session_id=f"s{number:02d}", start_ns=AT_NS + number // 2 * SECOND_NS)
            for number in range(25)
        ),
    )

    seen, cursor = [], None
    while True:
        page = store.list_sessions(EVERYTHING, limit=7, cursor=cursor)
        seen += [row.session_id for row in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == len(seen) == 25


def test_a_session_counts_its_scores_and_the_last_word_of_each_person(
    store: DuckDBStore, make_span: Any
) -> None:
    one, two = make_span(session_id="s1"), make_span(session_id="s1")
    mind = {"source": ScoreSource.HUMAN, "author": "ann", "trace_id": one.trace_id}
    _keep(
        store,
        one,
        two,
        _score("a", True, trace_id=two.trace_id),
        _score("b", False, span_id=two.span_id),
        _score("c", 0.5, session_id="s1", name="helpful"),
        _score("d", True, at_ns=1, **mind),
        _score("e", False, at_ns=2, **mind),
        _score("f", True, trace_id="another"),
    )

    (row,) = store.list_sessions(EVERYTHING).items

    assert {figure.name: (figure.count, figure.mean) for figure in row.scores} == {
        "helpful": (1, 0.5),
        "thumbs": (3, pytest.approx(1 / 3)),
    }
    about = store.scores_about("default", traces=[two.trace_id], spans=[two.span_id], sessions=["s1"])
    assert {score.score_id for score in about} == {"a", "b", "c"}


def test_the_traces_of_a_session_come_in_their_order_with_their_spans(
    store: DuckDBStore, make_span: Any
) -> None:
    spans = [make_span(session_id="s1", start_ns=AT_NS + number * SECOND_NS) for number in (2, 0, 1)]
    attempt = make_span(trace_id=spans[0].trace_id, kind=SpanKind.ATTEMPT, start_ns=spans[0].start_ns)
    _keep(store, *spans, attempt, make_span())

    page = store.session_traces("default", "s1", limit=2)
    rest = store.session_traces("default", "s1", limit=2, cursor=page.next)

    wanted = [spans[1], spans[2], spans[0]]
    assert [row.trace_id for row in page.items + rest.items] == [span.trace_id for span in wanted]
    assert rest.next is None
    found = store.spans_of("default", [span.trace_id for span in wanted])
    assert {item.span.span_id for item in found} == {span.span_id for span in wanted}
    with pytest.raises(NotFound):
        store.session_traces("default", "nobody's")


def test_ids_are_found_by_what_people_see_of_them(store: DuckDBStore, make_span: Any) -> None:
    one = make_span(
        trace_id="aaaa" + "0" * 24 + "1234", span_id="beef000000000001", session_id="Chat-77", start_ns=AT_NS
    )
    two = make_span(trace_id="bbbb" + "0" * 24 + "1234", span_id="beef000000000002", start_ns=AT_NS + 1)
    _keep(store, one, two, make_span(project="other", trace_id="c" * 28 + "1234"))

    def ids(text: str, **more: Any) -> list[tuple[str, str]]:
        found = store.find_ids("default", text, **{"from_ns": 0, **more})
        return [(each.kind, each.id) for each in found]

    assert ids("1234") == [("trace", two.trace_id), ("trace", one.trace_id)]
    assert ids("AAAA00") == [("trace", one.trace_id)]
    assert ids("beef") == [("span", two.span_id), ("span", one.span_id)]
    assert ids("beef", limit=1) == [("span", two.span_id)]
    assert ids("chat-7") == [("session", "Chat-77")]
    assert ids("1234", from_ns=AT_NS + 1) == [("trace", two.trace_id)]
    assert ids("123") == []
    assert ids("%") == []
