"""The release on the hot path: a weighted choice that a unit keeps."""

from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import Connection

from assay.errors import NotFound
from assay.releases import store
from assay.releases.releasing import PART
from assay.snapshot import Part, Snapshot
from assay.tasks import Choice


class Serving(NamedTuple):
    """A release with its weights added up: `bounds[i]` is the end of the part of [0, 1) that variant i serves."""

    release_id: str
    choices: tuple[Choice, ...]
    bounds: tuple[float, ...]


Table = dict[tuple[str, str, str], Serving]


def _load(tx: Connection) -> Table:
    table: Table = {}
    for each in store.newest(tx):
        choices = tuple(Choice(name, each.id) for name in each.variants)
        bounds = tuple(accumulate(each.shares.values()))
        table[each.project, each.task, each.environment] = Serving(each.id, choices, bounds)
    return table


RELEASES: Part[Table] = Part(PART, _load)
"""(project, task, environment) → what serves."""


class ReleaseChooser:
    """See `tasks.Chooser`."""

    def choose(self, snapshot: Snapshot, project: str, task: str, environment: str, unit: str) -> Choice:
        """Where the unit's hash falls among the weights."""
        serving = snapshot[RELEASES].get((project, task, environment))
        if serving is None:
            raise NotFound(
                f"Nothing is released for the task {task!r} in {environment!r}",
                param="model",
                hint=f"`assay releases set {task} VARIANT` releases one.",
            )
        if len(serving.choices) == 1:
            return serving.choices[0]
        point = place(f"{task}/{environment}", unit)
        for choice, bound in zip(serving.choices, serving.bounds, strict=True):
            if point < bound:
                return choice
        return serving.choices[-1]


def place(salt: str, unit: str) -> float:
    """A unit's place in [0, 1): uniform over units, the same for ever, independent between tasks.

    Salted by the task and not by the release: when a canary grows from 5 % to 20 %, the units of the 5 % stay in it.
    """
    digest = blake2b(unit.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest) / 2**64
