"""Which variant serves a call: what this room asks of the rooms above it."""

from typing import Protocol

import msgspec

from assay.snapshot import Snapshot


class Choice(msgspec.Struct, frozen=True):
    """The variant for one unit, and the release that says so."""

    variant: str
    release_id: str | None = None


class Chooser(Protocol):
    """Releases implement this; experiments will."""

    def choose(self, snapshot: Snapshot, project: str, task: str, environment: str, unit: str) -> Choice:
        """The same unit gets the same answer for as long as the release stands.

        Raises `NotFound` when nothing is released there.
        """
