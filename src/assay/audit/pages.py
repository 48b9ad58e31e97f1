"""`/audit`."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from assay.access.accounts import scope_of
from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.audit.ledger import list_entries
from assay.audit.types import Entry, EntryFilter
from assay.errors import BadRequest
from assay.records import Records
from assay.ui import shell
from assay.ui.language import later

_DAY_NS = 86_400_000_000_000
NOUNS = (
    "login user member key project prompt label task variant release dataset run comparison job".split()  # noqa: SIM905
)
"""What there is to filter by; an action may also be named whole."""


class LogForm(msgspec.Struct, frozen=True, kw_only=True):
    """The filters as they stand in the address."""

    actor: str
    action: str
    subject: str
    since: str
    until: str
    everywhere: bool

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered."""
        return any((self.actor, self.action, self.subject, self.since, self.until))


class AuditContext(msgspec.Struct):
    """What `audit/log.html` shows."""

    entries: list[Entry]
    next: str | None
    first: bool
    form: LogForm
    nouns: list[str]
    may_see_all: bool


@get("/audit", guards=[requires(Right.ADMINISTER)], include_in_schema=False, sync_to_thread=True)
def show_log(
    request: Request[Any, Any, Any],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    actor: FromQuery[str] = "",
    action: FromQuery[str] = "",
    subject: FromQuery[str] = "",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    everywhere: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Who changed what, newest first."""
    form = LogForm(
        actor=actor.strip(),
        action=action.strip(),
        subject=subject.strip(),
        since=since,
        until=until,
        everywhere=bool(everywhere),
    )
    wanted = EntryFilter(
        project=scope_of(principal, everywhere=form.everywhere),
        actor=form.actor or None,
        action=form.action or None,
        subject=form.subject or None,
        from_ns=_day(since, "since"),
        to_ns=None if not until else (_day(until, "until") or 0) + _DAY_NS,
    )
    with records.read() as tx:
        page = list_entries(tx, wanted, cursor=cursor)
    nouns = [*NOUNS, *([form.action] if form.action and form.action not in NOUNS else [])]
    context = AuditContext(
        entries=page.items,
        next=page.next,
        first=cursor is None,
        form=form,
        nouns=nouns,
        may_see_all=principal.may(Right.OPERATE),
    )
    return shell.page(request, "audit/log.html", context, title=later("Log"))


def _day(text: str, param: str) -> int | None:
    """The beginning of a day in UTC."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadRequest(f"{text!r} is no day", param=param, hint="Write e.g. 2026-11-24.") from error
    return int(day.timestamp()) * 1_000_000_000


handlers = [show_log]
