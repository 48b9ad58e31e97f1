"""OpenTelemetry's own names for generative AI, `gen_ai.*`.

Two generations. Up to 1.36: `gen_ai.system`, `gen_ai.usage.prompt_tokens`, messages as span events or flattened into
`gen_ai.prompt.N.*` (OpenLLMetry's way). From 1.37 on: `gen_ai.provider.name`, `gen_ai.input.messages` with parts. A
program may send both, so each column takes the newest name that is there.
"""

from collections.abc import Iterator
from typing import Any

from assay.traces.dialects import messages, reading
from assay.traces.dialects.counting import disjoint
from assay.traces.dialects.reading import Attributes
from assay.traces.dialects.types import Meaning
from assay.wire.spans import OtelSpan, SpanEvent, SpanKind

_OPERATIONS = {
    "chat": SpanKind.MODEL,
    "completion": SpanKind.MODEL,
    "text_completion": SpanKind.MODEL,
    "generate_content": SpanKind.MODEL,
    "generate": SpanKind.MODEL,
    "embeddings": SpanKind.EMBEDDING,
    "embedding": SpanKind.EMBEDDING,
    "rerank": SpanKind.MODEL,
    "create_agent": SpanKind.AGENT,
    "invoke_agent": SpanKind.AGENT,
    "invoke_workflow": SpanKind.AGENT,
    "plan": SpanKind.AGENT,
    "execute_tool": SpanKind.TOOL,
    "retrieval": SpanKind.RETRIEVAL,
    "search_memory": SpanKind.RETRIEVAL,
}
_TRACELOOP = {
    "agent": SpanKind.AGENT,
    "tool": SpanKind.TOOL,
    "workflow": SpanKind.OTHER,
    "task": SpanKind.OTHER,
}
_DETAILS = "gen_ai.client.inference.operation.details"
"""An event with the attributes of its span, for content that should not stand on it."""
_MESSAGE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE = "gen_ai.choice"
_REQUEST = "gen_ai.request."
_NOT_SAMPLING = frozenset({"model", "stream", "encoding_formats"})
_MARKS = ("gen_ai.", "traceloop.", "llm.request.type")


def speaks(sent: OtelSpan) -> bool:
    """Whether the span has any of these names."""
    return any(name.startswith(_MARKS) for name in sent.attributes) or any(
        event.name.startswith("gen_ai.") for event in sent.events
    )


def read(sent: OtelSpan) -> Meaning:
    """What the names say."""
    said = _with_details(sent)
    kind = _kind(said)
    first_ns = reading.nanoseconds(said, "gen_ai.response.time_to_first_chunk")
    finished = reading.labels(said, "gen_ai.response.finish_reasons")
    came_in, came_out = _content(sent, said, kind)
    return Meaning(
        kind=kind,
        provider=reading.text(said, "gen_ai.provider.name", "gen_ai.system"),
        model=reading.text(said, "gen_ai.request.model"),
        response_model=reading.text(said, "gen_ai.response.model"),
        endpoint_host=reading.text(said, "server.address"),
        finish_reason=finished[0] if finished else _finish(sent, said),
        streamed=reading.flag(said, "gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming"),
        first_output_ns=None if first_ns is None else sent.start_ns + first_ns,
        usage=_usage(said),
        cost_usd=reading.dollars(said, "gen_ai.usage.cost"),
        session=reading.label(said, "gen_ai.conversation.id", "traceloop.association.properties.session_id"),
        user=reading.label(said, "traceloop.association.properties.user_id"),
        input=came_in or None,
        output=came_out or None,
        tools=_tools(said) or None,
        request=_request(said),
    )


def _with_details(sent: OtelSpan) -> Attributes:
    for event in sent.events:
        if event.name == _DETAILS:
            return {**event.attributes, **sent.attributes}
    return sent.attributes


def _kind(said: Attributes) -> SpanKind | None:
    operation = reading.text(said, "gen_ai.operation.name")
    if operation is not None:
        return _OPERATIONS.get(operation, SpanKind.OTHER)
    if (kind := _TRACELOOP.get(str(said.get("traceloop.span.kind")))) is not None:
        return kind
    if said.get("llm.request.type") == "embedding":
        return SpanKind.EMBEDDING
    if "gen_ai.request.model" in said or "gen_ai.response.model" in said or "llm.request.type" in said:
        return SpanKind.MODEL
    return SpanKind.TOOL if "gen_ai.tool.name" in said else None


