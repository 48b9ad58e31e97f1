"""`/api/prompts`."""

from typing import Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.errors import BadRequest, Forbidden
from assay.kit.clock import rfc3339
from assay.kit.paging import Page
from assay.prompts import registry
from assay.prompts.adhoc import render_adhoc
from assay.prompts.content import PromptContent, TemplateMessage
from assay.prompts.rendering import RenderedMessage, compile_prompt
from assay.prompts.types import PromptVersion
from assay.records import Records


class PushRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/prompts`."""

    name: str
    template: str | None = None
    messages: list[TemplateMessage] = []
    notes: FromQuery[str | None] = None
    labels: list[str] = []


class LabelRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/prompts/{name}/labels`."""

    label: str
    version: int | str


class RenderRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/prompts/render`: a template or messages that nobody saved, or the name of a prompt."""

    template: str | None = None
    messages: list[TemplateMessage] = []
    prompt: str | None = None
    version: int | str | None = None
    label: str | None = None
    inputs: dict[str, Any] = {}


class VersionAnswer(msgspec.Struct, kw_only=True):
    """A version as the API shows it."""

    name: str
    version: int
    hash: str
    inputs: list[str]
    optional_inputs: list[str]
    actor: str
    created: str
    notes: str | None
    template: str | msgspec.UnsetType = msgspec.UNSET
    messages: list[TemplateMessage] | msgspec.UnsetType = msgspec.UNSET
    is_new: bool | msgspec.UnsetType = msgspec.UNSET


class LabelAnswer(msgspec.Struct, kw_only=True):
    """A label as the API shows it."""

    label: str
    version: int
    actor: str
    moved: str


class PromptAnswer(msgspec.Struct, kw_only=True):
    """A prompt with all its versions, newest first."""

    name: str
    versions: list[VersionAnswer]
    labels: list[LabelAnswer]


class PromptLine(msgspec.Struct, kw_only=True):
    """A line in the list."""

    name: str
    versions: int
    latest: int
    changed: str
    labels: dict[str, int]


class DiffAnswer(msgspec.Struct):
    """A unified diff; empty when the two say the same."""

    diff: str


class RenderAnswer(msgspec.Struct, kw_only=True):
    """`text` for a prompt of one template, else `messages`."""

    text: str | msgspec.UnsetType = msgspec.UNSET
    messages: list[RenderedMessage] | msgspec.UnsetType = msgspec.UNSET
    version: int | msgspec.UnsetType = msgspec.UNSET


