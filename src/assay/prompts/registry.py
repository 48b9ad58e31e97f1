"""Pushing, finding and labelling prompts."""

import difflib

from sqlalchemy import Connection

from assay.errors import BadRequest, Conflict, NotFound
from assay.kit.clock import SYSTEM, Clock
from assay.kit.names import check_name
from assay.kit.paging import Page, from_cursor, to_cursor
from assay.prompts import store
from assay.prompts.content import PromptContent
from assay.prompts.rendering import compile_prompt
from assay.prompts.types import Label, PromptSummary, PromptVersion

_HASH_PREFIX = 8


def push(
    tx: Connection,
    project: str,
    name: str,
    content: PromptContent,
    *,
    actor: str,
    notes: str | None = None,
    clock: Clock = SYSTEM,
) -> tuple[PromptVersion, bool]:
    """The version of this content, made if it was not there; and whether it was made.

    Raises `BadRequest` for a template that cannot be used.
    """
    check_name(name)
    compiled = compile_prompt(content)
    known = store.find_version(tx, project, name, hash=content.hash)
    if known is not None:
        return known, False
    version = PromptVersion(
        project=project,
        name=name,
        version=store.latest_number(tx, project, name) + 1,
        hash=content.hash,
        content=content,
        inputs=compiled.inputs,
        actor=actor,
        notes=notes,
        created_at_ns=clock.now_ns(),
    )
    if not store.add_version(tx, version):
        raise Conflict(f"Another version of {name!r} was pushed at the same moment", hint="Push again.")
    return version, True


def get_version(
    tx: Connection, project: str, name: str, *, version: int | str | None = None, label: str | None = None
) -> PromptVersion:
    """By number, by hash (its first 8 digits suffice) or by label; else the newest. Raises `NotFound`."""
    if version is not None and label is not None:
        raise BadRequest("Name a version or a label, not both", param="label")
    if label is not None:
        pointers = {pointer.label: pointer.version for pointer in store.list_labels(tx, project, name)}
        if label not in pointers:
            known = ", ".join(sorted(pointers)) or "none"
            raise NotFound(
                f"The prompt {name!r} has no label {label!r}", param="label", hint=f"Its labels: {known}."
            )
        version = pointers[label]
    if version is None:
        version = store.latest_number(tx, project, name)
        if version == 0:
            raise NotFound(
                f"There is no prompt {name!r}", param="prompt", hint="GET /api/prompts lists them."
            )
    found = (
        _by_hash(tx, project, name, version)
        if isinstance(version, str)
        else _by_number(tx, project, name, version)
    )
    if found is None:
        raise NotFound(f"The prompt {name!r} has no version {version!r}", param="version")
    return found


def list_versions(tx: Connection, project: str, name: str) -> tuple[list[PromptVersion], list[Label]]:
    """Every version, newest first, and the labels. Raises `NotFound`."""
    found = store.list_versions(tx, project, name)
    if not found:
        raise NotFound(f"There is no prompt {name!r}", hint="GET /api/prompts lists them.")
    return found, store.list_labels(tx, project, name)


def list_prompts(
    tx: Connection, project: str, *, cursor: str | None = None, limit: int = 100
) -> Page[PromptSummary]:
    """By name."""
    after = None if cursor is None else from_cursor(cursor, tuple[str])[0]
    found = store.list_prompts(tx, project, after=after, limit=limit + 1)
    return Page(found[:limit], to_cursor(found[limit - 1].name) if len(found) > limit else None)


def move_label(
    tx: Connection,
    project: str,
    name: str,
    label: str,
    version: int | str,
    *,
    actor: str,
    clock: Clock = SYSTEM,
) -> Label:
    """Point the label at the version. Raises `NotFound` for one that is not there."""
    check_name(label, param="label")
    target = get_version(tx, project, name, version=version)
    moved = Label(label=label, version=target.version, actor=actor, moved_at_ns=clock.now_ns())
    store.set_label(tx, project, name, moved)
    return moved


def differences(old: PromptVersion, new: PromptVersion) -> str:
    """A unified diff of what the two say; empty when they say the same."""
    lines = [_text(version).splitlines(keepends=True) for version in (old, new)]
    names = [f"{version.name} v{version.version}" for version in (old, new)]
    return "".join(difflib.unified_diff(lines[0], lines[1], names[0], names[1]))


def _text(version: PromptVersion) -> str:
    if version.content.template is not None:
        return version.content.template.rstrip("\n") + "\n"
    return "".join(f"[{message.role}]\n{message.content}\n" for message in version.content.messages)


def _by_number(tx: Connection, project: str, name: str, number: int) -> PromptVersion | None:
    return store.find_version(tx, project, name, number=number)


def _by_hash(tx: Connection, project: str, name: str, text: str) -> PromptVersion | None:
    if text.isdigit() and len(text) < _HASH_PREFIX:
        return _by_number(tx, project, name, int(text))
    if len(text) < _HASH_PREFIX:
        raise BadRequest(
            f"{text!r} is neither a number nor the first {_HASH_PREFIX} digits of a hash", param="version"
        )
    found = store.find_by_hash(tx, project, name, text)
    if len(found) > 1:
        raise BadRequest(f"More than one version of {name!r} begins with {text!r}", param="version")
    return found[0] if found else None
