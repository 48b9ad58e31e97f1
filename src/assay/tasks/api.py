"""`/api/tasks`."""

from typing import Annotated, Any

import msgspec
from litestar import get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assay.access import Principal, Right, environment_of
from assay.access.guards import requires
from assay.calls import CallContext, Caller
from assay.kit import ids
from assay.kit.clock import rfc3339
from assay.kit.json import decode
from assay.kit.paging import Page
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.tasks import definitions
from assay.tasks.calling import TaskCalls
from assay.tasks.definitions import VariantDefinition
from assay.tasks.types import Task, Variant
from assay.wire.openai_chat import chat_request


class VariantAnswer(msgspec.Struct, kw_only=True):
    """A variant as the API shows it."""

    name: str
    hash: str
    model: str
    prompt: dict[str, Any] | None
    template: str | None
    messages: list[dict[str, str]]
    parameters: dict[str, Any]
    output: dict[str, Any] | None
    inputs: tuple[str, ...]
    actor: str
    created: str


class TaskAnswer(msgspec.Struct, kw_only=True):
    """A task as the API shows it."""

    name: str
    inputs: tuple[str, ...]
    allow_system: bool
    guards: list[dict[str, Any]]
    cache: dict[str, Any] | None
    created: str
    variants: list[VariantAnswer]


class TaskChange(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PATCH /api/tasks/{name}`; what is left out stays. `guards` takes the place of all that there are, `cache`
    of the policy; null takes it away."""

    allow_system: bool | None = None
    guards: list[dict[str, Any]] | None = None
    cache: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


_Label = Annotated[str, msgspec.Meta(max_length=256)]


class CallRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/tasks/{name}/calls`."""

    inputs: dict[str, Any]
    session: _Label | None = None
    user: _Label | None = None
    tags: Annotated[tuple[_Label, ...], msgspec.Meta(max_length=64)] = ()
    environment: str | None = None


class CallAnswer(msgspec.Struct, kw_only=True):
    """What a task answered. `cost_usd` is null when a price is unknown."""

    output: str
    trace_id: str
    variant: str | None
    model: str
    usage: Any
    cost_usd: Any
    message: Any


@get("/api/tasks", guards=[requires(Right.READ)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Page[TaskAnswer]:
    """Every task of the project with its variants, by name."""
    with records.read() as tx:
        page = definitions.list_tasks(tx, principal.project, cursor=cursor)
    return Page([answer_of(task) for task in page.items], page.next)


@get("/api/tasks/{name:str}", guards=[requires(Right.READ)], sync_to_thread=True)
def show(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> TaskAnswer:
    """One task."""
    with records.read() as tx:
        return answer_of(definitions.get_task(tx, principal.project, name))


@patch("/api/tasks/{name:str}", guards=[requires(Right.EDIT)], sync_to_thread=True)
def change(
    name: FromPath[str],
    data: JSONBody[TaskChange],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    caller: NamedDependency[Caller],
) -> TaskAnswer:
    """Whether clients may send a system message of their own, what looks at the calls, and how long answers are told again."""
    with records.write() as tx:
        if data.allow_system is not None:
            definitions.allow_system(tx, principal.project, name, allowed=data.allow_system)
        if data.guards is not None:
            definitions.set_guards(tx, principal.project, name, data.guards)
        if data.cache is not msgspec.UNSET:
            definitions.set_cache(tx, principal.project, name, data.cache, models=caller.models)
        return answer_of(definitions.get_task(tx, principal.project, name))


@put("/api/tasks/{name:str}/variants/{variant:str}", guards=[requires(Right.EDIT)], sync_to_thread=True)
def put_variant(
    name: FromPath[str],
    variant: FromPath[str],
    data: JSONBody[VariantDefinition],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> VariantAnswer:
    """Make a variant (and its task). The same again changes nothing; another content under the name is a 409."""
    with records.write() as tx:
        made, _ = definitions.put_variant(tx, principal.project, name, variant, data, actor=principal.name)
    return variant_of(made)


@post("/api/tasks/{name:str}/calls", guards=[requires(Right.CALL)], status_code=200)
async def call(
    name: FromPath[str],
    data: JSONBody[CallRequest],
    principal: NamedDependency[Principal],
    snapshot: NamedDependency[SnapshotSource],
    task_calls: NamedDependency[TaskCalls],
    caller: NamedDependency[Caller],
) -> CallAnswer:
    """Do the task once, with the variant that is released."""
    context = CallContext(
        project=principal.project,
        environment=environment_of(principal, data.environment),
        key_id=principal.key_id,
        user=data.user,
        session=data.session,
        tags=data.tags,
        trace_id=ids.uuid7_hex(),
    )
    asked = chat_request(f"task:{name}", ())
    prepared = task_calls.prepare(snapshot.current, "chat", asked, data.inputs, context)
    answer = await caller.complete(prepared)
    message = answer.span.output[0] if answer.span.output else None
    return CallAnswer(
        output=answer.response.text,
        trace_id=answer.span.trace_id,
        variant=prepared.context.variant,
        model=prepared.request.model,
        usage=answer.span.usage,
        cost_usd=answer.cost_usd,
        message=None if message is None else decode(message),
    )


def answer_of(task: Task) -> TaskAnswer:
    """A kept task in the shape of the API."""
    return TaskAnswer(
        name=task.name,
        inputs=task.inputs,
        allow_system=task.allow_system,
        guards=[msgspec.to_builtins(each) for each in task.guards],
        cache=None if task.cache is None else msgspec.to_builtins(task.cache),
        created=rfc3339(task.created_at_ns),
        variants=[variant_of(each) for each in task.variants],
    )


def variant_of(variant: Variant) -> VariantAnswer:
    """A kept variant in the shape of the API."""
    spec = variant.spec
    return VariantAnswer(
        name=variant.name,
        hash=variant.hash,
        model=spec.model,
        prompt=None if spec.prompt is None else {"name": spec.prompt.name, "version": spec.prompt.version},
        template=spec.content.template,
        messages=[{"role": each.role, "content": each.content} for each in spec.content.messages],
        parameters=spec.parameters,
        output=spec.output,
        inputs=variant.inputs,
        actor=variant.actor,
        created=rfc3339(variant.created_at_ns),
    )


handlers = [list_all, show, change, put_variant, call]
