"""`/settings/limits`: limits and budgets, how full they are, and what was spent under each over time."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.keys import list_keys
from assay.access.limits import change_limit, create_limit, get_limit, list_limits, remove_limit
from assay.access.types import Allowance, Limit, Per, Period, Principal, Right
from assay.calls.limiter import Limiter, Reading, fullness
from assay.charts.scales import Unit
from assay.charts.series import time_bars
from assay.charts.svg import Svg
from assay.errors import AssayError, BadRequest
from assay.kit import money
from assay.kit.clock import SYSTEM
from assay.records import Records
from assay.spans import SpanStore
from assay.spans.types import SpanFilter
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]

DAYS = 30
_DAY_NS = 86_400_000_000_000


class LimitForm(msgspec.Struct):
    """What the forms for a limit send; an empty field is no limit."""

    per: Per = Per.KEY
    name: str = ""
    model: str = ""
    requests_per_minute: str = ""
    tokens_per_minute: str = ""
    concurrent: str = ""
    usd: str = ""
    period: str = "month"
    csrf_token: str = ""


class Line(msgspec.Struct):
    """A limit in the list. `whose` is the name of its key, the user or the tag; `fullest` its fullest meter."""

    limit: Limit
    whose: str | None
    fullest: Reading | None
    used: float


class MeterLine(msgspec.Struct):
    """A meter of one limit."""

    whose: str
    reading: Reading
    used: float


class LimitsContext(msgspec.Struct):
    """What `calls/limits.html` shows."""

    lines: list[Line]
    keys: list[tuple[str, str]]
    models: list[str]
    form: LimitForm
    may_change: bool
    problem: AssayError | None


class LimitContext(msgspec.Struct):
    """What `calls/limit.html` shows."""

    line: Line
    meters: list[MeterLine]
    picture: Svg
    form: LimitForm
    may_change: bool
    problem: AssayError | None


@get("/settings/limits", guards=[requires(Right.READ)], include_in_schema=False)
async def show_limits(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    limiter: NamedDependency[Limiter],
    per: FromQuery[Per] = Per.KEY,
    name: FromQuery[str] = "",
) -> Response[str]:
    """Every limit with how full it is, and the form for another one."""
    return await _list_page(request, principal, records, limiter, LimitForm(per=per, name=name))


@post("/settings/limits", guards=[requires(Right.ADMINISTER)], include_in_schema=False, status_code=303)
async def make_limit(
    request: HttpRequest,
    data: URLEncodedBody[LimitForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    """Set a limit."""

    def make() -> None:
        with records.write() as tx:
            create_limit(
                tx,
                principal.project,
                per=data.per,
                name=data.name.strip() or None,
                model=data.model.strip() or None,
                allowance=allowance_of(data),
            )

    try:
        await asyncio.to_thread(make)
    except AssayError as problem:
        return await _list_page(request, principal, records, limiter, data, problem)
    return Redirect("/settings/limits", status_code=303)


@get("/settings/limits/{limit_id:str}", guards=[requires(Right.READ)], include_in_schema=False)
async def show_limit(
    request: HttpRequest,
    limit_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    limiter: NamedDependency[Limiter],
    span_store: NamedDependency[SpanStore],
) -> Response[str]:
    """One limit: its meters, what its calls cost in the last thirty days, and the form that changes it."""
    return await _Shown(request, principal, records, limiter, span_store).page(limit_id)


@post(
    "/settings/limits/{limit_id:str}",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
)
async def alter_limit(
    request: HttpRequest,
    limit_id: FromPath[str],
    data: URLEncodedBody[LimitForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    limiter: NamedDependency[Limiter],
    span_store: NamedDependency[SpanStore],
) -> Response[Any]:
    """Allow more or less."""

    def alter() -> None:
        with records.write() as tx:
            change_limit(tx, principal.project, limit_id, allowance_of(data))

    try:
        await asyncio.to_thread(alter)
    except BadRequest as problem:
        shown = _Shown(request, principal, records, limiter, span_store)
        return await shown.page(limit_id, data, problem)
    return Redirect(f"/settings/limits/{limit_id}", status_code=303)


@post(
    "/settings/limits/{limit_id:str}/remove",
    guards=[requires(Right.ADMINISTER)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def take_away(
    limit_id: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> Redirect:
    """Take a limit away and go back to the list."""
    with records.write() as tx:
        remove_limit(tx, principal.project, limit_id)
    return Redirect("/settings/limits", status_code=303)


def allowance_of(form: LimitForm) -> Allowance:
    """What a form allows. Raises `BadRequest` naming the field that is no number."""

    def read(name: str) -> Any:
        text = getattr(form, name).strip().replace(",", "")
        try:
            return None if not text else money.usd(text) if name == "usd" else int(text)
        except (ValueError, ArithmeticError) as error:
            raise BadRequest(f"{text!r} is no number", param=name, hint="Write digits.") from error

    usd = read("usd")
    return Allowance(
        requests_per_minute=read("requests_per_minute"),
        tokens_per_minute=read("tokens_per_minute"),
        concurrent=read("concurrent"),
        usd=usd,
        period=None if usd is None else Period(form.period),
    )


async def _list_page(
    request: HttpRequest,
    principal: Principal,
    records: Records,
    limiter: Limiter,
    form: LimitForm,
    problem: AssayError | None = None,
) -> Response[str]:
    def read() -> tuple[list[Limit], dict[str, str]]:
        with records.read() as tx:
            return list_limits(tx, principal.project), _key_names(tx, principal.project)

    found, names = await asyncio.to_thread(read)
    context = LimitsContext(
        lines=[_line(limiter, limit, names) for limit in found],
        keys=list(names.items()),
        models=sorted(limiter.models),
        form=form,
        may_change=principal.may(Right.ADMINISTER),
        problem=problem,
    )
    status = problem.status if problem else 200
    return shell.page(request, "calls/limits.html", context, title=later("Limits"), status=status)


class _Shown:
    """The page of one limit."""

    def __init__(
        self,
        request: HttpRequest,
        principal: Principal,
        records: Records,
        limiter: Limiter,
        span_store: SpanStore,
    ) -> None:
        self._request = request
        self._principal = principal
        self._records = records
        self._limiter = limiter
        self._span_store = span_store

    async def page(
        self, limit_id: str, form: LimitForm | None = None, problem: AssayError | None = None
    ) -> Response[str]:
        limit, names, picture = await asyncio.to_thread(self._read, limit_id)
        readings = self._limiter.readings(limit)
        context = LimitContext(
            line=_line(self._limiter, limit, names),
            meters=[MeterLine(names.get(one.name, one.name), one, fullness(limit, one)) for one in readings],
            picture=picture,
            form=form or _form_of(limit),
            may_change=self._principal.may(Right.ADMINISTER),
            problem=problem,
        )
        status = problem.status if problem else 200
        return shell.page(self._request, "calls/limit.html", context, title=later("Limit"), status=status)

    def _read(self, limit_id: str) -> tuple[Limit, dict[str, str], Svg]:
        with self._records.read() as tx:
            limit = get_limit(tx, self._principal.project, limit_id)
            names = _key_names(tx, self._principal.project)
        return limit, names, _spent_by_day(self._span_store, limit)


def _spent_by_day(store: SpanStore, limit: Limit) -> Svg:
    today = SYSTEM.now_ns() // _DAY_NS
    days = range(today - DAYS + 1, today + 1)
    filter = SpanFilter(
        project=limit.project,
        from_ns=days[0] * _DAY_NS,
        to_ns=(today + 1) * _DAY_NS,
        model=limit.model,
        key_id=limit.name if limit.per is Per.KEY else None,
        user_id=limit.name if limit.per is Per.USER else None,
        tag=limit.name if limit.per is Per.TAG else None,
    )
    found = {
        one.start_ns // _DAY_NS: one.traffic for one in store.traffic_over_time(filter, bucket_ns=_DAY_NS)
    }
    costs = [float(found[day].cost_usd) if day in found else 0.0 for day in days]
    return time_bars(
        [day * _DAY_NS for day in days], costs, step_ns=_DAY_NS, title="Spent", unit=Unit.USD, series=3
    )


def _line(limiter: Limiter, limit: Limit, names: dict[str, str]) -> Line:
    readings = limiter.readings(limit, most=1)
    fullest = readings[0] if readings else None
    return Line(
        limit=limit,
        whose=None if limit.name is None else names.get(limit.name, limit.name),
        fullest=fullest,
        used=0.0 if fullest is None else fullness(limit, fullest),
    )


def _form_of(limit: Limit) -> LimitForm:
    def shown(value: object) -> str:
        return "" if value is None else str(value)

    return LimitForm(
        per=limit.per,
        requests_per_minute=shown(limit.requests_per_minute),
        tokens_per_minute=shown(limit.tokens_per_minute),
        concurrent=shown(limit.concurrent),
        usd="" if limit.usd is None else money.text(limit.usd),
        period=limit.period or "month",
    )


def _key_names(tx: Any, project: str) -> dict[str, str]:
    return {key.id: key.name for key in list_keys(tx, project, limit=1000).items if key.revoked_at_ns is None}


handlers = [show_limits, make_limit, show_limit, alter_limit, take_away]
