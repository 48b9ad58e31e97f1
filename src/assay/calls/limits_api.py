"""`/api/limits`: what projects, keys, users and tags may ask for and spend, with how much of it is used."""

import asyncio

import msgspec
from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from assay.access.guards import requires
from assay.access.limits import (
    Budget,
    KeyLimits,
    allowance_of,
    change_limit,
    create_limit,
    get_limit,
    list_limits,
    remove_limit,
)
from assay.access.types import Limit, Per, Principal, Right
from assay.calls.limiter import Limiter, Reading, fullness
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records

MOST_METERS = 20
"""Meters shown with each limit of a list, the fullest first."""


class LimitChange(KeyLimits, forbid_unknown_fields=True, kw_only=True):
    """The body of `PUT /api/limits/{limit_id}`: all that is allowed from now on."""

    budget: Budget | None = None


class LimitRequest(LimitChange, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/limits`. `name` is the id of a key, a user or a tag; without it the limit holds for each."""

    per: Per
    name: str | None = None
    model: str | None = None


class MeterAnswer(msgspec.Struct, kw_only=True):
    """What counts just now for one name: of the last minute, at once, and dollars of the period. `used` is the fullest share."""

    name: str
    requests: int
    tokens: int
    concurrent: int
    spent_usd: float
    reserved_usd: float
    refused: int
    used: float


class LimitAnswer(msgspec.Struct, kw_only=True):
    """A limit as the API shows it."""

    id: str
    per: Per
    name: str | None
    model: str | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent: int | None
    budget: Budget | None
    created: str
    meters: list[MeterAnswer]


@get("/api/limits", guards=[requires(Right.READ)])
async def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    limiter: NamedDependency[Limiter],
) -> Page[LimitAnswer]:
    """The project's limits, oldest first, each with its fullest meters."""
    found = await asyncio.to_thread(limits_in, records, principal.project)
    return Page([answer_of(limit, limiter.readings(limit, most=MOST_METERS)) for limit in found])


@post("/api/limits", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def create(
    data: JSONBody[LimitRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> LimitAnswer:
    """Set a limit. It holds for the next call, and for calls that run not at all."""
    with records.write() as tx:
        made = create_limit(
            tx,
            principal.project,
            per=data.per,
            name=data.name,
            model=data.model,
            allowance=allowance_of(data, data.budget),
        )
    return answer_of(made, [])


@get("/api/limits/{limit_id:str}", guards=[requires(Right.READ)])
async def show(
    limit_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    limiter: NamedDependency[Limiter],
) -> LimitAnswer:
    """One limit with its hundred fullest meters."""
    limit = await asyncio.to_thread(limit_in, records, principal.project, limit_id)
    return answer_of(limit, limiter.readings(limit))


@put("/api/limits/{limit_id:str}", guards=[requires(Right.ADMINISTER)], sync_to_thread=True)
def change(
    limit_id: FromPath[str],
    data: JSONBody[LimitChange],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> LimitAnswer:
    """Allow more or less. What was spent in the period stays spent."""
    with records.write() as tx:
        return answer_of(change_limit(tx, principal.project, limit_id, allowance_of(data, data.budget)), [])


@delete(
    "/api/limits/{limit_id:str}", guards=[requires(Right.ADMINISTER)], status_code=200, sync_to_thread=True
)
def remove(
    limit_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> LimitAnswer:
    """Take a limit away."""
    with records.write() as tx:
        return answer_of(remove_limit(tx, principal.project, limit_id), [])


def limits_in(records: Records, project: str) -> list[Limit]:
    """For a thread; meters are read on the event loop that they live on."""
    with records.read() as tx:
        return list_limits(tx, project)


def limit_in(records: Records, project: str, limit_id: str) -> Limit:
    """One of them. Raises `NotFound`."""
    with records.read() as tx:
        return get_limit(tx, project, limit_id)


def answer_of(limit: Limit, readings: list[Reading]) -> LimitAnswer:
    """A limit and its meters in the shape of the API."""
    budget = None
    if limit.usd is not None and limit.period is not None:
        budget = Budget(usd=limit.usd, period=limit.period)
    return LimitAnswer(
        id=limit.id,
        per=limit.per,
        name=limit.name,
        model=limit.model,
        requests_per_minute=limit.requests_per_minute,
        tokens_per_minute=limit.tokens_per_minute,
        concurrent=limit.concurrent,
        budget=budget,
        created=rfc3339(limit.created_at_ns),
        meters=[
            MeterAnswer(
                name=reading.name,
                requests=reading.requests,
                tokens=reading.tokens,
                concurrent=reading.concurrent,
                spent_usd=float(reading.spent_usd),
                reserved_usd=float(reading.reserved_usd),
                refused=reading.refused,
                used=round(fullness(limit, reading), 4),
            )
            for reading in readings
        ],
    )


handlers = [list_all, create, show, change, remove]
