"""What was written can be asked for, each version of a span once, money to the last digit."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from assay.errors import BadRequest, NotFound, Unavailable, Unusable
from assay.spans import DuckDBStore
from assay.spans.segments import Position
from assay.spans.types import Arrival, Saving, SpanFilter, Unstorable
from assay.wire.scores import Offsets, Score, ScoreSource
from assay.wire.spans import SpanKind, SpanStatus
from assay.wire.usage import Usage, UsageSource

DAY_NS = 86_400_000_000_000
AT_NS = 1_780_000_000_000_000_000
EVERYTHING = SpanFilter(project="default", from_ns=0, to_ns=1 << 62)
HELLO = b'{"role":"user","content":"hello"}'


def _keep(store: DuckDBStore, *events: Any, at_ns: int = AT_NS) -> None:
    store.write([Arrival(event, at_ns) for event in events], source="test", position=Position())


def _where(**fields: Any) -> SpanFilter:
    return msgspec.structs.replace(EVERYTHING, **fields)


def _names(store: DuckDBStore, **fields: Any) -> list[str]:
    return sorted(row.name for row in store.list_spans(_where(**fields)).items)


def test_a_span_comes_back_as_it_was(store: DuckDBStore, make_span: Any) -> None:
    span = make_span(
        parent_id="00f067aa0ba902b7", status=SpanStatus.CUT, error_type="upstream_cut", error_message="it stopped", provider="acme",
        upstream_model="m-1", response_model="m-1-2026", endpoint="chat", streamed=True, first_output_ns=AT_NS + 5, finish_reason="stop",
        attempts=2, cache="miss", usage=Usage(input=7, output=3, cache_read=2, input_source=UsageSource.TOKENIZER),
        cost_usd=Decimal("0.00001234567890123456"), price_id="p1", key_id="k", user_id="u", session_id="s", task="t", variant="v",
        release_id="r", run_id="run", case_id="c", tags=("a", "b"), input=(HELLO, HELLO), output=(b'{"role":"assistant","content":"hi"}',),
        tools=(b'{"type":"function"}',), request=b'{"temperature": 0.20}', attributes={"x": [1, {"y": None}]},
    )  # fmt: skip

    _keep(store, span)

    found = store.get_span("default", span.span_id)
    assert found.span == span
    assert (found.received_at_ns, found.missing) == (AT_NS, 0)


def test_an_unknown_cost_and_usage_stay_unknown(store: DuckDBStore, make_span: Any) -> None:
    _keep(store, make_span())

    (row,) = store.list_spans(EVERYTHING).items
    assert row.cost_usd is None
    assert row.usage is None
    assert store.traffic(EVERYTHING).cost_unknown == 1


def test_a_newer_version_of_a_span_supersedes_it_in_one_batch_and_over_several(
    store: DuckDBStore, make_span: Any
) -> None:
    first = make_span(name="first")
    second, third = (msgspec.structs.replace(first, name=name) for name in ("second", "third"))

    _keep(store, first, second)
    assert _names(store) == ["second"]
    _keep(store, third)
    _keep(store, third)

    assert _names(store) == ["third"]
    assert store.traffic(EVERYTHING).calls == 1
    assert store.get_span("default", first.span_id).span.name == "third"


def test_spans_of_two_projects_never_meet(store: DuckDBStore, make_span: Any) -> None:
    mine = make_span(input=(HELLO,))
    _keep(store, mine, msgspec.structs.replace(mine, project="other", name="theirs"))

    assert _names(store) == [mine.name]
    assert _names(store, project="other") == ["theirs"]
    with pytest.raises(NotFound):
        store.get_span("nobody", mine.span_id)


def test_a_message_is_stored_once_a_project_day_and_person(store: DuckDBStore, make_span: Any) -> None:
    for _ in range(3):
        _keep(store, make_span(input=(HELLO,)), make_span(input=(HELLO, HELLO), user_id="ann"))
    _keep(store, make_span(input=(HELLO,)), at_ns=AT_NS + DAY_NS)
    _keep(store, make_span(input=(HELLO,), project="other"))

    rows = store._rows("SELECT project, person, count(*) FROM payloads GROUP BY ALL ORDER BY ALL", [])
    assert rows == [("default", "", 2), ("default", "ann", 1), ("other", "", 1)]


def test_messages_that_retention_took_away_are_counted(store: DuckDBStore, make_span: Any) -> None:
    span = make_span(input=(HELLO,))
    _keep(store, span)
    store._engine.connection.execute("DELETE FROM hot_payloads")

    found = store.get_span("default", span.span_id)

    assert found.missing == 1
    assert found.span.input == ()


def test_each_filter_narrows(store: DuckDBStore, make_span: Any) -> None:
    plain = make_span(name="plain", end_ns=AT_NS + 1_000_000, start_ns=AT_NS)
    odd = make_span(
        name="odd", kind=SpanKind.TOOL, status=SpanStatus.ERROR, provider="acme", model="large", task="t", variant="v", user_id="u",
        session_id="s", key_id="k", run_id="r", case_id="c", tags=("red",), environment="staging", start_ns=AT_NS,
        end_ns=AT_NS + 5_000_000_000, cost_usd=Decimal("0.5"), input=(b'{"content":"100%_sure"}',),
    )  # fmt: skip
    _keep(store, plain, odd)

    for fields in (
        {"kind": (SpanKind.TOOL, SpanKind.TASK)}, {"status": (SpanStatus.ERROR,)}, {"provider": "acme"}, {"model": "large"},
        {"task": "t"}, {"variant": "v"}, {"user_id": "u"}, {"session_id": "s"}, {"key_id": "k"}, {"run_id": "r"}, {"case_id": "c"},
        {"tag": "red"}, {"environment": "staging"}, {"min_duration_ms": 4000.0}, {"min_cost_usd": Decimal("0.5")},
        {"text": "0%_SURE"}, {"text": "oDd"},
    ):  # fmt: skip
        assert _names(store, **fields) == ["odd"], fields
    assert _names(store, text="%d") == []
    assert _names(store, from_ns=AT_NS, to_ns=AT_NS + 1) == ["odd", "plain"]
    assert _names(store, from_ns=AT_NS + 1) == []


def test_pages_hold_every_span_once_even_when_all_began_together(store: DuckDBStore, make_span: Any) -> None:
    _keep(store, *(make_span(name=f"{index:02d}") for index in range(25)))

    seen, cursor = [], None
    while True:
        page = store.list_spans(EVERYTHING, limit=10, cursor=cursor)
        seen += [row.name for row in page.items]
        if (cursor := page.next) is None:
            break

    assert sorted(seen) == [f"{index:02d}" for index in range(25)]


def test_pages_of_traces_hold_every_trace_once_with_its_figures(store: DuckDBStore, make_span: Any) -> None:
    for index in range(7):
        root = make_span(
            name=f"{index}",
            kind=SpanKind.TASK,
            start_ns=AT_NS + index,
            input=(HELLO,),
            task="polish",
            model=None,
            end_ns=AT_NS + 9_000_000,
        )
        inside = {"trace_id": root.trace_id, "parent_id": root.span_id, "start_ns": AT_NS + index}
        known = make_span(**inside, cost_usd=Decimal("0.1"), usage=Usage(input=5, output=2))
        unknown = make_span(**inside, status=SpanStatus.ERROR)
        attempt = make_span(
            **inside, kind=SpanKind.ATTEMPT, cost_usd=Decimal("0.1"), usage=Usage(input=5, output=2)
        )
        _keep(store, known, unknown, attempt, root)

    seen, cursor = [], None
    while True:
        page = store.list_traces(EVERYTHING, limit=3, cursor=cursor)
        seen += page.items
        if (cursor := page.next) is None:
            break

    assert [row.name for row in seen] == ["6", "5", "4", "3", "2", "1", "0"]
    first = seen[0]
    assert (first.spans, first.calls, first.errors, first.cost_unknown, first.total_tokens) == (4, 2, 1, 1, 7)
    assert first.cost_usd == Decimal("0.1")
    assert (first.task, first.input_preview) == ("polish", "hello")


def test_a_trace_is_found_by_any_of_its_spans_and_shown_whole(store: DuckDBStore, make_span: Any) -> None:
    root = make_span(kind=SpanKind.TASK, name="root")
    _keep(store, root, make_span(trace_id=root.trace_id, parent_id=root.span_id, name="needle"), make_span())

    (found,) = store.list_traces(_where(text="needle")).items

    assert (found.name, found.spans) == ("root", 2)


def test_a_long_trace_comes_in_pages_in_the_order_of_its_start(store: DuckDBStore, make_span: Any) -> None:
    trace_id = "ab" * 16
    _keep(
        store,
        *(
            make_span(trace_id=trace_id, name=f"{index}", start_ns=AT_NS + index, input=(HELLO,))
            for index in range(5)
        ),
    )

    first = store.trace("default", trace_id, limit=3)
    rest = store.trace("default", trace_id, limit=3, cursor=first.next)

    assert [item.span.name for item in (*first.items, *rest.items)] == ["0", "1", "2", "3", "4"]
    assert first.items[0].span.input == (HELLO,)
    assert rest.next is None
    with pytest.raises(NotFound, match="There is no trace"):
        store.trace("default", "cd" * 16)


@pytest.mark.parametrize("method", ["list_spans", "list_traces"])
@pytest.mark.parametrize("cursor", ["rubbish", "WzFd", "WyJ4IiwgInkiXQ"])
def test_a_foreign_cursor_is_refused(store: DuckDBStore, method: str, cursor: str) -> None:
    with pytest.raises(BadRequest, match="not a cursor") as caught:
        getattr(store, method)(EVERYTHING, cursor=cursor)

    assert caught.value.param == "cursor"


def test_traffic_counts_model_calls_and_sums_money_exactly(store: DuckDBStore, make_span: Any) -> None:
    tiny = Decimal("0.00000000000000000001")
    calls = [
        make_span(
            model="a" if index % 2 else "b",
            cost_usd=tiny,
            start_ns=AT_NS + index * 1000,
            end_ns=AT_NS + index * 1000 + 100_000_000,
        )
        for index in range(10)
    ]
    _keep(store, *calls, make_span(kind=SpanKind.ATTEMPT, cost_usd=tiny), make_span(kind=SpanKind.TASK))
    _keep(
        store, make_span(model="b", status=SpanStatus.ERROR, start_ns=AT_NS + DAY_NS, end_ns=AT_NS + DAY_NS)
    )

    total = store.traffic(EVERYTHING)
    over_time = store.traffic_over_time(EVERYTHING, bucket_ns=DAY_NS)
    by_model = store.traffic_by(EVERYTHING, "model")

    assert (total.calls, total.errors, total.cost_usd, total.cost_unknown) == (11, 1, tiny * 10, 1)
    assert total.p50_ms == pytest.approx(100)
    assert total.first_output_p50_ms is None
    assert [bucket.traffic.calls for bucket in over_time] == [10, 1]
    assert [(group.value, group.traffic.calls) for group in by_model] == [("b", 6), ("a", 5)]


def test_answers_from_the_cache_count_and_are_no_latency(store: DuckDBStore, make_span: Any) -> None:
    for at, cache in enumerate((None, "miss", "hit", "hit")):
        took_ns = 1_000_000 if cache == "hit" else 100_000_000
        begin_ns = AT_NS + at
        _keep(
            store,
            make_span(
                cache=cache, start_ns=begin_ns, end_ns=begin_ns + took_ns, first_output_ns=begin_ns + took_ns
            ),
        )
    total = store.traffic(EVERYTHING)
    assert (total.calls, total.cached) == (4, 2)
    assert (total.p50_ms, total.p95_ms, total.first_output_p50_ms) == (100, 100, 100)


def test_traffic_without_calls_is_all_zero(store: DuckDBStore) -> None:
    assert store.traffic(EVERYTHING).calls == 0
    assert store.traffic(EVERYTHING).cost_usd == 0
    assert store.traffic_over_time(EVERYTHING, bucket_ns=DAY_NS) == []


def test_facets_offer_what_is_there(store: DuckDBStore, make_span: Any) -> None:
    _keep(store, make_span(), make_span(), make_span(model="large", status=SpanStatus.ERROR))

    facets = {facet.field: facet.values for facet in store.facets(EVERYTHING)}

    assert facets["model"] == (("fast", 2), ("large", 1))
    assert facets["status"] == (("ok", 2), ("error", 1))
    assert facets["task"] == ()


def test_scores_are_kept_once_and_come_back_as_they_were(store: DuckDBStore) -> None:
    def score(name: str, value: bool | float | str, **more: Any) -> Score:
        return Score(
            score_id=name,
            project="default",
            name=name,
            value=value,
            source=ScoreSource.HUMAN,
            at_ns=AT_NS,
            trace_id="t",
            **more,
        )

    scores = [
        score("a", True), score("b", 0.1 + 0.2, cost_usd=Decimal("0.000000000001")), score("c", "true"),
        score("d", "good", offsets=(Offsets(1, 3),), explanation="why", author="ann"),
    ]  # fmt: skip

    _keep(store, *scores)
    _keep(store, *scores)

    assert store.list_scores("default", trace_id="t") == scores
    assert store.list_scores("default", trace_id="x") == []
    assert store.list_scores("other", trace_id="t") == []


def test_a_score_that_is_no_number_cannot_be_kept(store: DuckDBStore) -> None:
    with pytest.raises(Unstorable, match="nan"):
        _keep(
            store,
            Score(score_id="x", project="p", name="n", value=float("nan"), source=ScoreSource.CODE, at_ns=1),
        )


def test_nothing_of_a_batch_stays_when_one_event_cannot_be_kept(store: DuckDBStore, make_span: Any) -> None:
    for bad in (make_span(start_ns=1 << 70), make_span(cost_usd=Decimal("NaN")), make_span(name="\ud800")):
        with pytest.raises(Unstorable):
            _keep(store, make_span(), bad)

    assert _names(store) == []


def test_checking_keeps_nothing(store: DuckDBStore, make_span: Any) -> None:
    store.check([Arrival(make_span(), AT_NS)])

    assert _names(store) == []


def test_a_question_that_takes_too_long_is_ended(store: DuckDBStore) -> None:
    store._read_timeout_s = 0.05

    with pytest.raises(Unavailable, match=r"longer than 0\.05 s"):
        store._rows("SELECT count(*) FROM range(100000000000) a, range(1000) b", [])


def test_a_file_that_another_connection_of_a_newer_layout_wrote_is_refused(tmp_path: Path) -> None:
    DuckDBStore(tmp_path / "spans.duckdb").close()
    with duckdb.connect(str(tmp_path / "spans.duckdb")) as connection:
        connection.execute("UPDATE layout SET version = 99")

    with pytest.raises(Unusable, match="layout 99"):
        DuckDBStore(tmp_path / "spans.duckdb")


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spans.duckdb").write_bytes(b"something else" * 1000)

    with pytest.raises(Unusable, match="cannot be opened"):
        DuckDBStore(tmp_path / "spans.duckdb")


def test_what_the_cache_saved_is_summed_by_model(store: DuckDBStore, make_span: Any) -> None:
    saved = {"assay.cache.saved_usd": "0.00000000000000000001", "assay.cache.saved_input_tokens": 7}
    spans = [
        *(make_span(model="a", cache="hit", start_ns=AT_NS + at, attributes=saved) for at in range(3)),
        make_span(model="a", cache="hit", start_ns=AT_NS, attributes={"assay.cache.saved_output_tokens": 2}),
        make_span(model="a", cache="miss", start_ns=AT_NS),
        make_span(model="b", cache="miss", start_ns=AT_NS),
        make_span(model="c", start_ns=AT_NS),
    ]
    _keep(store, *spans)
    assert store.savings(EVERYTHING) == [
        Saving(
            model="a",
            hits=4,
            misses=1,
            saved_usd=Decimal("0.00000000000000000003"),
            unpriced=1,
            saved_input_tokens=21,
            saved_output_tokens=2,
        ),
        Saving(model="b", misses=1),
    ]
