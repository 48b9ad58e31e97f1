"""Making and finding tasks and variants."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from assay.catalog.caching import parse_policy
from assay.catalog.guards import parse_guards
from assay.catalog.known import nearest
from assay.detect.schemas import Schema
from assay.errors import BadRequest, Conflict, NotFound
from assay.kit.clock import SYSTEM, Clock
from assay.kit.names import check_name
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.prompts import PromptContent, compile_prompt
from assay.prompts.content import TemplateMessage
from assay.prompts.registry import get_version
from assay.records import touch
from assay.tasks import store
from assay.tasks.types import PromptReference, Task, Variant, VariantSpec

PART = "tasks"
RESERVED = frozenset({"model", "messages", "prompt", "stream", "stream_options", "assay", "n"})
"""Fields that a call sets or that would change what one answer is; a variant cannot."""


class VariantDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant as people write it: in `assay.toml` and in `PUT /api/tasks/{name}/variants/{variant}`.

    Exactly one of `prompt` with neither version nor label (an inline template), `prompt` as a reference
    (`{"name", "version" | "label"}`), or `messages`. `output` is a JSON Schema: an answer that does not fit it is asked for
    again, and never passed on.
    """

    model: str
    prompt: str | dict[str, Any] | None = None
    messages: tuple[TemplateMessage, ...] = ()
    parameters: dict[str, Any] = {}
    output: dict[str, Any] | None = None


def put_variant(
    tx: Connection,
    project: str,
    task: str,
    name: str,
    definition: VariantDefinition,
    *,
    actor: str,
    clock: Clock = SYSTEM,
) -> tuple[Variant, bool]:
    """Make the task if need be and the variant; and whether it was made.

    Raises `Conflict` when the name stands for another content already: a variant is what was evaluated under that name,
    so a change takes a new name.
    """
    check_name(task, param="task")
    check_name(name, param="variant")
    spec = resolve(tx, project, definition)
    compiled = compile_prompt(spec.content)
    if store.find_task(tx, project, task) is None:
        store.put_task(tx, Task(project=project, name=task, allow_system=False, created_at_ns=clock.now_ns()))
    made = Variant(
        project=project,
        task=task,
        name=name,
        hash=spec.hash,
        spec=spec,
        inputs=compiled.inputs,
        actor=actor,
        created_at_ns=clock.now_ns(),
    )
    is_new = store.add_variant(tx, made)
    known = get_variant(tx, project, task, name)
    if known.hash != spec.hash:
        raise Conflict(
            f"The variant {name!r} of {task!r} is there already and says something else",
            hint="Variants never change, so that verdicts about them stay true: choose a new name.",
        )
    touch(tx, PART)
    return known, is_new


def resolve(tx: Connection, project: str, definition: VariantDefinition) -> VariantSpec:
    """Follow the reference and check what was written. Raises `BadRequest`, `NotFound`."""
    for field in definition.parameters:
        if field in RESERVED:
            raise BadRequest(
                f"A variant cannot set {field!r}", param=f"parameters.{field}", hint="Leave it out."
            )
    if definition.output is not None:
        Schema(definition.output, param="output")
        if "response_format" in definition.parameters:
            raise BadRequest(
                "A variant with an output schema sets no response_format",
                param="parameters.response_format",
                hint="Leave one of the two out.",
            )
    if (definition.prompt is None) == (not definition.messages):
        raise BadRequest("A variant has either a prompt or messages", param="prompt")
    reference: PromptReference | None = None
    if isinstance(definition.prompt, dict):
        found = get_version(tx, project, **_reference(definition.prompt))
        reference, content = PromptReference(found.name, found.version), found.content
    elif definition.prompt is not None:
        content = PromptContent(template=definition.prompt)
    else:
        content = PromptContent(messages=definition.messages)
    return VariantSpec(
        model=definition.model,
        content=content,
        prompt=reference,
        parameters=dict(definition.parameters),
        output=definition.output,
    )


def allow_system(tx: Connection, project: str, name: str, *, allowed: bool) -> Task:
    """Whether clients of the task may send a system message of their own."""
    task = get_task(tx, project, name)
    store.put_task(tx, msgspec.structs.replace(task, allow_system=allowed))
    touch(tx, PART)
    return get_task(tx, project, name)


def set_guards(tx: Connection, project: str, name: str, written: Any, *, where: str = "guards") -> Task:
    """What looks at the calls of the task from now on. Raises `BadRequest` naming the field, e.g. `guards[0].action`."""
    task = get_task(tx, project, name)
    store.put_task(tx, msgspec.structs.replace(task, guards=parse_guards(where, written)))
    touch(tx, PART)
    return get_task(tx, project, name)


