"""What is kept of a prompt."""

import msgspec

from assay.prompts.content import PromptContent


class PromptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One content of a prompt, for ever. `version` counts from 1 within the prompt; `hash` names the content."""

    project: str
    name: str
    version: int
    hash: str
    content: PromptContent
    inputs: tuple[str, ...]
    actor: str
    created_at_ns: int
    notes: str | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """A movable name for one version."""

    label: str
    version: int
    actor: str
    moved_at_ns: int


class PromptSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A line in the list of prompts."""

    name: str
    versions: int
    latest: int
    changed_at_ns: int
    labels: dict[str, int] = {}
