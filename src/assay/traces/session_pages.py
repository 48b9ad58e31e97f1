"""`/sessions` and `/sessions/{id}`, with the thumbs below each turn."""

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import BadRequest, Unavailable
from assay.kit.clock import SYSTEM
from assay.spans import Collector, SpanStore, Spool
from assay.spans.types import SessionRow
from assay.traces import feedback
from assay.traces.api import filter_of, found_soon
from assay.traces.feedback import FeedbackForm, Marks
from assay.traces.menus import filter_of_everything, menus, ranges_with
from assay.traces.query import DEFAULT_LAST
from assay.traces.sessions import Session, read_session
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]
_PAGE = 50


class SessionsContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/sessions.html` shows. `chosen` is the filter as the form holds it."""

    sessions: list[SessionRow]
    next: str | None
    is_first: bool
    chosen: dict[str, str]
    ranges: tuple[tuple[str, str], ...]
    choices: dict[str, list[tuple[str, str]]]
    is_filtered: bool
    address: str
    problem: BadRequest | None


class SessionContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `traces/session.html` shows. `marks` are the thumbs and comments by trace, `thumbs` those of whoever looks."""

    session: Session
    cursor: str
    is_first: bool
    marks: dict[str, Marks]
    thumbs: dict[str, bool]
    may_judge: bool
    may_try: bool


class TurnFeedback(msgspec.Struct, kw_only=True):
    """What the form below a turn sends: a thumb or a comment on a trace of a session."""

    session_id: str
    trace_id: str
    thumb: str = ""
    comment: str = ""
    cursor: str = ""
    csrf_token: str = ""


@get("/sessions", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def list_sessions(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Sessions with filters and search."""
    given = {
        name: value
        for name, value in request.query_params.items()
        if isinstance(value, str) and value and name != "cursor"
    }
    try:
        filter = filter_of(request, principal)
        page = span_store.list_sessions(filter, limit=_PAGE, cursor=cursor)
        sessions, next_cursor, problem = page.items, page.next, None
    except BadRequest as error:
        filter = filter_of_everything(principal)
        sessions, next_cursor, problem = [], None, error
    context = SessionsContext(
        sessions=sessions,
        next=next_cursor,
        is_first=cursor is None,
        chosen={"last": DEFAULT_LAST, **given},
        ranges=ranges_with(given.get("last")),
        choices=menus(span_store, filter, given),
        is_filtered=any(name != "last" for name in given),
        address=str(request.base_url).rstrip("/"),
        problem=problem,
    )
    return shell.page(
        request, "traces/sessions.html", context, title=later("Sessions"), status=400 if problem else 200
    )


@get(
    "/sessions/{session_id:path}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True
)
def show_session(
    request: HttpRequest,
    session_id: FromPath[str],
    principal: NamedDependency[Principal],
    span_store: NamedDependency[SpanStore],
    collector: NamedDependency[Collector],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """One session as a conversation."""
    wanted = str(session_id).removeprefix("/")
    session = found_soon(
        lambda: read_session(span_store, principal.project, wanted, cursor=cursor), collector
    )
    scores = [score for turn in session.turns for score in turn.scores]
    context = SessionContext(
        session=session,
        cursor=cursor or "",
        is_first=cursor is None,
        marks=feedback.marks(scores),
        thumbs={
            score.trace_id: score.value
            for score in scores
            if score.name == feedback.THUMBS
            and score.author == principal.name
            and score.trace_id is not None
            and isinstance(score.value, bool)
        },
        may_judge=principal.may(Right.SEND),
        may_try=principal.may(Right.EDIT),
    )
    return shell.page(request, "traces/session.html", context, title=_printable(wanted))


@post("/session-feedback", guards=[requires(Right.SEND)], include_in_schema=False)
async def judge_turn(
    data: URLEncodedBody[TurnFeedback],
    principal: NamedDependency[Principal],
    spool: NamedDependency[Spool],
    collector: NamedDependency[Collector],
) -> Redirect:
    """A thumb or a comment on a turn, kept before the conversation comes back with it."""
    filled = feedback.filled(
        FeedbackForm(about="trace", thumb=data.thumb, comment=data.comment), trace_id=data.trace_id
    )
    score = feedback.score_of(
        filled, project=principal.project, author=principal.name, now_ns=SYSTEM.now_ns()
    )
    await feedback.keep(spool, score)
    with suppress(Unavailable):  # it is kept; the page will show it later
        await asyncio.to_thread(collector.drain_now, timeout_s=2.0)
    back = shell.url(address_of(data.session_id), cursor=data.cursor)
    return Redirect(f"{back}#turn-{quote(data.trace_id, safe='')}", status_code=303)


def address_of(session_id: str) -> str:
    """The page of a session, whatever its application calls it."""
    return f"/sessions/{quote(session_id)}"


def _printable(text: str) -> str:
    """For the browser's own line, which shows no markup: what hides or reorders text is replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


handlers = [list_sessions, show_session, judge_turn]
