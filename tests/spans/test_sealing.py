"""Days go into files and stay what they were: for questions, for newer versions, for whoever kills the process."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from assay.errors import NotFound, Unavailable
from assay.kit.clock import DAY_NS
from assay.spans import DuckDBStore
from assay.spans.duckdb.gate import Gate
from assay.spans.duckdb.schema import LONGEST
from assay.spans.segments import Position
from assay.spans.types import Arrival, SpanFilter
from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import Span, SpanKind, SpanStatus

DAY = 20_600
AT_NS = DAY * DAY_NS + 3_600_000_000_000
LATER = DAY + 5
HELLO = b'{"role":"user","content":"hello"}'
EVERYTHING = SpanFilter(project="default", from_ns=0, to_ns=1 << 62)


def _keep(store: DuckDBStore, *events: Any, at_ns: int = AT_NS) -> None:
    store.write([Arrival(event, at_ns) for event in events], source="test", position=Position())


def _score(name: str, **more: Any) -> Score:
    given: dict[str, Any] = {
        "project": "default",
        "name": "thumb",
        "value": True,
        "source": ScoreSource.USER,
        "at_ns": AT_NS,
    }
    return Score(score_id=name, **given | more)


def _answers(store: DuckDBStore) -> dict[str, Any]:
    """What the store says about everything, in every way of asking."""
    traces = store.list_traces(EVERYTHING, limit=500).items
    return {
        "traces": traces,
        "spans": store.list_spans(EVERYTHING, limit=500).items,
        "whole": {row.trace_id: store.trace("default", row.trace_id).items for row in traces},
        "scores": [store.list_scores("default", trace_id=row.trace_id) for row in traces],
        "traffic": store.traffic(EVERYTHING),
        "over_time": store.traffic_over_time(EVERYTHING, bucket_ns=DAY_NS),
        "by_model": store.traffic_by(EVERYTHING, "model"),
        "facets": store.facets(EVERYTHING),
        "others": store.list_spans(msgspec.structs.replace(EVERYTHING, project="../other")).items,
    }


@pytest.fixture
def lived(store: DuckDBStore, make_span: Callable[..., Span]) -> DuckDBStore:
    """A store with three days of several projects, versions, scores and shared messages, hot."""
    for day in range(3):
        at_ns = AT_NS + day * DAY_NS
        root = make_span(
            kind=SpanKind.TASK, name="root", start_ns=at_ns, end_ns=at_ns + 9, task="t", input=(HELLO,)
        )
        inner = make_span(
            trace_id=root.trace_id, parent_id=root.span_id, start_ns=at_ns + 1, end_ns=at_ns + 5, user_id="ann", input=(HELLO, b'"%d"' % day),
            output=(b'{"content":"yes"}',), request=b'{"a":1}', attributes={"x": day}, tags=("red",), error_message="why",
        )  # fmt: skip
        first = msgspec.structs.replace(inner, name="older")
        foreign = make_span(project="../other", start_ns=at_ns, end_ns=at_ns)
        _keep(
            store,
            root,
            first,
            inner,
            foreign,
            _score(f"s{day}", trace_id=root.trace_id, at_ns=at_ns),
            at_ns=at_ns,
        )
    return store


def test_sealed_days_answer_as_they_did_when_they_were_hot(lived: DuckDBStore) -> None:
    before = _answers(lived)

    assert lived.seal(before_day=DAY + 2) == 4

    assert _answers(lived) == before
    assert lived.seal(before_day=DAY + 2) == 0
    assert [(day.project, day.day - DAY, day.is_sealed) for day in lived.stored_days()] == [
        ("../other", 0, True),
        ("default", 0, True),
        ("../other", 1, True),
        ("default", 1, True),
        ("../other", 2, False),
        ("default", 2, False),
    ]


def test_sealed_days_are_there_after_the_store_is_opened_again(lived: DuckDBStore, tmp_path: Path) -> None:
    before = _answers(lived)
    lived.seal(before_day=LATER)
    lived.close()

    again = DuckDBStore(tmp_path / "spans.duckdb", memory_mb=128, threads=1)

    assert _answers(again) == before
    again.close()
    lived._engine.connection = again._engine._connect()  # for the fixture to close


def test_files_lie_by_kind_project_and_day_and_any_tool_can_read_them(
    lived: DuckDBStore, tmp_path: Path
) -> None:
    lived.seal(before_day=LATER)

    folders = {str(path.parent.relative_to(tmp_path / "sealed")) for path in tmp_path.rglob("*.parquet")}
    assert {
        "spans/default/2026-05-27",
        "payloads/default/2026-05-27",
        "spans/%2E%2E%2Fother/2026-05-28",
    } <= folders
    count = duckdb.read_parquet(f"{tmp_path}/sealed/spans/default/*/*.parquet").count("*")
    assert count.fetchall() == [(6,)], "older versions of a span are not carried along"


def test_a_newer_version_supersedes_a_span_of_a_sealed_day(
    lived: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    span = make_span(name="sealed", start_ns=AT_NS)
    _keep(lived, span)
    lived.seal(before_day=LATER)

    _keep(lived, msgspec.structs.replace(span, name="newer"), at_ns=AT_NS + 4 * DAY_NS)

    assert lived.get_span("default", span.span_id).span.name == "newer"
    assert [row.name for row in lived.list_spans(EVERYTHING, limit=500).items].count("sealed") == 0
    lived.seal(before_day=LATER)
    assert lived.get_span("default", span.span_id).span.name == "newer"


def test_a_score_that_comes_again_after_its_day_was_sealed_is_the_same_score(lived: DuckDBStore) -> None:
    lived.seal(before_day=LATER)

    _keep(lived, _score("s0", trace_id="t"), _score("new", trace_id="t"), at_ns=AT_NS + 4 * DAY_NS)

    ((rows,),) = lived._rows("SELECT count(*) FROM scores WHERE score_id IN ('s0', 'new')", [])
    assert rows == 2


def test_what_arrives_late_for_a_sealed_day_joins_it(
    lived: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    lived.seal(before_day=LATER)
    late = make_span(name="late", start_ns=AT_NS, end_ns=AT_NS, user_id="ann", input=(HELLO,))
    _keep(lived, late)
    before = _answers(lived)

    assert lived.seal(before_day=LATER) == 1

    assert _answers(lived) == before
    assert lived.get_span("default", late.span_id).span.input == (HELLO,)
    files = [file for file in lived._engine.files() if file.group == ("default", DAY, False)]
    assert sorted(file.kind for file in files) == ["payloads", "scores", "spans"]


def test_imports_of_a_day_are_sealed_apart(store: DuckDBStore, make_span: Callable[..., Span]) -> None:
    _keep(store, make_span(input=(HELLO,)), make_span(input=(HELLO,), imported=True))
    store.seal(before_day=LATER)

    days = store.stored_days()

    assert [(day.imported, day.spans) for day in days] == [(False, 1), (True, 1)]
    store.drop_content(day for day in days if not day.imported)
    assert sorted(
        store.trace("default", row.trace_id).items[0].missing for row in store.list_traces(EVERYTHING).items
    ) == [0, 1]


def test_long_messages_requests_and_attributes_come_back_whole(
    store: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    span = make_span(
        input=(b'"' + b"a" * (3 * LONGEST) + b'"', b""), request=b"r" * (LONGEST + 1),
        attributes={"long": "x" * (LONGEST * 2)}, name="n" * 100_000,
    )  # fmt: skip
    _keep(store, span)

    for _ in range(2):
        found = store.get_span("default", span.span_id)
        assert (found.span.input, found.span.request, found.span.attributes) == (
            span.input,
            span.request,
            span.attributes,
        )
        assert found.missing == 0
        assert len(found.span.name) < 20_000
        store.seal(before_day=LATER)

    store.drop_content(store.stored_days())
    found = store.get_span("default", span.span_id)
    assert (found.span.input, found.span.request, found.span.attributes, found.missing) == ((), None, {}, 4)


def test_many_large_messages_do_not_break_the_store(
    store: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    """DuckDB by itself fails for good once a few hundred values of a megabyte lie in a column."""
    for _ in range(12):
        messages = tuple(os.urandom(1_000_000) for _ in range(20))
        _keep(store, make_span(input=messages))
    store._engine.connection.execute("CHECKPOINT")
    store.seal(before_day=LATER)

    assert len(store.list_spans(EVERYTHING).items) == 12
    assert store.size().content_bytes > 200_000_000


def test_dropping_content_leaves_the_figures(lived: DuckDBStore) -> None:
    lived.seal(before_day=LATER)
    before = _answers(lived)

    lived.drop_content(day for day in lived.stored_days("default") if day.day == DAY)

    after = _answers(lived)
    for same in ("traffic", "over_time", "by_model", "facets", "others"):
        assert after[same] == before[same]
    oldest = after["whole"][after["traces"][-1].trace_id]
    assert [item.missing for item in oldest] == [1, 3]
    assert all(
        not item.span.input and not item.span.attributes and item.span.request is None for item in oldest
    )
    assert {row.input_preview for row in after["spans"] if row.start_ns < AT_NS + DAY_NS // 2} == {""}
    (day,) = [day for day in lived.stored_days("default") if day.day == DAY]
    assert (day.has_content, day.content_bytes, day.spans) == (False, 0, 2)
    text = b"".join(
        path.read_bytes() for path in (lived._engine.folder / "spans/default/2026-05-27").iterdir()
    )
    assert b"why" not in text


def test_what_comes_late_to_a_day_without_content_loses_its_own(
    lived: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    lived.seal(before_day=LATER)
    lived.drop_content(lived.stored_days())
    late = make_span(input=(HELLO,))
    _keep(lived, late)

    lived.seal(before_day=LATER)

    assert lived.get_span("default", late.span_id).missing == 1


def test_dropped_days_are_gone_with_their_files(lived: DuckDBStore, tmp_path: Path) -> None:
    lived.seal(before_day=DAY + 2)

    lived.drop_days(lived.stored_days("default"))

    assert lived.list_spans(EVERYTHING).items == []
    assert lived.stored_days("default") == []
    assert not list((tmp_path / "sealed").glob("*/default"))
    assert len(_answers(lived)["others"]) == 3
    assert lived._rows("SELECT * FROM superseded", []) == lived._rows("SELECT * FROM covered", []) == []


def test_row_numbers_are_never_given_twice(lived: DuckDBStore, make_span: Callable[..., Span]) -> None:
    lived.seal(before_day=LATER)
    last = lived._last_row_id
    lived.drop_days(lived.stored_days())
    lived._engine._reconnect()

    _keep(lived, make_span())

    assert lived._rows("SELECT row_id FROM spans", []) == [(last + 1,)]


def test_a_question_in_progress_keeps_the_files_that_it_began_with(
    lived: DuckDBStore, tmp_path: Path
) -> None:
    lived.seal(before_day=LATER)
    engine = lived._engine

    with engine.reading() as cursor:
        before = list(tmp_path.rglob("*.parquet"))
        lived.drop_days(lived.stored_days())
        assert [path for path in before if not path.exists()] == []
        assert cursor.execute("SELECT count(*) FROM spans").fetchall() == [(9,)]
        with engine.reading() as later:
            assert later.execute("SELECT count(*) FROM spans").fetchall() == [(0,)]

    engine.sweep()
    assert list(tmp_path.rglob("*.parquet")) == []


def test_space_is_given_back(store: DuckDBStore, make_span: Callable[..., Span], tmp_path: Path) -> None:
    for _ in range(30):
        _keep(store, *(make_span(input=(os.urandom(5000),)) for _ in range(100)))
    _keep(store, make_span(name="today", input=(HELLO,)), at_ns=AT_NS + LATER * DAY_NS)
    store.seal(before_day=LATER)

    assert store.compact() == 0, "too little to be worth the work"
    grown = (tmp_path / "spans.duckdb").stat().st_size
    given_back = store.compact(even_little=True)

    assert (tmp_path / "spans.duckdb").stat().st_size == grown - given_back < grown / 5
    assert store.traffic(EVERYTHING).calls == 3001
    _keep(store, make_span())
    assert store.traffic(EVERYTHING).calls == 3002


def test_compacting_waits_for_questions_and_gives_up_when_they_go_on(
    lived: DuckDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _answers(lived)
    with lived._engine.reading():
        assert lived.compact(even_little=True) == 0
    assert _answers(lived) == before
    assert list(lived._engine.work.iterdir()) == []


def test_sealing_goes_on_beside_writing_and_reading(
    store: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    stop, failed, written = threading.Event(), [], 0

    def read() -> None:
        while not stop.is_set():
            try:
                seen = store.traffic(EVERYTHING).calls
                assert store.traffic(EVERYTHING).calls >= seen
            except (AssertionError, Unavailable) as error:
                failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for day in range(6):
        for _ in range(5):
            _keep(
                store,
                *(make_span(start_ns=AT_NS + day * DAY_NS, input=(HELLO,)) for _ in range(20)),
                at_ns=AT_NS + day * DAY_NS,
            )
            written += 20
        store.seal(before_day=DAY + day + 1)
        store.compact(even_little=True)
    stop.set()
    reader.join()

    assert failed == []
    assert store.traffic(EVERYTHING).calls == written


STEPS = (
    "named",
    "copied",
    "synced",
    "recorded",
    "committed",
    "swept",
    "swap-copied",
    "swap-closed",
    "swap-replaced",
)
KILLED = """
import os, sys
from pathlib import Path
from assay.spans import DuckDBStore
from assay.spans.duckdb import engine, keeping
import duckdb

