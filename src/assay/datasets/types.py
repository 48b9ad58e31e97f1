"""Cases, and what is kept of a dataset."""

from typing import Any

import msgspec

from assay.kit.hashing import value_hash


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One example. `input` is a text or an object of a task's inputs. `cluster` names cases that belong together (the
    same document, the same user) and so are no independent evidence. `provenance` says where the case came from."""

    id: str
    input: str | dict[str, Any]
    reference: Any = None
    metadata: dict[str, Any] = {}
    split: str | None = None
    cluster: str | None = None
    provenance: dict[str, Any] | None = None

    @property
    def inputs(self) -> dict[str, Any] | None:
        """The input as named values; None when it is one text."""
        return self.input if isinstance(self.input, dict) else None


def derived_id(input: object) -> str:
    """The id of a case that was given none: from its input alone, so a corrected reference keeps it."""
    return value_hash(input)[:16]


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One content of a dataset, for ever. `version` counts from 1; `hash` names the set of cases."""

    project: str
    name: str
    version: int
    hash: str
    cases: int
    splits: dict[str, int]
    actor: str
    created_at_ns: int
    notes: str | None = None


class DatasetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A line in the list of datasets: its newest version."""

    name: str
    version: int
    cases: int
    changed_at_ns: int


class DatasetDiff(msgspec.Struct, frozen=True):
    """Ids of cases that only one version has, or that the two say differently."""

    added: list[str]
    removed: list[str]
    changed: list[str]
