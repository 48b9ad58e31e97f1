"""`/api/tasks/{name}/releases`, and the release of a comparison's candidate."""

from typing import Any

import msgspec
from litestar import get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assay.access import ENVIRONMENT, Principal, Right
from assay.access.guards import requires
from assay.errors import BadRequest
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.records import Records
from assay.releases import releasing
from assay.releases.promotion import promote
from assay.releases.types import Release
from assay.tasks import get_task


class ReleaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/tasks/{name}/releases/{environment}`. Weights are relative."""

    variants: dict[str, float]
    shadows: list[Any] = []
    note: str | None = None


class RollbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a rollback; it may be left out."""

    note: str | None = None


class PromotionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a promotion; it may be left out. `force` releases against the verdicts and needs a `note`."""

    environment: str = ENVIRONMENT
    note: str | None = None
    force: bool = False


class ReleaseAnswer(msgspec.Struct, kw_only=True):
    """A release as the API shows it."""

    id: str
    task: str
    environment: str
    variants: dict[str, float]
    shares: dict[str, float]
    actor: str
    at: str
    note: str | None
    comparison_id: str | None
    restores: str | None


@get("/api/tasks/{name:str}/releases", guards=[requires(Right.READ)], sync_to_thread=True)
def list_serving(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> dict[str, list[ReleaseAnswer]]:
    """What serves the task now, in each environment."""
    with records.read() as tx:
        get_task(tx, principal.project, name)
        return {"items": [answer_of(each) for each in releasing.list_current(tx, principal.project, name)]}


@get("/api/tasks/{name:str}/releases/{environment:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def list_history(
    name: FromPath[str],
    environment: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Page[ReleaseAnswer]:
    """Every release of the task in the environment, newest first; the first one serves."""
    with records.read() as tx:
        get_task(tx, principal.project, name)
        page = releasing.history(tx, principal.project, name, environment, cursor=cursor)
    return Page([answer_of(each) for each in page.items], page.next)


@put("/api/tasks/{name:str}/releases/{environment:str}", guards=[requires(Right.EDIT)], sync_to_thread=True)
def set_release(
    name: FromPath[str],
    environment: FromPath[str],
    data: JSONBody[ReleaseRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> ReleaseAnswer:
    """Release weighted variants. They serve from the moment of this answer."""
    if data.shadows:
        raise BadRequest(
            "This release of Assay runs no shadows yet", param="shadows", hint="Leave 'shadows' out."
        )
    with records.write() as tx:
        made = releasing.release(
            tx,
            principal.project,
            name,
            environment,
            data.variants,
            actor=principal.name,
            grounds=releasing.Grounds(note=data.note),
        )
    return answer_of(made)


@post(
    "/api/tasks/{name:str}/releases/{environment:str}/rollback",
    guards=[requires(Right.EDIT)],
    status_code=200,
    sync_to_thread=True,
)
def roll_back(
    name: FromPath[str],
    environment: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    data: JSONBody[RollbackRequest | None] = None,
) -> ReleaseAnswer:
    """Serve what served before."""
    with records.write() as tx:
        made = releasing.rollback(
            tx, principal.project, name, environment, actor=principal.name, note=data.note if data else None
        )
    return answer_of(made)


@post(
    "/api/comparisons/{comparison_id:str}/promote",
    guards=[requires(Right.EDIT)],
    status_code=200,
    sync_to_thread=True,
)
def promote_candidate(
    comparison_id: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    data: JSONBody[PromotionRequest | None] = None,
) -> ReleaseAnswer:
    """Release a comparison's candidate if its verdicts speak for it; a 409 says why they do not."""
    asked = data or PromotionRequest()
    with records.write() as tx:
        made = promote(
            tx,
            principal.project,
            comparison_id,
            environment=asked.environment,
            actor=principal.name,
            note=asked.note,
            force=asked.force,
        )
    return answer_of(made)


def answer_of(release: Release) -> ReleaseAnswer:
    """A kept release in the shape of the API."""
    return ReleaseAnswer(
        id=release.id,
        task=release.task,
        environment=release.environment,
        variants=release.variants,
        shares=release.shares,
        actor=release.actor,
        at=rfc3339(release.at_ns),
        note=release.note,
        comparison_id=release.comparison_id,
        restores=release.restores,
    )


handlers = [list_serving, list_history, set_release, roll_back, promote_candidate]
