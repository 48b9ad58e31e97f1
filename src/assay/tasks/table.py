"""Tasks on the hot path: every template compiled once per change, not once per call."""

from typing import NamedTuple

import msgspec
from msgspec import Raw
from sqlalchemy import Connection

from assay.calls.guards import make_guards
from assay.calls.types import Guard
from assay.prompts import CompiledPrompt, compile_prompt
from assay.snapshot import Part
from assay.tasks import store
from assay.tasks.definitions import PART
from assay.tasks.types import Task, Variant
from assay.wire.requests import Fields

_encode = msgspec.json.Encoder().encode


class CompiledVariant(NamedTuple):
    """A variant ready to be rendered; `fields` are its parameters as raw JSON."""

    variant: Variant
    prompt: CompiledPrompt
    fields: Fields


class CompiledTask(NamedTuple):
    """A task with its variants by name, and its guards ready to look."""

    task: Task
    variants: dict[str, CompiledVariant]
    guards: tuple[Guard, ...] = ()


Table = dict[tuple[str, str], CompiledTask]


def compile_variant(variant: Variant) -> CompiledVariant:
    """Ready for calls."""
    fields = {name: Raw(_encode(value)) for name, value in variant.spec.parameters.items()}
    if variant.spec.output is not None:
        named = {"name": "answer", "schema": variant.spec.output}
        fields["response_format"] = Raw(_encode({"type": "json_schema", "json_schema": named}))
    return CompiledVariant(variant, compile_prompt(variant.spec.content), fields)


def _load(tx: Connection) -> Table:
    return {
        (task.project, task.name): CompiledTask(
            task, {each.name: compile_variant(each) for each in task.variants}, make_guards(task.guards)
        )
        for task in store.list_tasks(tx)
    }


TASKS: Part[Table] = Part(PART, _load)
"""(project, name) → task."""
