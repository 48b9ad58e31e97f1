"""From a client's request for `task:<name>` to a call of a model: pure, and fast enough for every call.

- With inputs given, all messages of the client are history.
- Without, and with exactly one input in the task, the text of the last message, which is a user's (on completions: the
  prompt), is that input, and the messages before it are history.
- History goes where the prompt says, else before the last user turn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from assay.calls import Call, CallContext
from assay.calls.cache_rules import NOTHING_SAID, CacheAsk, Question
from assay.catalog.caching import CachePolicy
from assay.errors import BadRequest, NotFound
from assay.prompts.rendering import RenderedMessage
from assay.providers.types import Endpoint
from assay.snapshot import Snapshot
from assay.tasks.choosing import Chooser
from assay.tasks.table import TASKS, CompiledTask, CompiledVariant
from assay.wire.messages import Message, TextPart, text_message
from assay.wire.openai_chat import encode_message
from assay.wire.requests import ChatRequest, ModelRequest

PREFIX = "task:"
_OWN = ("model", "messages", "prompt", "assay")
_encode = msgspec.json.Encoder().encode


def is_task(model: str) -> bool:
    """Whether a model's name asks for a task."""
    return model.startswith(PREFIX)


class TaskCalls:
    """Prepares calls of tasks."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser

    def names(self, snapshot: Snapshot, project: str) -> list[str]:
        """The project's tasks as model names."""
        return sorted(PREFIX + name for owner, name in snapshot[TASKS] if owner == project)

    def prepare(
        self,
        snapshot: Snapshot,
        endpoint: Endpoint,
        request: ModelRequest,
        inputs: Mapping[str, Any] | None,
        context: CallContext,
        *,
        cache: CacheAsk | None = None,
    ) -> Call:
        """The call that answers this request. Raises `NotFound`, and `BadRequest` for inputs that do not fit."""
        name = request.model.removeprefix(PREFIX)
        task = find_task(snapshot, context.project, name)
        unit = context.session or context.user or context.trace_id or ""
        choice = self._chooser.choose(snapshot, context.project, name, context.environment, unit)
        variant = task.variants[choice.variant]
        given, history = _split(task, variant, request, inputs)
        labelled = msgspec.structs.replace(
            context, task=name, variant=choice.variant, release_id=choice.release_id
        )
        made = render(variant, given, history, request=request)
        policy = task.task.cache
        if policy is not None:
            cache = msgspec.structs.replace(cache or NOTHING_SAID, policy=policy)
            if policy.similarity is not None:
                question = _question(policy, variant, given, history, request, made)
                cache = msgspec.structs.replace(cache, question=question)
        return Call(endpoint, made, labelled, task.guards, cache)


def find_task(snapshot: Snapshot, project: str, name: str) -> CompiledTask:
    """Raises `NotFound` that lists the tasks there are."""
    task = snapshot[TASKS].get((project, name))
    if task is None:
        known = ", ".join(sorted(each for owner, each in snapshot[TASKS] if owner == project)) or "none yet"
        raise NotFound(f"There is no task {name!r}", param="model", hint=f"Known tasks: {known}.")
    return task


def render(
    variant: CompiledVariant,
    inputs: Mapping[str, Any],
    history: Sequence[Message] = (),
    *,
    request: ModelRequest | None = None,
) -> ChatRequest:
    """The chat request of a variant. What `request` says beyond its messages goes along, but the variant's own parameters
    win: it is them that were evaluated."""
    messages = _placed(variant.prompt.render(inputs), history)
    fields = {name: raw for name, raw in request.fields.items() if name not in _OWN} if request else {}
    fields |= variant.fields
    fields["model"] = Raw(_encode(variant.variant.spec.model))
    fields["messages"] = Raw(_encode([encode_message(message) for message in messages]))
    return ChatRequest(
        model=variant.variant.spec.model,
        messages=messages,
        stream=request.stream if request else False,
        include_usage=request.include_usage if request else False,
        fields=fields,
        validated=variant.variant.spec.output is not None,
    )


def _question(
    policy: CachePolicy,
    variant: CompiledVariant,
    inputs: Mapping[str, Any],
    history: Sequence[Message],
    request: ModelRequest,
    made: ChatRequest,
) -> Question | None:
    """The input that may be said in other words, and the request without it: there all must be equal."""
    name = policy.input or (variant.prompt.inputs[0] if len(variant.prompt.inputs) == 1 else None)
    text = inputs.get(name) if name is not None else None
    if name is None or not isinstance(text, str) or not text.strip():
        return None
    around = render(variant, {**inputs, name: ""}, history, request=request)
    return Question(text, around, made)


def _placed(rendered: list[RenderedMessage], history: Sequence[Message]) -> tuple[Message, ...]:
    made: list[Message] = []
    place: int | None = None
    for message in rendered:
        if message.role == "history":
            place = len(made)
        else:
            made.append(text_message(message.role, message.content))
    if place is None:
        users = [at for at, message in enumerate(made) if message.role == "user"]
        place = users[-1] if users else len(made)
    return (*made[:place], *history, *made[place:])


def _split(
    task: CompiledTask, variant: CompiledVariant, request: ModelRequest, inputs: Mapping[str, Any] | None
) -> tuple[Mapping[str, Any], Sequence[Message]]:
    """The inputs and the history that a request amounts to."""
    if not isinstance(request, ChatRequest):
        if inputs is not None:
            return inputs, ()
        if not isinstance(request.prompt, str):
            raise BadRequest(
                "A task takes one text as prompt", param="prompt", hint="Send a string, one request each."
            )
        return {_only_input(task, variant): request.prompt}, ()
    if not task.task.allow_system and any(
        message.role in ("system", "developer") for message in request.messages
    ):
        raise BadRequest(
            f"The task {task.task.name!r} has its own instructions and takes no system message",
            param="messages",
            hint='Leave it out, or allow it: PATCH /api/tasks/{name} {"allow_system": true}.',
        )
    if inputs is not None:
        return inputs, request.messages
    name = _only_input(task, variant)
    *history, last = request.messages
    if last.role != "user":
        raise BadRequest(
            f"The input {name!r} is taken from the last message, which is of the role {last.role!r}",
            param="messages",
            hint='End with a user message, or send the body field assay: {"inputs": {…}}.',
        )
    if any(not isinstance(part, TextPart) for part in last.parts):
        raise BadRequest(
            f"The input {name!r} is a text, and the last message is more than text",
            param="messages",
            hint="Send text only.",
        )
    return {name: last.text}, history


def _only_input(task: CompiledTask, variant: CompiledVariant) -> str:
    names = variant.prompt.required or variant.prompt.inputs
    if len(names) != 1:
        raise BadRequest(
            f"The task {task.task.name!r} takes the inputs {', '.join(names) or '(none)'}, so a message alone does not say them",
            param="assay.inputs",
            hint='Send the body field assay: {"inputs": {…}} or the header x-assay-inputs.',
        )
    return names[0]
