"""`/settings/storage`: what is kept, for how long, and taking it out."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import AssayError, BadRequest
from assay.jobs import Jobs
from assay.kit.clock import DAY_NS, SYSTEM, day_text
from assay.records import Records
from assay.settings import Settings
from assay.spans import SpanStore
from assay.spans.types import StoredDay
from assay.traces import store
from assay.traces.retention import Policy, default_policy
from assay.traces.storage_api import PurgeRequest, ServerStorage, read_purge, server_storage
from assay.traces.upkeep import PURGE, Upkeep, purge_arguments
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]


class RetentionForm(msgspec.Struct):
    """What the form about days sends; an empty field is for ever."""

    content_days: str = ""
    row_days: str = ""
    imports: str = ""
    reset: str = ""
    csrf_token: str = ""


class PurgeForm(msgspec.Struct):
    """What the form that purges sends."""

    user: str = ""
    before: str = ""
    everything: str = ""
    csrf_token: str = ""


class DayLine(msgspec.Struct):
    """One day in the list."""

    day: str
    imported: bool
    spans: int
    bytes: int | None
    content_bytes: int | None
    state: str


class PurgePreview(msgspec.Struct):
    """What a purge would take, and the fields that confirm it."""

    counted: dict[str, int]
    fields: dict[str, str]


class StorageContext(msgspec.Struct):
    """What `traces/storage.html` shows."""

    policy: Policy
    is_default: bool
    days: list[DayLine]
    server: ServerStorage | None
    share_used: float | None
    purge: PurgePreview | None
    wanted: PurgeForm
    problem: AssayError | None


@get("/settings/storage", guards=[requires(Right.ADMINISTER)], include_in_schema=False, sync_to_thread=True)
def show_storage(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
    span_store: NamedDependency[SpanStore],
    upkeep: NamedDependency[Upkeep],
) -> Response[str]:
    """What is kept, for how long, and the disk that it takes."""
    return _Page(request, principal, records, settings, span_store, upkeep).answer()


@post(
    "/settings/storage/retention",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def set_retention(
    request: HttpRequest,
    data: URLEncodedBody[RetentionForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
    span_store: NamedDependency[SpanStore],
    upkeep: NamedDependency[Upkeep],
) -> Response[Any]:
    """Choose how long the project keeps what it is told."""
    try:
        policy = None if data.reset else _read_policy(data)
        with records.write() as tx:
            if policy is None:
                store.remove_policy(tx, principal.project)
            else:
                store.set_policy(tx, principal.project, policy)
    except BadRequest as problem:
        return _Page(request, principal, records, settings, span_store, upkeep).answer(problem=problem)
    return Redirect("/settings/storage", status_code=303)


@post(
    "/settings/storage/purge",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=200,
    sync_to_thread=True,
)
def preview_purge(
    request: HttpRequest,
    data: URLEncodedBody[PurgeForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
    span_store: NamedDependency[SpanStore],
    upkeep: NamedDependency[Upkeep],
) -> Response[Any]:
    """Say what a purge would take and ask again; nothing is taken."""
    page = _Page(request, principal, records, settings, span_store, upkeep)
    try:
        counted = upkeep.count_purge(_read_purge(data, principal))
    except BadRequest as problem:
        return page.answer(problem=problem, wanted=data)
    fields = {"user": data.user, "before": data.before, "everything": data.everything}
    return page.answer(purge=PurgePreview(counted, fields), wanted=data)


@post(
    "/settings/storage/purge/confirm",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def confirm_purge(
    request: HttpRequest,
    data: URLEncodedBody[PurgeForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    settings: NamedDependency[Settings],
    span_store: NamedDependency[SpanStore],
    upkeep: NamedDependency[Upkeep],
    jobs: NamedDependency[Jobs],
) -> Response[Any]:
    """Start the job that purges and show it."""
    try:
        wanted = _read_purge(data, principal)
    except BadRequest as problem:
        page = _Page(request, principal, records, settings, span_store, upkeep)
        return page.answer(problem=problem, wanted=data)
    with records.write() as tx:
        job_id = jobs.add(tx, PURGE, project=principal.project, arguments=purge_arguments(wanted))
    return Redirect(f"/jobs/{job_id}", status_code=303)


class _Page:
    """The page for one request."""

    def __init__(
        self,
        request: HttpRequest,
        principal: Principal,
        records: Records,
        settings: Settings,
        span_store: SpanStore,
        upkeep: Upkeep,
    ) -> None:
        self._request = request
        self._principal = principal
        self._records = records
        self._settings = settings
        self._store = span_store
        self._upkeep = upkeep

    def answer(
        self,
        *,
        problem: AssayError | None = None,
        purge: PurgePreview | None = None,
        wanted: PurgeForm | None = None,
    ) -> Response[str]:
        """The whole page."""
        with self._records.read() as tx:
            chosen = store.find_policy(tx, self._principal.project)
        server = server_storage(self._upkeep) if self._principal.may(Right.OPERATE) else None
        context = StorageContext(
            policy=chosen or default_policy(self._settings),
            is_default=chosen is None,
            days=[_line(day) for day in reversed(self._store.stored_days(self._principal.project))],
            server=server,
            share_used=_share(server),
            purge=purge,
            wanted=wanted or PurgeForm(),
            problem=problem,
        )
        status = 200 if problem is None else problem.status
        return shell.page(
            self._request, "traces/storage.html", context, title=later("Storage"), status=status
        )


def _share(server: ServerStorage | None) -> float | None:
    if server is None or not server.limit_bytes:
        return None
    return (server.hot_bytes + server.sealed_bytes + server.content_bytes) / server.limit_bytes


def _line(day: StoredDay) -> DayLine:
    state = "open" if not day.is_sealed else "whole" if day.has_content else "figures"
    return DayLine(
        day=day_text(day.day),
        imported=day.imported,
        spans=day.spans,
        bytes=day.bytes if day.is_sealed else None,
        content_bytes=day.content_bytes if day.is_sealed else None,
        state=state,
    )


def _read_policy(data: RetentionForm) -> Policy:
    return Policy(
        content_days=_days("content_days", data.content_days),
        row_days=_days("row_days", data.row_days),
        imports=bool(data.imports),
    )


def _days(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is no number of days", param=name) from error


def _read_purge(data: PurgeForm, principal: Principal) -> Any:
    asked = PurgeRequest(
        before=data.before or None, user=data.user.strip() or None, everything=bool(data.everything)
    )
    return read_purge(asked, project=principal.project, today=SYSTEM.now_ns() // DAY_NS)


handlers = [show_storage, set_retention, preview_purge, confirm_purge]
