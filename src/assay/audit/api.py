"""`GET /api/audit`."""

from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from assay.access.accounts import scope_of
from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.audit.ledger import list_entries
from assay.audit.types import Entry, EntryFilter
from assay.errors import BadRequest
from assay.kit.clock import from_rfc3339, rfc3339
from assay.kit.paging import Page
from assay.records import Records


class EntryAnswer(msgspec.Struct, kw_only=True):
    """An entry as the API shows it."""

    id: str
    project: str
    at: str
    actor: str
    actor_id: str | None
    via: str
    address: str | None
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@get("/api/audit", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    actor: FromQuery[str | None] = None,
    action: FromQuery[str | None] = None,
    subject: FromQuery[str | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    everywhere: FromQuery[bool] = False,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
) -> Page[EntryAnswer]:
    """What was changed in the project, newest first; `everywhere` is for whoever runs the server."""
    wanted = EntryFilter(
        project=scope_of(principal, everywhere=everywhere),
        actor=actor,
        action=action,
        subject=subject,
        from_ns=time_of(since, "since"),
        to_ns=time_of(until, "until"),
    )
    with records.read() as tx:
        page = list_entries(tx, wanted, cursor=cursor, limit=limit)
    return Page([answer_of(entry) for entry in page.items], page.next)


def time_of(text: str | None, param: str) -> int | None:
    """An RFC 3339 time. Raises `BadRequest`."""
    if not text:
        return None
    try:
        return from_rfc3339(text)
    except ValueError as error:
        raise BadRequest(
            f"{text!r} is no time: {error}", param=param, hint="Write e.g. 2026-11-24T08:00:00Z."
        ) from error


def answer_of(entry: Entry) -> EntryAnswer:
    """An entry in the shape of the API."""
    fields = msgspec.structs.asdict(entry)
    return EntryAnswer(at=rfc3339(fields.pop("at_ns")), **fields)


handlers = [list_all]