@post("/api/prompts", guards=[requires(Right.EDIT)], status_code=200, sync_to_thread=True)
def push(
    data: JSONBody[PushRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> VersionAnswer:
    """Save a prompt. The same content again is the same version: `is_new` says which it was."""
    content = PromptContent(data.template, tuple(data.messages))
    with records.write() as tx:
        version, is_new = registry.push(
            tx, principal.project, data.name, content, actor=principal.name, notes=data.notes
        )
        for label in data.labels:
            registry.move_label(
                tx, principal.project, data.name, label, version.version, actor=principal.name
            )
    return msgspec.structs.replace(answer_of(version), is_new=is_new)


@get("/api/prompts", guards=[requires(Right.READ_PROMPTS)], sync_to_thread=True)
def list_all(
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Page[PromptLine]:
    """Every prompt by name."""
    with records.read() as tx:
        page = registry.list_prompts(tx, principal.project, cursor=cursor)
    lines = [
        PromptLine(
            name=item.name,
            versions=item.versions,
            latest=item.latest,
            changed=rfc3339(item.changed_at_ns),
            labels=item.labels,
        )
        for item in page.items
    ]
    return Page(lines, page.next)


@get("/api/prompts/{name:str}", guards=[requires(Right.READ_PROMPTS)], sync_to_thread=True)
def show(
    name: FromPath[str], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> PromptAnswer:
    """A prompt's versions and labels."""
    with records.read() as tx:
        versions, labels = registry.list_versions(tx, principal.project, name)
    pointers = [
        LabelAnswer(label=item.label, version=item.version, actor=item.actor, moved=rfc3339(item.moved_at_ns))
        for item in labels
    ]
    return PromptAnswer(name=name, versions=[answer_of(version) for version in versions], labels=pointers)


@get(
    "/api/prompts/{name:str}/versions/{version:str}",
    guards=[requires(Right.READ_PROMPTS)],
    sync_to_thread=True,
)
def show_version(
    name: FromPath[str],
    version: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> VersionAnswer:
    """One version, by number or hash."""
    with records.read() as tx:
        return answer_of(registry.get_version(tx, principal.project, name, version=version))


@get("/api/prompts/{name:str}/labels/{label:str}", guards=[requires(Right.READ_PROMPTS)], sync_to_thread=True)
def show_labelled(
    name: FromPath[str],
    label: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> VersionAnswer:
    """The version that a label points at: what an application fetches."""
    with records.read() as tx:
        return answer_of(registry.get_version(tx, principal.project, name, label=label))


@get("/api/prompts/{name:str}/diff", guards=[requires(Right.READ_PROMPTS)], sync_to_thread=True)
def diff(
    name: FromPath[str],
    old: FromQuery[str],
    new: FromQuery[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> DiffAnswer:
    """What changed between two versions, each a number or a hash."""
    with records.read() as tx:
        versions = [
            registry.get_version(tx, principal.project, name, version=version) for version in (old, new)
        ]
    return DiffAnswer(registry.differences(*versions))


@post("/api/prompts/{name:str}/labels", guards=[requires(Right.EDIT)], status_code=200, sync_to_thread=True)
def label(
    name: FromPath[str],
    data: JSONBody[LabelRequest],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> LabelAnswer:
    """Point a label at a version."""
    with records.write() as tx:
        moved = registry.move_label(
            tx, principal.project, name, data.label, data.version, actor=principal.name
        )
    return LabelAnswer(
        label=moved.label, version=moved.version, actor=moved.actor, moved=rfc3339(moved.moved_at_ns)
    )


@post("/api/prompts/render", guards=[requires(Right.READ_PROMPTS)], status_code=200, sync_to_thread=True)
def render(
    data: JSONBody[RenderRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> RenderAnswer:
    """Fill in a prompt. A saved one by name, version or label; a template in the body is tried out in a process of its
    own, which takes the right to edit."""
    unsaved = data.template is not None or bool(data.messages)
    if unsaved == (data.prompt is not None):
        raise BadRequest("Send either a prompt's name or a template", param="prompt")
    if not unsaved:
        return _render_saved(data, principal, records)
    if not principal.may(Right.EDIT):
        raise Forbidden("Trying out a template takes the role editor or above", param="template")
    content = PromptContent(data.template, tuple(data.messages))
    return _answer(content, render_adhoc(content, data.inputs))


def answer_of(version: PromptVersion) -> VersionAnswer:
    """A kept version in the shape of the API."""
    content = version.content
    compiled = compile_prompt(content)
    return VersionAnswer(
        name=version.name,
        version=version.version,
        hash=version.hash,
        inputs=list(version.inputs),
        optional_inputs=sorted(compiled.optional),
        actor=version.actor,
        created=rfc3339(version.created_at_ns),
        notes=version.notes,
        template=msgspec.UNSET if content.template is None else content.template,
        messages=msgspec.UNSET if content.template is not None else list(content.messages),
    )


def _render_saved(data: RenderRequest, principal: Principal, records: Records) -> RenderAnswer:
    with records.read() as tx:
        found = registry.get_version(
            tx, principal.project, data.prompt or "", version=data.version, label=data.label
        )
    rendered = compile_prompt(found.content).render(data.inputs)
    return msgspec.structs.replace(_answer(found.content, rendered), version=found.version)


def _answer(content: PromptContent, rendered: list[RenderedMessage]) -> RenderAnswer:
    if content.template is not None:
        return RenderAnswer(text=rendered[0].content)
    return RenderAnswer(messages=rendered)


handlers = [push, list_all, show, show_version, show_labelled, diff, label, render]
