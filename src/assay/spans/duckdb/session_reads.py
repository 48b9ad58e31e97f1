"""What pages that follow conversations and live traffic ask: sessions, their traces, and what was kept last."""

# ruff: noqa: S608 - only names from this module and its neighbours are spliced into SQL
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from assay.errors import BadRequest, NotFound
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.spans.duckdb import reads
from assay.spans.duckdb.filters import condition
from assay.spans.duckdb.sealed import Scope
from assay.spans.types import Found, ScoreFigure, SessionRow, SpanFilter, SpanRow, StoredSpan, Tail, TraceRow
from assay.wire.scores import Score

_AROUND_NS = 7 * 24 * 3_600_000_000_000
_FAILED = f"{reads.FAILED} AND kind <> 'attempt'"
_MODELS = 4
_SESSIONS = f"""
    WITH hits AS (
        SELECT session_id, max(start_ns) AS newest_ns FROM live_spans WHERE <where> AND session_id IS NOT NULL
        GROUP BY session_id <having> ORDER BY newest_ns DESC, session_id DESC LIMIT ?
    ), members AS (
        SELECT DISTINCT hits.session_id, trace_id, newest_ns FROM live_spans JOIN hits USING (session_id)
        WHERE project = ? AND start_ns >= ? AND start_ns < ?
    )
    SELECT members.session_id, any_value(newest_ns), min(start_ns), max(end_ns), count(DISTINCT trace_id),
        count(*) FILTER ({_FAILED}), count(*) FILTER ({reads.COUNTED}),
        coalesce(sum(cost_usd) FILTER ({reads.COUNTED}), 0), count(*) FILTER ({reads.COUNTED} AND cost_usd IS NULL),
        coalesce(sum({reads.TOKENS}) FILTER ({reads.COUNTED}), 0)::BIGINT,
        first(user_id ORDER BY user_id IS NULL, start_ns), first(task ORDER BY task IS NULL, start_ns),
        list(DISTINCT model) FILTER (model IS NOT NULL),
        first(input_preview ORDER BY kind <> 'model', start_ns, live_spans.row_id),
        last(output_preview ORDER BY kind = 'model', start_ns, live_spans.row_id)
    FROM live_spans JOIN members USING (trace_id) LEFT JOIN covered ON covered.row_id = live_spans.row_id
    WHERE project = ? AND start_ns >= ? AND start_ns < ?
    GROUP BY members.session_id ORDER BY 2 DESC, members.session_id DESC
"""
_SCORES = """
    WITH members AS (
        SELECT session_id, trace_id, span_id FROM live_spans
        WHERE project = ? AND session_id IN (SELECT unnest(?)) AND start_ns >= ? AND start_ns < ?
    ), latest AS (
        SELECT * FROM scores WHERE project = ?
        QUALIFY source <> 'human' OR row_number() OVER (
            PARTITION BY name, author, trace_id, span_id, session_id, case_id, source ORDER BY at_ns DESC, score_id DESC) = 1
    ), about AS (
        SELECT session_id, score_id, name, number FROM latest WHERE session_id IN (SELECT unnest(?))
        UNION SELECT members.session_id, score_id, name, number FROM latest JOIN members USING (trace_id)
        UNION SELECT members.session_id, score_id, name, number FROM latest JOIN members USING (span_id)
        WHERE latest.trace_id IS NULL
    )
    SELECT session_id, name, count(*), avg(number) FROM about GROUP BY ALL ORDER BY ALL
"""
_OF_SESSION = """
    SELECT trace_id, min(start_ns) AS began_ns FROM live_spans
    WHERE project = ? AND trace_id IN (SELECT trace_id FROM live_spans WHERE project = ? AND session_id = ?)
    GROUP BY trace_id <having> ORDER BY began_ns, trace_id LIMIT ?
"""


_FEWEST_DIGITS = 4
_SPAN_DIGITS = 16
_FIND_TRACES = """
    SELECT trace_id, first(name ORDER BY parent_id IS NOT NULL, start_ns), max(start_ns) FROM live_spans
    WHERE project = ? AND start_ns >= ? AND (starts_with(trace_id, ?) OR ends_with(trace_id, ?))
    GROUP BY trace_id ORDER BY 3 DESC LIMIT ?
"""
_FIND_SPANS = """
    SELECT span_id, trace_id, name, start_ns FROM live_spans
    WHERE project = ? AND start_ns >= ? AND (starts_with(span_id, ?) OR ends_with(span_id, ?)) AND kind <> 'attempt'
    ORDER BY start_ns DESC LIMIT ?
"""
_FIND_SESSIONS = """
    SELECT session_id, first(input_preview ORDER BY kind <> 'model', start_ns), max(start_ns) FROM live_spans
    WHERE project = ? AND start_ns >= ? AND contains(lower(session_id), lower(?))
    GROUP BY session_id ORDER BY 3 DESC LIMIT ?
"""


