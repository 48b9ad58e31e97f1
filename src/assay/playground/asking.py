"""One column of the playground: from what the page sends to a call, and from its answer to events.

start  {trace_id, model, attempts}     the first output is there
chunk  one chunk of OpenAI's format, as it came
done   {trace_id, span_id, status, finish_reason, …figures}
error  {type, message, hint, trace_id} before anything came, or in its middle; then `done` follows
"""

from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

import msgspec

from assay.access import Principal
from assay.calls import Call, CallContext, Caller, StreamingAnswer
from assay.calls.cache_rules import PASS_BY
from assay.errors import AssayError, BadRequest, NotFound, Upstream
from assay.kit import ids, json
from assay.snapshot import Snapshot
from assay.tasks.calling import PREFIX, TaskCalls, find_task
from assay.tasks.choosing import Choice
from assay.wire.openai_chat import decode_chat
from assay.wire.spans import Span, SpanStatus
from assay.wire.usage import UsageSource

ENVIRONMENT = "playground"
"""Where these calls belong, so that no picture of production traffic holds them."""
TAG = "playground"

_OWN = ("model", "messages", "stream", "stream_options", "assay", "n")


class Ask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/playground/calls`. `target` is a model, or `task:<name>/<variant>`; `messages` are OpenAI's;
    `parameters` further fields of the request (sampling, tools, response_format); `inputs` those of a variant."""

    target: str
    messages: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {}
    inputs: dict[str, Any] | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer took. Tokens that nobody counted are estimated; unknown is null."""

    trace_id: str
    span_id: str
    status: SpanStatus
    finish_reason: str | None
    model: str | None
    provider: str | None
    variant: str | None
    attempts: int
    latency_ms: float
    first_output_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    is_estimated: bool
    tokens_per_s: float | None
    cost_usd: Decimal | None
    kept: bool


class _Fixed(msgspec.Struct, frozen=True):
    """Chooses the variant that somebody chose."""

    variant: str

    def choose(self, snapshot: Snapshot, project: str, task: str, environment: str, unit: str) -> Choice:
        """Whatever the release says."""
        return Choice(self.variant)


def prepare(ask: Ask, snapshot: Snapshot, principal: Principal) -> Call:
    """The call that a column makes. Raises `BadRequest` naming the field, `NotFound` for a task or variant that is not
    there."""
    for name in _OWN:
        if name in ask.parameters:
            raise BadRequest(
                f"{name!r} is no parameter here", param=f"parameters.{name}", hint="Leave it out."
            )
    name, slash, variant = ask.target.removeprefix(PREFIX).partition("/")
    is_task = ask.target.startswith(PREFIX)
    if is_task and not (slash and variant):
        raise BadRequest(
            f"{ask.target!r} names no variant", param="target", hint="Write task:<name>/<variant>."
        )
    body: dict[str, Any] = {
        **ask.parameters,
        "model": f"{PREFIX}{name}" if is_task else ask.target,
        "messages": ask.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if ask.inputs:
        body["assay"] = {"inputs": ask.inputs}
    request = decode_chat(json.encode(body))
    context = CallContext(
        project=principal.project,
        environment=principal.environment or ENVIRONMENT,
        key_id=principal.key_id,
        user=principal.user or principal.name,
        tags=(TAG,),
        trace_id=ids.uuid7_hex(),
    )
    if not is_task:
        return Call("chat", request, context, cache=PASS_BY)
    known = find_task(snapshot, principal.project, name).variants
    if variant not in known:
        raise NotFound(
            f"The task {name!r} has no variant {variant!r}",
            param="target",
            hint=f"Its variants: {', '.join(known)}.",
        )
    return TaskCalls(_Fixed(variant)).prepare(
        snapshot, "chat", request, ask.inputs or None, context, cache=PASS_BY
    )


async def answers(caller: Caller, call: Call) -> AsyncGenerator[tuple[str, Any], None]:
    """The events of one call, by name. Closing it stops the upstream."""
    answer: StreamingAnswer | None = None
    yield "asked", {"trace_id": call.context.trace_id}
    try:
        answer = await caller.stream(call)
        yield "start", {"trace_id": answer.trace_id, "model": answer.model, "attempts": answer.attempts}
        async for event in answer.events():
            if event.raw is not None:
                yield "chunk", msgspec.Raw(event.raw)
    except AssayError as error:
        asked = call.context.trace_id if isinstance(error, Upstream) else None
        yield "error", {"type": error.type, "message": error.message, "hint": error.hint, "trace_id": asked}
    finally:
        if answer is not None:
            await answer.aclose()
    if answer is not None and answer.span is not None:
        yield "done", figures_of(answer.span, kept=answer.kept)


def figures_of(span: Span, *, kept: bool = True) -> Figures:
    """What a settled call took."""
    usage, first_ns = span.usage, span.first_output_ns
    output = None if usage is None else usage.total_output
    speaking_s = None if first_ns is None else (span.end_ns - first_ns) / 1e9
    return Figures(
        trace_id=span.trace_id,
        span_id=span.span_id,
        status=span.status,
        finish_reason=span.finish_reason,
        model=span.model,
        provider=span.provider,
        variant=span.variant,
        attempts=span.attempts,
        latency_ms=(span.end_ns - span.start_ns) / 1e6,
        first_output_ms=None if first_ns is None else (first_ns - span.start_ns) / 1e6,
        input_tokens=None if usage is None else usage.total_input,
        output_tokens=output,
        is_estimated=usage is not None and usage.output_source is not UsageSource.PROVIDER,
        # The first token is there when the clock of speaking starts.
        tokens_per_s=(output - 1) / speaking_s if output and output > 1 and speaking_s else None,
        cost_usd=span.cost_usd,
        kept=kept,
    )
