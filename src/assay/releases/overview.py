"""What the pages about tasks show: variants, what serves, what that did lately, the runs and the history."""

import msgspec
from sqlalchemy import Connection

from assay.errors import AssayError
from assay.evals import Run, list_runs
from assay.kit.clock import SYSTEM, Clock
from assay.releases import releasing
from assay.releases.types import Release
from assay.spans import SpanStore
from assay.spans.types import SpanFilter, Traffic
from assay.tasks import Task, get_task, list_tasks

LIVE_HOURS = 24
_HOUR_NS = 3_600_000_000_000
_RUNS = 10


class Serving(msgspec.Struct, frozen=True):
    """One variant in one environment: its share by the release, and what it did in the last `LIVE_HOURS`."""

    variant: str
    share: float
    traffic: Traffic
    live_share: float | None


class TaskLine(msgspec.Struct, frozen=True):
    """A line in the list of tasks: what serves it, by environment."""

    task: Task
    releases: list[Release]


class TaskOverview(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one environment. `is_live` is False when the span store could not be asked."""

    task: Task
    environment: str
    environments: list[str]
    current: Release | None
    serving: list[Serving]
    is_live: bool
    can_roll_back: bool
    history: list[Release]
    next: str | None
    runs: list[Run]


def list_lines(
    tx: Connection, project: str, *, cursor: str | None = None
) -> tuple[list[TaskLine], str | None]:
    """The tasks by name, and the cursor of the next page."""
    page = list_tasks(tx, project, cursor=cursor)
    current = releasing.list_current(tx, project)
    lines = [TaskLine(task, [each for each in current if each.task == task.name]) for task in page.items]
    return lines, page.next


def read_task(
    tx: Connection,
    spans: SpanStore,
    project: str,
    name: str,
    environment: str,
    *,
    cursor: str | None = None,
    clock: Clock = SYSTEM,
) -> TaskOverview:
    """Raises `NotFound`."""
    task = get_task(tx, project, name)
    current = releasing.list_current(tx, project, name)
    here = next((each for each in current if each.environment == environment), None)
    past = releasing.history(tx, project, name, environment, cursor=cursor)
    traffic = _live(spans, project, name, environment, clock)
    return TaskOverview(
        task=task,
        environment=environment,
        environments=sorted({environment, *(each.environment for each in current)}),
        current=here,
        serving=_serving(here, traffic or {}),
        is_live=traffic is not None,
        can_roll_back=releasing.can_roll_back(tx, project, name, environment),
        history=past.items,
        next=past.next,
        runs=list_runs(tx, project, task=name, limit=_RUNS).items,
    )


def _live(
    spans: SpanStore, project: str, task: str, environment: str, clock: Clock
) -> dict[str, Traffic] | None:
    now_ns = clock.now_ns()
    chosen = SpanFilter(
        project=project,
        task=task,
        environment=environment,
        from_ns=now_ns - LIVE_HOURS * _HOUR_NS,
        to_ns=now_ns,
    )
    try:
        groups = spans.traffic_by(chosen, "variant")
    except AssayError:  # the store is down: the page stands without it, and the banner says why
        return None
    return {group.value: group.traffic for group in groups if group.value is not None}


def _serving(release: Release | None, traffic: dict[str, Traffic]) -> list[Serving]:
    """The release's variants first, then those that still have traffic from before it."""
    shares = release.shares if release is not None else {}
    calls = sum(each.calls for each in traffic.values())
    names = [*shares, *sorted(traffic.keys() - shares.keys())]
    return [
        Serving(
            name,
            shares.get(name, 0.0),
            traffic.get(name, Traffic()),
            traffic[name].calls / calls if calls and name in traffic else (0.0 if calls else None),
        )
        for name in names
    ]