def set_cache(
    tx: Connection,
    project: str,
    name: str,
    written: Any,
    *,
    models: Mapping[str, object],
    where: str = "cache",
) -> Task:
    """How long answers of the task are told again; None: its models say. Raises `BadRequest` naming the field."""
    policy = None if written is None else parse_policy(where, written, is_task=True)
    task = get_task(tx, project, name)
    if policy is not None and policy.encoder is not None:
        if policy.encoder not in models:
            raise BadRequest(
                f"{where}.encoder names the model {policy.encoder!r}, which is not configured",
                param=f"{where}.encoder",
                hint=nearest(policy.encoder, models) or "`assay models pull minilm` brings one.",
            )
        if policy.input is not None and policy.input not in task.inputs:
            raise BadRequest(
                f"{where}.input is {policy.input!r}, which no variant of {name!r} takes",
                param=f"{where}.input",
                hint=f"Its inputs: {', '.join(task.inputs) or 'none'}.",
            )
        if policy.input is None and len(task.inputs) > 1:
            raise BadRequest(
                f"{where} does not say which input is compared, and {name!r} takes {', '.join(task.inputs)}",
                param=f"{where}.input",
                hint=f'Write input = "{task.inputs[0]}"; the others must then be equal.',
            )
    store.put_task(tx, msgspec.structs.replace(task, cache=policy))
    touch(tx, PART)
    return get_task(tx, project, name)


def get_task(tx: Connection, project: str, name: str) -> Task:
    """Raises `NotFound`."""
    task = store.find_task(tx, project, name)
    if task is None:
        raise NotFound(f"There is no task {name!r}", param="task", hint="GET /api/tasks lists them.")
    return task


def get_variant(tx: Connection, project: str, task: str, name: str) -> Variant:
    """Raises `NotFound` that lists the variants there are."""
    known = {variant.name: variant for variant in get_task(tx, project, task).variants}
    if name not in known:
        raise NotFound(
            f"The task {task!r} has no variant {name!r}",
            param="variant",
            hint=f"Its variants: {', '.join(known) or 'none yet'}.",
        )
    return known[name]


def list_tasks(tx: Connection, project: str, *, cursor: str | None = None, limit: int = 100) -> Page[Task]:
    """By name."""
    after = "" if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.list_tasks(tx, project, after=after, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].name) if len(found) > limit else None)


def apply_tasks(
    tx: Connection, project: str, tables: Mapping[str, Any], *, models: Mapping[str, object]
) -> None:
    """Put what `[tasks.…]` of the configuration says into the records; saying it again changes nothing.

    The key `release` is read by the room of that name. Raises `BadRequest` naming the key.
    """
    for name, table in tables.items():
        where = f"tasks.{name}"
        if not isinstance(table, dict) or not isinstance(table.get("variants"), dict):
            raise BadRequest(
                f"{where} has no variants", param=where, hint=f"Write [tasks.{name}] variants.v1 = {{ … }}."
            )
        unknown = table.keys() - {"variants", "release", "allow_system", "guards", "cache"}
        if unknown:
            raise BadRequest(f"{where} has no {min(unknown)!r}", param=f"{where}.{min(unknown)}")
        for variant, written in table["variants"].items():
            _apply_variant(tx, project, name, variant, written, models)
        if "allow_system" in table:
            allow_system(tx, project, name, allowed=bool(table["allow_system"]))
        if "guards" in table:
            set_guards(tx, project, name, table["guards"], where=f"{where}.guards")
        if "cache" in table:
            set_cache(tx, project, name, table["cache"], models=models, where=f"{where}.cache")


def _apply_variant(
    tx: Connection, project: str, task: str, name: str, written: object, models: Mapping[str, object]
) -> None:
    where = f"tasks.{task}.variants.{name}"
    try:
        definition = msgspec.convert(written, VariantDefinition)
        put_variant(tx, project, task, name, definition, actor="assay.toml")
    except msgspec.ValidationError as error:
        raise BadRequest(f"{where} cannot be used: {error}", param=where) from error
    except (BadRequest, Conflict, NotFound) as error:
        error.message, error.param = f"{where}: {error.message}", where
        raise
    if definition.model not in models:
        raise BadRequest(
            f"{where} names the model {definition.model!r}, which is not configured",
            param=f"{where}.model",
            hint=f"Add [models.{definition.model}].",
        )


def _reference(written: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(written.get("name"), str) or written.keys() - {"name", "version", "label"}:
        raise BadRequest('A prompt reference is {"name", "version" | "label"}', param="prompt")
    return written
