"""`/api/sessions`."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.kit import json
from assay.kit.paging import Page
from assay.spans import Collector, SpanStore
from assay.traces import answers, session_answers
from assay.traces.api import filter_of, found_soon
from assay.traces.session_answers import SessionAnswer, SessionSummary
from assay.traces.sessions import TURNS, read_session


@get("/api/sessions", guards=[requires(Right.READ)], sync_to_thread=True)
def list_sessions(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> Page[SessionSummary]:
    """Sessions with a span that matches, the one with the newest match first. Filters as for `/api/traces`; the figures are
    those of the whole session, as far as it lies within a week of the time range."""
    page = span_store.list_sessions(filter_of(request, principal), limit=limit, cursor=cursor)
    return Page([session_answers.of_session_row(row) for row in page.items], page.next)


@get("/api/sessions/{session_id:path}", guards=[requires(Right.READ)], sync_to_thread=True)
def show_session(
    session_id: FromPath[str],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    collector: NamedDependency[Collector],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = TURNS,
) -> Response[bytes]:
    """One session as a conversation: its turns, oldest first, each message once."""
    wanted = str(session_id).removeprefix("/")
    found = found_soon(
        lambda: read_session(span_store, principal.project, wanted, cursor=cursor, limit=limit), collector
    )
    answer = SessionAnswer(
        session=session_answers.of_session_row(found.row),
        turns=[session_answers.of_turn(turn) for turn in found.turns],
        scores=[answers.of_score(score) for score in found.scores],
        next=found.next,
    )
    return Response(json.encode(answer), media_type="application/json")


handlers = [list_sessions, show_session]
