"""Tasks and variants as they are kept."""

from typing import Any

import msgspec

from assay.catalog.caching import CachePolicy
from assay.catalog.guards import GuardRule
from assay.kit.hashing import value_hash
from assay.prompts import PromptContent


class PromptReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kept version of a prompt."""

    name: str
    version: int


class VariantSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a variant is. `content` is the prompt's content itself: a variant depends on nothing that may move.

    `parameters` are fields of OpenAI's request format, e.g. `{"temperature": 0, "max_tokens": 20}`; `output` is the JSON Schema
    that every answer fits.
    """

    model: str
    content: PromptContent
    prompt: PromptReference | None = None
    parameters: dict[str, Any] = {}
    output: dict[str, Any] | None = None

    @property
    def hash(self) -> str:
        """The name of this way to do the task. Which prompt it came from does not matter, only what it says."""
        said = {"model": self.model, "content": self.content, "parameters": self.parameters}
        return value_hash(said if self.output is None else {**said, "output": self.output})


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One way to do a task, for ever."""

    project: str
    task: str
    name: str
    hash: str
    spec: VariantSpec
    inputs: tuple[str, ...]
    actor: str
    created_at_ns: int


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A job with a name. `allow_system` lets a client send a system message of its own along; `guards` look at every call of
    it, whichever variant answers; `cache` says how long its answers are told again."""

    project: str
    name: str
    allow_system: bool
    created_at_ns: int
    guards: tuple[GuardRule, ...] = ()
    cache: CachePolicy | None = None
    variants: tuple[Variant, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every input that some variant takes, in order of first use."""
        return tuple(dict.fromkeys(name for variant in self.variants for name in variant.inputs))