class SessionReads(reads.Reads):
    """The second part of the reading half."""

    @property
    @abstractmethod
    def _last_row_id(self) -> int:
        """The newest row that is committed."""

    def tail(self, filter: SpanFilter, *, after: str | None = None, limit: int = 200) -> Tail:
        last = self._last_row_id
        where, parameters = condition(filter)
        since = 0 if after is None else _row_id(after)
        found = self._rows(
            f"""SELECT {", ".join(reads.ROW)}, row_id FROM live_spans WHERE {where} AND row_id > ? AND row_id <= ?
            ORDER BY row_id {"DESC" if after is None else ""} LIMIT ?""",
            [*parameters, since, last, limit + 1],
            reads.scope_of(filter),
        )
        is_whole = after is None or len(found) <= limit
        kept = found[:limit] if after is not None else found[:limit][::-1]
        rows: list[SpanRow] = [reads.span_row(row) for row in kept]
        return Tail(rows, str(last if is_whole else kept[-1][-1]), is_whole)

    def count_after(self, filter: SpanFilter, after: str, *, most: int) -> int:
        where, parameters = condition(filter)
        ((count,),) = self._rows(
            f"SELECT count(*) FROM (SELECT 1 FROM live_spans WHERE {where} AND row_id > ? LIMIT ?)",
            [*parameters, _row_id(after), most],
            reads.scope_of(filter),
        )
        return int(count)

    def find_ids(self, project: str, text: str, *, from_ns: int, limit: int = 5) -> list[Found]:
        found: list[Found] = []
        digits = text.lower()
        if len(digits) >= _FEWEST_DIGITS and set(digits) <= set("0123456789abcdef"):
            which = [project, from_ns, digits, digits, limit]
            rows = self._rows(_FIND_TRACES, which)
            found += [Found("trace", trace_id, trace_id, name, at_ns) for trace_id, name, at_ns in rows]
            if len(digits) <= _SPAN_DIGITS:
                rows = self._rows(_FIND_SPANS, which)
                found += [Found("span", *row) for row in rows]
        rows = self._rows(_FIND_SESSIONS, [project, from_ns, text, limit])
        return [*found, *(Found("session", id, None, asked or "", at_ns) for id, asked, at_ns in rows)]

    def list_sessions(
        self, filter: SpanFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[SessionRow]:
        where, parameters = condition(filter)
        having = ""
        if cursor is not None:
            having = "HAVING (max(start_ns), session_id) < (?, ?)"
            parameters += from_cursor(cursor, tuple[int, str])
        around = (filter.from_ns - _AROUND_NS, filter.to_ns + _AROUND_NS)
        mine = (filter.project, *around)
        found = self._rows(
            _SESSIONS.replace("<where>", where).replace("<having>", having),
            [*parameters, limit + 1, *mine, *mine],
        )
        rows = found[:limit]
        scores = self._score_figures(filter.project, [row[0] for row in rows], around)
        items = [_session_row(row, scores.get(row[0], ())) for row in rows]
        return Page(items, to_cursor(rows[-1][1], rows[-1][0]) if len(found) > limit else None)

    def session_traces(
        self, project: str, session_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[TraceRow]:
        having, position = "", []
        if cursor is not None:
            having = "HAVING (min(start_ns), trace_id) > (?, ?)"
            position = list(from_cursor(cursor, tuple[int, str]))
        found = self._rows(
            _OF_SESSION.replace("<having>", having),
            [project, project, session_id, *position, limit + 1],
            Scope(project),
        )
        if not found and cursor is None:
            raise NotFound(f"There is no session {session_id!r}.", hint="It may not have been collected yet.")
        rows = found[:limit]
        whenever = SpanFilter(project=project, from_ns=0, to_ns=reads.LAST_NS)
        traces = {row.trace_id: row for row in self._trace_rows(whenever, [trace_id for trace_id, _ in rows])}
        items = [traces[trace_id] for trace_id, _ in rows]
        return Page(items, to_cursor(rows[-1][1], rows[-1][0]) if len(found) > limit else None)

    def spans_of(self, project: str, trace_ids: Sequence[str], *, limit: int = 2000) -> list[StoredSpan]:
        rows = self._rows(
            f"""{reads.SELECT_DETAIL} WHERE project = ? AND trace_id IN (SELECT unnest(?)) AND kind <> 'attempt'
            ORDER BY start_ns, row_id LIMIT ?""",
            [project, list(trace_ids), limit],
            Scope(project),
        )
        return self._resolve(project, rows)

    def scores_about(
        self,
        project: str,
        *,
        traces: Sequence[str] = (),
        spans: Sequence[str] = (),
        sessions: Sequence[str] = (),
        limit: int = 5000,
    ) -> list[Score]:
        return self._scores(
            """(trace_id IN (SELECT unnest(?)) OR span_id IN (SELECT unnest(?)) OR session_id IN (SELECT unnest(?)))""",
            [project, list(traces), list(spans), list(sessions)],
            limit,
        )

    def _score_figures(
        self, project: str, sessions: Sequence[str], around: Sequence[int]
    ) -> dict[str, tuple[ScoreFigure, ...]]:
        if not sessions:
            return {}
        scope = Scope(project, around[0], around[1])
        rows = self._rows(_SCORES, [project, list(sessions), *around, project, list(sessions)], scope)
        figures: dict[str, tuple[ScoreFigure, ...]] = {}
        for session_id, name, count, mean in rows:
            figures[session_id] = (*figures.get(session_id, ()), ScoreFigure(name, count, mean))
        return figures


def _row_id(position: str) -> int:
    if not (position.isascii() and position.isdigit() and len(position) < 19):
        raise BadRequest(
            f"{position!r} is no position of the live tail.", param="after", hint="Leave it out to begin now."
        )
    return int(position)


def _session_row(row: Sequence[Any], scores: tuple[ScoreFigure, ...]) -> SessionRow:
    (
        session_id,
        _,
        start_ns,
        end_ns,
        traces,
        errors,
        calls,
        cost_usd,
        unknown,
        tokens,
        user,
        task,
        models,
        asked,
        said,
    ) = row
    return SessionRow(
        session_id=session_id,
        start_ns=start_ns,
        end_ns=end_ns,
        traces=traces,
        errors=errors,
        calls=calls,
        cost_usd=cost_usd,
        cost_unknown=unknown,
        total_tokens=tokens,
        user_id=user,
        task=task,
        models=tuple(sorted(models or ())[:_MODELS]),
        input_preview=asked or "",
        output_preview=said or "",
        scores=scores,
    )