def _usage(said: Attributes) -> Any:
    return disjoint(
        input=reading.count(said, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        output=reading.count(said, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        cache_read=reading.count(
            said,
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.input_tokens.cached",
        ),
        cache_write=reading.count(
            said,
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
        ),
        reasoning=reading.count(
            said, "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"
        ),
    )


def _request(said: Attributes) -> bytes | None:
    asked = {
        name.removeprefix(_REQUEST): value
        for name, value in said.items()
        if name.startswith(_REQUEST) and name.removeprefix(_REQUEST) not in _NOT_SAMPLING
    }
    return reading.encoded(asked) if asked else None


# --- What went in and what came out ---


def _content(
    sent: OtelSpan, said: Attributes, kind: SpanKind | None
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    if kind is SpanKind.TOOL:
        asked = reading.content(said.get("gen_ai.tool.call.arguments", said.get("traceloop.entity.input")))
        result = reading.content(said.get("gen_ai.tool.call.result", said.get("traceloop.entity.output")))
        return _one(asked), _one(result)
    if kind is SpanKind.RETRIEVAL:
        documents = reading.structure(said, "gen_ai.retrieval.documents")
        found = documents if isinstance(documents, list) else []
        return _one(reading.content(said.get("gen_ai.retrieval.query.text"))), tuple(
            map(reading.encoded, found)
        )
    return _input(sent, said), _output(sent, said)


def _one(content: bytes | None) -> tuple[bytes, ...]:
    return () if content is None else (content,)


def _input(sent: OtelSpan, said: Attributes) -> tuple[bytes, ...]:
    told = tuple(messages.system(_instructions(said)))
    if (list_ := reading.structure(said, "gen_ai.input.messages")) is not None:
        return (*told, *messages.from_parts(list_))
    if flattened := reading.indexed(said, "gen_ai.prompt"):
        return (*told, *messages.from_indexed(flattened, "user"))
    if happened := tuple(_input_events(sent)):
        return (*told, *happened)
    asked = said.get("gen_ai.prompt", said.get("traceloop.entity.input"))
    return (*told, *_loose(asked, "user"))


def _output(sent: OtelSpan, said: Attributes) -> tuple[bytes, ...]:
    if (list_ := reading.structure(said, "gen_ai.output.messages")) is not None:
        return tuple(messages.from_parts(_without_reasons(list_), "assistant"))
    if flattened := reading.indexed(said, "gen_ai.completion"):
        return tuple(messages.from_indexed(flattened, "assistant"))
    if happened := tuple(_output_events(sent)):
        return happened
    return tuple(_loose(said.get("gen_ai.completion", said.get("traceloop.entity.output")), "assistant"))


def _instructions(said: Attributes) -> Any:
    sent = said.get("gen_ai.system_instructions")
    found = reading.structure(said, "gen_ai.system_instructions")
    return found if found is not None else [sent] if isinstance(sent, str) and sent else None


def _without_reasons(sent: Any) -> Any:
    """Why a message ended is a column, no part of the message."""
    if not isinstance(sent, list):
        return sent
    return [
        {key: value for key, value in message.items() if key != "finish_reason"}
        if isinstance(message, dict)
        else message
        for message in sent
    ]


def _loose(asked: Any, speaker: str) -> Iterator[bytes]:
    """A prompt that is one text, or JSON of messages."""
    found = reading.decoded(asked) if isinstance(asked, str) else asked
    if isinstance(found, list) and all(isinstance(item, dict) and "role" in item for item in found):
        yield from messages.from_parts(found, speaker)
    elif (content := reading.content(asked)) is not None:
        yield content


def _body(event: SpanEvent) -> dict[str, Any]:
    """An event's message: in one attribute as JSON, or spread over several."""
    body = reading.structure(event.attributes, "gen_ai.event.content")
    if isinstance(body, dict):
        return body
    spread = {name: value for name, value in event.attributes.items() if not name.startswith("gen_ai.")}
    for name in ("tool_calls", "message"):
        if isinstance(spread.get(name), str) and (found := reading.decoded(spread[name])) is not None:
            spread[name] = found
    return spread


def _input_events(sent: OtelSpan) -> Iterator[bytes]:
    for event in sent.events:
        if (role := _MESSAGE_EVENTS.get(event.name)) is not None:
            yield _said(_body(event), role)
        elif event.name == "gen_ai.content.prompt":
            yield from _loose(event.attributes.get("gen_ai.prompt"), "user")


def _output_events(sent: OtelSpan) -> Iterator[bytes]:
    for event in sent.events:
        if event.name == _CHOICE:
            body = _body(event)
            message = body.get("message")
            yield _said(message if isinstance(message, dict) else body, "assistant")
        elif event.name == "gen_ai.content.completion":
            yield from _loose(event.attributes.get("gen_ai.completion"), "assistant")


def _said(body: dict[str, Any], role: str) -> bytes:
    calls = [
        messages.tool_call(call.get("id"), function.get("name"), function.get("arguments"))
        for call in body.get("tool_calls") or ()
        if isinstance(call, dict) and isinstance(function := call.get("function", call), dict)
    ]
    content, id = body.get("content"), body.get("id")
    return messages.chat(
        messages.role_of(body.get("role"), role),
        content if content is None or isinstance(content, str | list) else messages.plain(content),
        calls=calls,
        answers=id if role == "tool" and isinstance(id, str) else None,
    )


def _finish(sent: OtelSpan, said: Attributes) -> str | None:
    if (reason := reading.text(said, "gen_ai.completion.0.finish_reason")) is not None:
        return reason
    for event in sent.events:
        if event.name == _CHOICE and isinstance(reason := _body(event).get("finish_reason"), str):
            return reason
    ended = reading.structure(said, "gen_ai.output.messages")
    first = ended[0] if isinstance(ended, list) and ended else None
    return reading.text(first, "finish_reason") if isinstance(first, dict) else None


def _tools(said: Attributes) -> tuple[bytes, ...]:
    offered = reading.structure(said, "gen_ai.tool.definitions")
    if not isinstance(offered, list):
        offered = reading.indexed(said, "llm.request.functions")
    return tuple(map(reading.encoded, offered))
