"""What the playground's form begins with: nothing, or a span, a prompt or a variant taken apart into its fields."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from assay.kit import json
from assay.prompts import PromptVersion
from assay.spans.types import StoredSpan
from assay.tasks import CompiledVariant
from assay.tasks.calling import PREFIX

MOST_MESSAGES = 200
MOST_COLUMNS = 4
ROLES = ("system", "developer", "user", "assistant", "raw")
"""What a row of the form may be; `raw` holds a whole message as JSON: a tool's answer, an image, a tool call."""

_NUMBERS = ("temperature", "top_p", "max_tokens", "seed")
_NOT_TAKEN = frozenset({"stream", "stream_options", "n", "user", "metadata", "store"})


class DraftMessage(msgspec.Struct, frozen=True):
    """A row: a role with its text, or `raw` with JSON."""

    role: str
    content: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The form. `tools`, `schema`, `more` and `inputs` are JSON as text, empty for none; `left_out` earlier messages did not
    fit; `said` is what was answered where the draft comes from."""

    targets: list[str] = []
    messages: list[DraftMessage] = []
    numbers: dict[str, str] = {}
    more: str = ""
    tools: str = ""
    schema: str = ""
    inputs: str = ""
    left_out: int = 0
    said: str = ""


def of_span(stored: StoredSpan) -> Draft:
    """The request of a call again, as far as it was kept."""
    span = stored.span
    sent: dict[str, Any] = _object(span.request)
    messages = [_row(text) for text in span.input]
    numbers, more, schema = _parameters(sent)
    tools = [json.decode(tool) for tool in span.tools]
    return Draft(
        targets=[span.model] if span.model else [],
        messages=messages[-MOST_MESSAGES:],
        numbers=numbers,
        more=more,
        tools=json.pretty(tools) if tools else "",
        schema=schema,
        left_out=max(0, len(messages) - MOST_MESSAGES),
        said=_said(span.output),
    )


def of_prompt(version: PromptVersion) -> Draft:
    """A prompt's messages with its inputs to be filled in."""
    messages = [
        DraftMessage(message.role, message.content)
        for message in version.content.templates
        if message.role != "history"
    ]
    return Draft(messages=messages, inputs=_blank(version.inputs))


def of_variant(task: str, compiled: CompiledVariant) -> Draft:
    """A variant as a target, with its inputs to be filled in; its messages are its own."""
    return Draft(targets=[f"{PREFIX}{task}/{compiled.variant.name}"], inputs=_blank(compiled.variant.inputs))


def with_targets(draft: Draft, targets: Sequence[str], known: Sequence[str]) -> Draft:
    """The draft with what the address asks for, else its own, else the first there is; only what is known."""
    wanted = [target for target in (*targets, *([] if targets else draft.targets)) if target in known]
    chosen = list(dict.fromkeys(wanted or known[:1]))[:MOST_COLUMNS]
    return msgspec.structs.replace(
        draft,
        targets=chosen,
        messages=draft.messages or [DraftMessage("system", ""), DraftMessage("user", "")],
    )


def _row(text: bytes) -> DraftMessage:
    try:
        message = json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return DraftMessage("user", text.decode("utf-8", "replace"))
    if isinstance(message, str):
        return DraftMessage("user", message)
    if (
        isinstance(message, dict)
        and message.keys() == {"role", "content"}
        and message["role"] in ROLES[:-1]
        and isinstance(message["content"], str)
    ):
        return DraftMessage(message["role"], message["content"])
    return DraftMessage("raw", json.pretty(message))


def _said(output: Sequence[bytes]) -> str:
    return _row(output[0]).content if output else ""


def _parameters(sent: Mapping[str, Any]) -> tuple[dict[str, str], str, str]:
    """The fields of a request: those with an input of their own, the rest as JSON, and the schema of its answer."""
    numbers = {
        name: json.encode(sent[name]).decode() for name in _NUMBERS if isinstance(sent.get(name), int | float)
    }
    shape = sent.get("response_format")
    schema = json.pretty(shape) if isinstance(shape, dict) and shape.get("type") == "json_schema" else ""
    rest = {
        name: value
        for name, value in sent.items()
        if name not in numbers and name not in _NOT_TAKEN and not (schema and name == "response_format")
    }
    return numbers, json.pretty(rest) if rest else "", schema


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        found = json.decode(text) if text else {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _blank(inputs: Sequence[str]) -> str:
    return json.pretty(dict.fromkeys(inputs, "")) if inputs else ""
