"""Limits and budgets: what a project, a key, a user or a tag may ask for in a minute, at once, and for how much money.

Here they are made and found; `assay.calls` keeps them. Every limit that applies to a call must allow it.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from assay.access import limits_store, store
from assay.access.types import Allowance, Limit, Per, Period
from assay.errors import BadRequest, Conflict
from assay.kit.clock import SYSTEM, Clock
from assay.kit.ids import uuid7
from assay.records import touch
from assay.snapshot import Part

MOST = 10**12
MOST_USD = Decimal(10) ** 12
_COUNTS = ("requests_per_minute", "tokens_per_minute", "concurrent")
_NAME_LENGTH = 256


class Budget(msgspec.Struct, forbid_unknown_fields=True):
    """Dollars for a time: the UTC day or month, or `total` from now on."""

    usd: Decimal
    period: Period


class KeyLimits(msgspec.Struct, forbid_unknown_fields=True):
    """What a key may ask for."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


class Applied(NamedTuple):
    """A limit and of whom it counts a call."""

    limit: Limit
    name: str


class ProjectLimits:
    """The limits of one project, by what they count."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.all = tuple(limits)
        self._named: dict[tuple[Per, str, str | None], Limit] = {}
        self._each: dict[Per, list[Limit]] = {}
        for limit in self.all:
            if limit.name is not None:
                self._named[limit.per, limit.name, limit.model] = limit
            else:
                self._each.setdefault(limit.per, []).append(limit)
        self._models = {None, *(limit.model for limit in self.all)}

    def of(
        self, *, key_id: str | None, user: str | None, tags: Iterable[str], model: str
    ) -> Iterator[Applied]:
        """Those that count such a call."""
        whose = [(Per.PROJECT, ""), (Per.KEY, key_id), (Per.USER, user), *((Per.TAG, tag) for tag in tags)]
        for per, name in whose:
            if name is None:
                continue
            for of_model in (None, model):
                if of_model in self._models and (named := self._named.get((per, name, of_model))):
                    yield Applied(named, name)
            for limit in self._each.get(per, ()):
                if limit.model in (None, model) and (per, name, limit.model) not in self._named:
                    yield Applied(limit, name)


class Limits:
    """The limits of every project."""

    def __init__(self, limits: Iterable[Limit]) -> None:
        by_project: dict[str, list[Limit]] = {}
        for limit in limits:
            by_project.setdefault(limit.project, []).append(limit)
        self._of = {project: ProjectLimits(those) for project, those in by_project.items()}

    def of(self, project: str) -> ProjectLimits | None:
        """Those of a project, None if it has none."""
        return self._of.get(project)

    def budgets(self) -> Iterator[Limit]:
        """Every limit of money."""
        return (limit for those in self._of.values() for limit in those.all if limit.usd is not None)


LIMITS: Part[Limits] = Part("limits", lambda tx: Limits(limits_store.limits_of(tx)))
"""Every limit."""


def allowance_of(limits: KeyLimits, budget: Budget | None) -> Allowance:
    """What is allowed, as the rooms know it."""
    return Allowance(
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        concurrent=limits.concurrent,
        usd=None if budget is None else budget.usd,
        period=None if budget is None else budget.period,
    )


def create_limit(
    tx: Connection,
    project: str,
    *,
    per: Per,
    allowance: Allowance,
    name: str | None = None,
    model: str | None = None,
    clock: Clock = SYSTEM,
) -> Limit:
    """Make a limit. Raises `BadRequest` for what cannot be one, `Conflict` where there is one of the same name and model."""
    _check_name(tx, project, per, name)
    for other in limits_store.limits_of(tx, project):
        if (other.per, other.name, other.model) == (per, name, model):
            raise Conflict(
                "There is a limit for the same calls already",
                hint=f"Change it: PUT /api/limits/{other.id}, or `assay limits change {other.id}`.",
            )
    made = Limit(
        project=project,
        id=uuid7(),
        per=per,
        name=name,
        model=model,
        created_at_ns=clock.now_ns(),
        **_checked(allowance),
    )
    limits_store.add_limit(tx, made)
    touch(tx, LIMITS.name)
    return made


def change_limit(tx: Connection, project: str, limit_id: str, allowance: Allowance) -> Limit:
    """Allow more or less, from now on. What was spent in the period stays spent. Raises `NotFound`."""
    limit = limits_store.get_limit(tx, project, limit_id)
    values = _checked(allowance)
    if limit.usd is not None and values["usd"] is not None and values["period"] != limit.period:
        raise BadRequest(
            f"The period of this budget is {limit.period!r} and stays so",
            param="period",
            hint="Remove the limit and make another one.",
        )
    changed = msgspec.structs.replace(limit, **values)
    limits_store.change_limit(tx, changed)
    touch(tx, LIMITS.name)
    return changed


def remove_limit(tx: Connection, project: str, limit_id: str) -> Limit:
    """Take a limit away. Raises `NotFound`."""
    limit = limits_store.get_limit(tx, project, limit_id)
    limits_store.remove_limit(tx, project, limit_id)
    touch(tx, LIMITS.name)
    return limit


def get_limit(tx: Connection, project: str, limit_id: str) -> Limit:
    """One limit. Raises `NotFound`."""
    return limits_store.get_limit(tx, project, limit_id)


def list_limits(tx: Connection, project: str) -> list[Limit]:
    """The project's limits, oldest first."""
    return limits_store.limits_of(tx, project)


def _check_name(tx: Connection, project: str, per: Per, name: str | None) -> None:
    if per is Per.PROJECT and name is not None:
        raise BadRequest("A limit of the project has no name", param="name", hint="Leave `name` out.")
    if name is not None and not 1 <= len(name) <= _NAME_LENGTH:
        raise BadRequest(f"A name has 1 to {_NAME_LENGTH} characters", param="name")
    if per is Per.KEY and name is not None:
        store.get_key(tx, project, name)


def _checked(allowance: Allowance) -> dict[str, Any]:
    """Its fields. Raises `BadRequest` naming one that cannot be."""
    values = {name: getattr(allowance, name) for name in Allowance.__struct_fields__}
    for name in _COUNTS:
        if values[name] is not None and not 1 <= values[name] <= MOST:
            raise BadRequest(
                f"{name} is {values[name]}", param=name, hint="It is 1 or more; leave it out for no limit."
            )
    usd = allowance.usd
    if usd is not None and not (usd.is_finite() and 0 <= usd <= MOST_USD):
        raise BadRequest(f"usd is {usd}", param="usd", hint="It is an amount of dollars, 0 or more.")
    if usd is None and allowance.period is not None:
        raise BadRequest("A period needs an amount", param="usd", hint="Give usd, too.")
    if usd is not None and allowance.period is None:
        raise BadRequest("A budget needs a period", param="period", hint="It is day, month or total.")
    if all(value is None for value in values.values()):
        raise BadRequest(
            "A limit must limit something",
            hint="Give requests_per_minute, tokens_per_minute, concurrent, or usd with a period.",
        )
    return values