data, step = Path(sys.argv[1]), sys.argv[2]
store = DuckDBStore(data / "spans.duckdb", memory_mb=128, threads=1)

def dying(name, function, after=True):
    def call(*args, **more):
        if step == name and not after:
            os._exit(9)
        found = function(*args, **more)
        if step == name and after:
            os._exit(9)
        return found
    return call

write = keeping._Rewriting._write
keeping._Rewriting._write = dying("named", write, after=False)
keeping.sync_new = dying("copied", keeping.sync_new, after=False)
if step == "synced":
    keeping.sync_new = dying("synced", keeping.sync_new)
keeping._Rewriting.run = dying("recorded", keeping._Rewriting.run)
engine.Engine.sweep = dying("committed", engine.Engine.sweep, after=False)
engine.Engine._delete = dying("swept", engine.Engine._delete)
keeping.copy_tables = dying("swap-copied", keeping.copy_tables)
connect = engine.Engine._connect
if step == "swap-closed":
    Path.replace = dying(step, Path.replace, after=False)
if step == "swap-replaced":
    Path.replace = dying(step, Path.replace)
store.seal(before_day=int(sys.argv[3]))
store.compact(even_little=True)
os._exit(0)
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_of_sealing_loses_and_doubles_nothing(
    lived: DuckDBStore, make_span: Callable[..., Span], tmp_path: Path, step: str
) -> None:
    lived.seal(before_day=DAY + 1)
    _keep(lived, make_span(name="late", input=(HELLO,)))
    before = _answers(lived)
    lived.close()

    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), step, str(LATER)], check=False)
    again = DuckDBStore(tmp_path / "spans.duckdb", memory_mb=128, threads=1)

    assert died.returncode == 9, "the step was reached"
    assert _answers(again) == before
    there = {str(path.relative_to(again._engine.folder)) for path in tmp_path.rglob("*.parquet")}
    assert there == {file.file for file in again._engine.files()}
    again.seal(before_day=LATER)
    assert _answers(again) == before
    lived._engine.connection = again._engine.connection  # for the fixture to close


