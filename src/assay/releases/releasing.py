"""Making releases and going back."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from assay import decisions
from assay.access import ENVIRONMENT
from assay.decisions import Evidence, Kind
from assay.errors import BadRequest, Conflict, NotFound
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.kit.names import check_name
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.records import touch
from assay.releases import store
from assay.releases.types import Release
from assay.tasks import get_task
from assay.wire.verdicts import Verdict

PART = "releases"
LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
LONGEST_NOTE = 10_000
_FURTHEST_BACK = 1000
"""How many releases a rollback looks through."""


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a release rests on: a comparison whose verdicts speak for it, or a person's note."""

    verdicts: Sequence[Verdict] = ()
    comparison_id: str | None = None
    run_ids: tuple[str, ...] = ()
    note: str | None = None


def release(
    tx: Connection,
    project: str,
    task: str,
    environment: str,
    variants: Mapping[str, float],
    *,
    actor: str,
    grounds: Grounds = Grounds(),  # noqa: B008 - frozen
    clock: Clock = SYSTEM,
) -> Release:
    """Serve these variants from now on, and keep the decision. Raises `BadRequest`, `NotFound`.

    With the verdicts of a comparison it is a promotion, without it is a release.
    """
    check_name(environment, param="environment")
    made = Release(
        project=project,
        id=uuid7(),
        task=task,
        environment=environment,
        variants=_checked(tx, project, task, variants),
        actor=actor,
        at_ns=clock.now_ns(),
        note=grounds.note,
        comparison_id=grounds.comparison_id,
    )
    _keep(tx, made, Kind.PROMOTED if grounds.verdicts else Kind.RELEASED, grounds)
    return made


def rollback(
    tx: Connection,
    project: str,
    task: str,
    environment: str,
    *,
    actor: str,
    note: str | None = None,
    clock: Clock = SYSTEM,
) -> Release:
    """Serve again what served before the current release. Going back twice goes back two steps, not to and fro.

    Raises `Conflict` when there is nothing to go back to.
    """
    get_task(tx, project, task)
    target = _target(tx, project, task, environment)
    if target is None:
        raise Conflict(
            f"Nothing was released for {task!r} in {environment!r} before this",
            hint="Release another variant instead.",
        )
    made = msgspec.structs.replace(
        target,
        id=uuid7(),
        actor=actor,
        at_ns=clock.now_ns(),
        note=note,
        restores=target.id,
        comparison_id=None,
    )
    _keep(tx, made, Kind.ROLLED_BACK, Grounds(note=note))
    return made


def can_roll_back(tx: Connection, project: str, task: str, environment: str) -> bool:
    """Whether there is a release to go back to."""
    return _target(tx, project, task, environment) is not None


def current(tx: Connection, project: str, task: str, environment: str = ENVIRONMENT) -> Release | None:
    """What serves now; None when nothing was released there."""
    found = store.history(tx, project, task, environment, limit=1)
    return found[0] if found else None


def list_current(tx: Connection, project: str, task: str | None = None) -> list[Release]:
    """What serves now, for each task and environment."""
    return store.newest(tx, project, task)


def history(
    tx: Connection, project: str, task: str, environment: str, *, cursor: str | None = None, limit: int = 50
) -> Page[Release]:
    """Every release there was, newest first."""
    before = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.history(tx, project, task, environment, before=before, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].id) if len(found) > limit else None)


def apply_releases(tx: Connection, project: str, tables: Mapping[str, Any]) -> None:
    """Release what `[tasks.…] release = {…}` of the configuration says, unless it said the same the last time: a rollback
    in the meantime stands until the file itself changes."""
    for task, table in tables.items():
        written = table.get("release")
        if written is None:
            continue
        try:
            variants = msgspec.convert(written, dict[str, float])
        except msgspec.ValidationError as error:
            raise BadRequest(f"tasks.{task}.release: {error}", param=f"tasks.{task}.release") from error
        if store.file_release(tx, project, task) == variants:
            continue
        serving = current(tx, project, task)
        if serving is None or serving.variants != variants:
            grounds = Grounds(note="assay.toml")
            release(tx, project, task, ENVIRONMENT, variants, actor="assay.toml", grounds=grounds)
        store.set_file_release(tx, project, task, variants)


def _checked(tx: Connection, project: str, task: str, variants: Mapping[str, float]) -> dict[str, float]:
    known = {variant.name for variant in get_task(tx, project, task).variants}
    if not variants:
        raise BadRequest(
            "A release needs a variant", param="variants", hint='Send {"variants": {"v1": 1.0}}.'
        )
    for name, weight in variants.items():
        if name not in known:
            raise NotFound(
                f"The task {task!r} has no variant {name!r}",
                param=f"variants.{name}",
                hint=f"Its variants: {', '.join(sorted(known)) or 'none yet'}.",
            )
        if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
            raise BadRequest(
                f"The weight of {name!r} is {weight!r}: it must be above zero, from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}",
                param=f"variants.{name}",
                hint="Leave a variant out that should not serve.",
            )
    return dict(sorted(variants.items()))  # a fixed order, so that a growing canary only takes units over


def _target(tx: Connection, project: str, task: str, environment: str) -> Release | None:
    past = store.history(tx, project, task, environment, limit=_FURTHEST_BACK)
    return _before({each.id: each for each in past})


def _before(past: Mapping[str, Release]) -> Release | None:
    """What a rollback of the newest release brings back. `past` is newest first."""
    ordered = list(past.values())
    if not ordered:
        return None
    serving = ordered[0]
    while serving.restores is not None and serving.restores in past:
        serving = past[serving.restores]
    at = next(place for place, each in enumerate(ordered) if each.id == serving.id)
    return next((each for each in ordered[at + 1 :] if each.restores is None), None)


def _keep(tx: Connection, made: Release, kind: Kind, grounds: Grounds) -> None:
    if grounds.note is not None and len(grounds.note) > LONGEST_NOTE:
        raise BadRequest(f"The note is longer than {LONGEST_NOTE} characters", param="note")
    store.add(tx, made)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in made.shares.items())
    decisions.record(
        tx,
        made.project,
        kind,
        f"{made.task}/{made.environment}",
        actor=made.actor,
        verdicts=grounds.verdicts,
        evidence=Evidence(run_ids=grounds.run_ids, comparison_id=grounds.comparison_id),
        note=f"{shares}. {grounds.note}" if grounds.note else shares,
    )
    touch(tx, PART)
