"""`/tasks` and `/tasks/{name}`, with the forms that release and roll back.

The page of a task shows its variants, releases, live traffic and runs, so it stands in the highest room that knows them
all. The page of a comparison is drawn by `evals`; releasing its candidate is decided here.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from assay.access import ENVIRONMENT, Principal, Right
from assay.access.guards import requires
from assay.errors import AssayError, BadRequest
from assay.records import Records
from assay.releases import overview, releasing
from assay.releases.overview import TaskLine, TaskOverview
from assay.releases.promotion import promote
from assay.spans import SpanStore
from assay.ui import shell

HttpRequest = Request[Any, Any, Any]
_WEIGHT = "weight."


class TasksContext(msgspec.Struct, frozen=True):
    """What `releases/tasks.html` shows."""

    lines: list[TaskLine]
    next: str | None
    is_first: bool


class TaskContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `releases/task.html` shows. `weights` is the release form as it was filled in."""

    overview: TaskOverview
    weights: dict[str, str]
    may_edit: bool
    is_first: bool
    example: str
    problem: AssayError | None


@get("/tasks", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_tasks(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Every task and what serves it."""
    with records.read() as tx:
        lines, following = overview.list_lines(tx, principal.project, cursor=cursor)
    return shell.page(
        request, "releases/tasks.html", TasksContext(lines, following, cursor is None), title="Tasks"
    )


@get("/tasks/{name:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_task(
    request: HttpRequest,
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    span_store: NamedDependency[SpanStore],
    environment: FromQuery[str] = ENVIRONMENT,
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """One task: variants, what serves, what it did lately, runs, history."""
    return _task_page(request, principal, records, span_store, name, environment, cursor=cursor)


@post("/tasks/{name:str}/releases/{environment:str}", guards=[requires(Right.EDIT)], include_in_schema=False)
async def set_release(
    request: HttpRequest,
    name: FromPath[str],
    environment: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    span_store: NamedDependency[SpanStore],
) -> Response[Any]:
    """The form that releases weighted variants; an empty weight or zero leaves a variant out."""
    form = await request.form()
    filled = {key.removeprefix(_WEIGHT): str(form[key]) for key in form if key.startswith(_WEIGHT)}
    note = str(form.get("note") or "") or None

    def keep() -> Response[Any]:
        try:
            with records.write() as tx:
                releasing.release(
                    tx,
                    principal.project,
                    name,
                    environment,
                    _weights(filled),
                    actor=principal.name,
                    grounds=releasing.Grounds(note=note),
                )
        except AssayError as problem:
            return _task_page(
                request, principal, records, span_store, name, environment, weights=filled, problem=problem
            )
        return _back(name, environment)

    return await asyncio.to_thread(keep)


@post(
    "/tasks/{name:str}/releases/{environment:str}/rollback",
    guards=[requires(Right.EDIT)],
    include_in_schema=False,
)
async def roll_back(
    request: HttpRequest,
    name: FromPath[str],
    environment: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    span_store: NamedDependency[SpanStore],
) -> Response[Any]:
    """The button that serves again what served before."""
    form = await request.form()
    note = str(form.get("note") or "") or None

    def keep() -> Response[Any]:
        try:
            with records.write() as tx:
                releasing.rollback(tx, principal.project, name, environment, actor=principal.name, note=note)
        except AssayError as problem:
            return _task_page(request, principal, records, span_store, name, environment, problem=problem)
        return _back(name, environment)

    return await asyncio.to_thread(keep)


@post("/comparisons/{comparison_id:str}/promote", guards=[requires(Right.EDIT)], include_in_schema=False)
async def promote_candidate(
    request: Request[Any, Any, Any],
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Redirect:
    """The form of a comparison: release its candidate, then show the task that it serves."""
    form = await request.form()

    def keep() -> str:
        with records.write() as tx:
            made = promote(
                tx,
                principal.project,
                comparison_id,
                environment=str(form.get("environment") or ENVIRONMENT),
                actor=principal.name,
                note=str(form.get("note") or "") or None,
                force=form.get("force") == "on",
            )
        return made.task

    task = await asyncio.to_thread(keep)
    return Redirect(shell.url(f"/tasks/{task}"), status_code=303)


def _task_page(
    request: HttpRequest,
    principal: Principal,
    records: Records,
    span_store: SpanStore,
    name: str,
    environment: str,
    *,
    cursor: str | None = None,
    weights: Mapping[str, str] | None = None,
    problem: AssayError | None = None,
) -> Response[str]:
    with records.read() as tx:
        found = overview.read_task(tx, span_store, principal.project, name, environment, cursor=cursor)
    current = found.current.variants if found.current is not None else {}
    context = TaskContext(
        overview=found,
        weights=dict(weights)
        if weights is not None
        else {each: f"{weight:g}" for each, weight in current.items()},
        may_edit=principal.may(Right.EDIT),
        is_first=cursor is None,
        example=_example(str(request.base_url), found),
        problem=problem,
    )
    return shell.page(
        request, "releases/task.html", context, title=name, status=problem.status if problem else 200
    )


def _weights(filled: Mapping[str, str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for name, written in filled.items():
        try:
            weight = float(written.strip() or "0")
        except ValueError as error:
            raise BadRequest(
                f"The weight of {name!r} is {written!r}: it must be a number", param=name
            ) from error
        if weight != 0:
            weights[name] = weight
    return weights


def _example(base_url: str, found: TaskOverview) -> str:
    """A call that can be pasted into a shell."""
    inputs = found.task.inputs
    said = "{" + ", ".join(f'"{name}": "…"' for name in inputs) + "}"
    return (
        f"curl {base_url.rstrip('/')}/api/tasks/{found.task.name}/calls \\\n"
        f"  -H 'authorization: Bearer KEY' -H 'content-type: application/json' \\\n"
        f"  -d '{{\"inputs\": {said}}}'"
    )


def _back(name: str, environment: str) -> Redirect:
    chosen = None if environment == ENVIRONMENT else environment
    return Redirect(shell.url(f"/tasks/{name}", environment=chosen), status_code=303)


handlers = [show_tasks, show_task, set_release, roll_back, promote_candidate]