def test_a_file_that_is_gone_is_said_and_the_others_go_on(lived: DuckDBStore, tmp_path: Path) -> None:
    lived.seal(before_day=LATER)
    gone = next(file for file in lived._engine.files() if file.kind == "spans" and file.project == "default")
    (tmp_path / "sealed" / gone.file).unlink()
    lived.close()

    again = DuckDBStore(tmp_path / "spans.duckdb", memory_mb=128, threads=1)

    assert again.size().missing_files == (gone.file,)
    assert again.traffic(EVERYTHING).calls == 2
    lived._engine.connection = again._engine.connection


def test_a_commit_that_held_though_the_store_failed_after_it_is_not_written_again(
    store: DuckDBStore, make_span: Callable[..., Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.spans.duckdb import store as module

    def fails(connection: Any) -> None:
        connection.commit()
        raise duckdb.FatalException("COMMIT succeeded and is durable, but the autocheckpoint failed")

    span = make_span()
    monkeypatch.setattr(module, "_commit", fails)
    store.write([Arrival(span, AT_NS)], source="s", position=Position(1, 2, 3))

    assert store.position("s") == Position(1, 2, 3)
    assert store._rows("SELECT count(*) FROM spans", []) == [(1,)]


def test_a_purge_of_a_person_takes_their_traces_and_leaves_what_others_share(
    store: DuckDBStore, make_span: Callable[..., Span]
) -> None:
    shared = b'{"role":"system","content":"be kind"}'
    mine = make_span(user_id="ann", session_id="s", input=(shared, b'"secret of ann"'))
    tool = make_span(
        trace_id=mine.trace_id, parent_id=mine.span_id, kind=SpanKind.TOOL, input=(shared, b'"tool for ann"')
    )
    other = make_span(user_id="bob", input=(shared,))
    nobody = make_span(input=(shared,), status=SpanStatus.ERROR)
    scores = [
        _score("of-trace", trace_id=mine.trace_id),
        _score("of-span", span_id=tool.span_id),
        _score("of-session", session_id="s"),
        _score("bob", trace_id=other.trace_id),
    ]
    for day in (1, 2, 4):
        at_ns = AT_NS + day * DAY_NS
        again = [
            msgspec.structs.replace(span, trace_id=f"{day}{span.trace_id[1:]}", start_ns=at_ns)
            for span in (mine, tool, other, nobody)
        ]
        _keep(store, *again, at_ns=at_ns)
    _keep(store, mine, tool, other, *scores)
    store.seal(before_day=DAY + 3)
    from assay.spans.types import Purge

    wanted = Purge(project="default", user_id="ann")
    counted = store.count_purge(wanted)
    assert store.traffic(EVERYTHING).calls == 11
    purged = store.purge(wanted)

    assert purged == counted
    assert (counted.spans, counted.traces, counted.scores) == (8, 4, 3)
    assert counted.messages == 4 + 3 * 3, (
        "ann's two and the tool's one a day; what all shared stays where others need it"
    )
    assert store.traffic_by(EVERYTHING, "user_id")[0].value == "bob"
    assert store.count_purge(wanted).spans == 0
    assert [score.score_id for score in store.list_scores("default", trace_id=other.trace_id)] == ["bob"]
    with pytest.raises(NotFound):
        store.trace("default", mine.trace_id)
    for row in store.list_traces(EVERYTHING).items:
        assert [item.missing for item in store.trace("default", row.trace_id).items] == [0]
    everything = b"".join(
        path.read_bytes() for path in store._engine.path.parent.rglob("*") if path.is_file()
    )
    assert b"secret of ann" not in everything
    bodies = {bytes(body) for (body,) in store._rows("SELECT body FROM payloads", [])}
    assert bodies == {shared}


def test_a_purge_by_age_takes_whole_days(lived: DuckDBStore) -> None:
    from assay.spans.types import Purge

    lived.seal(before_day=DAY + 1)

    purged = lived.purge(Purge(project="default", before_day=DAY + 2))

    assert purged.traces == 2
    assert [day.day - DAY for day in lived.stored_days("default")] == [2]
    assert len(lived.stored_days("../other")) == 3


def test_a_snapshot_is_a_store_of_that_moment(
    lived: DuckDBStore, make_span: Callable[..., Span], tmp_path: Path
) -> None:
    lived.seal(before_day=DAY + 1)
    before = _answers(lived)
    (tmp_path / "copy").mkdir()

    with lived.snapshot() as snapshot:
        _keep(lived, make_span(name="after"))
        lived.seal(before_day=LATER)
        lived.drop_days(lived.stored_days())
        for name, path in snapshot.files:
            (tmp_path / "copy/sealed" / name).parent.mkdir(parents=True)
            os.link(path, tmp_path / "copy/sealed" / name)
        snapshot.copy_hot().rename(tmp_path / "copy/spans.duckdb")

    copy = DuckDBStore(tmp_path / "copy/spans.duckdb", memory_mb=128, threads=1)
    assert _answers(copy) == before
    copy.close()


def test_the_gate_lets_nobody_in_while_somebody_is_alone() -> None:
    gate = Gate()
    with gate.entering(), gate.alone(timeout_s=0.01) as is_alone:
        assert not is_alone
    with gate.alone(timeout_s=1) as is_alone:
        assert is_alone
        entered = threading.Event()

        def enter() -> None:
            with gate.entering():
                entered.set()

        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.05)
    thread.join()
    assert entered.is_set()
