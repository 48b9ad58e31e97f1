"""`/prompts` and `/prompts/{name}`: what there is, what a version says, and what changed."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.prompts import registry
from assay.prompts.rendering import compile_prompt
from assay.prompts.types import Label, PromptSummary, PromptVersion
from assay.records import Records
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]


class PromptsContext(msgspec.Struct, frozen=True):
    """What `prompts/prompts.html` shows."""

    prompts: list[PromptSummary]
    next: str | None
    is_first: bool


class PromptContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `prompts/prompt.html` shows: one version, beside the one `against` which it is read; `changes` are lines of a diff
    with the sign that they begin with."""

    name: str
    versions: list[PromptVersion]
    labels: list[Label]
    chosen: PromptVersion
    optional: list[str]
    against: PromptVersion | None
    changes: list[tuple[str, str]]
    may_edit: bool


class LabelForm(msgspec.Struct):
    """What the form that moves a label sends."""

    label: str
    version: int
    csrf_token: str = ""


@get("/prompts", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_prompts(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    """Every prompt."""
    with records.read() as tx:
        page = registry.list_prompts(tx, principal.project, cursor=cursor, limit=50)
    context = PromptsContext(page.items, page.next, cursor is None)
    return shell.page(request, "prompts/prompts.html", context, title=later("Prompts"))


@get("/prompts/{name:str}", guards=[requires(Right.READ)], include_in_schema=False, sync_to_thread=True)
def show_prompt(
    request: HttpRequest,
    name: FromPath[str],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    version: FromQuery[int | None] = None,
    against: FromQuery[int | None] = None,
) -> Response[str]:
    """One version of a prompt, the newest by default, and what it changed."""
    with records.read() as tx:
        versions, labels = registry.list_versions(tx, principal.project, name)
        chosen = registry.get_version(tx, principal.project, name, version=version)
        before = against if against is not None else chosen.version - 1
        other = registry.get_version(tx, principal.project, name, version=before) if before > 0 else None
    context = PromptContext(
        name=name,
        versions=versions,
        labels=labels,
        chosen=chosen,
        optional=sorted(compile_prompt(chosen.content).optional),
        against=other,
        changes=[] if other is None else _lines(registry.differences(other, chosen)),
        may_edit=principal.may(Right.EDIT),
    )
    return shell.page(request, "prompts/prompt.html", context, title=name)


@post(
    "/prompts/{name:str}/labels", guards=[requires(Right.EDIT)], include_in_schema=False, sync_to_thread=True
)
def move_label(
    name: FromPath[str],
    data: URLEncodedBody[LabelForm],
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
) -> Redirect:
    """Point a label at a version, and go back to it."""
    with records.write() as tx:
        registry.move_label(
            tx, principal.project, name, data.label.strip(), data.version, actor=principal.name
        )
    return Redirect(shell.url(f"/prompts/{name}", version=data.version), status_code=303)


def _lines(diff: str) -> list[tuple[str, str]]:
    """Sign and text of each line, without the two that name the sides."""
    return [(line[:1] or " ", line[1:]) for line in diff.splitlines()[2:]]


handlers = [show_prompts, show_prompt, move_label]
