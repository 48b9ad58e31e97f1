"""OpenInference, the names of Arize's instrumentors (LangChain, LlamaIndex, DSPy and others): `openinference.span.kind`,
`llm.*`, `input.value`. Messages are flattened, one attribute a field."""

from typing import Any

from assay.traces.dialects import messages, reading
from assay.traces.dialects.counting import disjoint
from assay.traces.dialects.reading import Attributes
from assay.traces.dialects.types import Meaning
from assay.wire.spans import OtelSpan, SpanKind

_KINDS = {
    "LLM": SpanKind.MODEL,
    "EMBEDDING": SpanKind.EMBEDDING,
    "AGENT": SpanKind.AGENT,
    "TOOL": SpanKind.TOOL,
    "RETRIEVER": SpanKind.RETRIEVAL,
    "RERANKER": SpanKind.RETRIEVAL,
    "GUARDRAIL": SpanKind.SCORER,
    "EVALUATOR": SpanKind.SCORER,
}
"""Chains, prompts and what is not known are other work."""
_MARKS = ("openinference.", "llm.model_name", "llm.token_count.", "input.value", "output.value")
_COLUMNS = ("model", "model_name", "messages", "tools")
_FIRST_TOKEN = "First Token Stream Event"


def speaks(sent: OtelSpan) -> bool:
    """Whether the span has any of these names."""
    return any(name.startswith(_MARKS) for name in sent.attributes)


def read(sent: OtelSpan) -> Meaning:
    """What the names say."""
    said = sent.attributes
    kind = _kind(said)
    first_ns = next((event.at_ns for event in sent.events if event.name == _FIRST_TOKEN), None)
    came_in, came_out = _content(said, kind)
    parameters = reading.structure(said, "llm.invocation_parameters")
    asked: Attributes = parameters if isinstance(parameters, dict) else {}
    named = reading.text(said, "llm.model_name", "embedding.model_name", "reranker.model_name")
    model = reading.text(asked, "model", "model_name") or named
    return Meaning(
        kind=kind,
        provider=reading.text(said, "llm.provider", "llm.system"),
        model=model,
        response_model=named if named != model else None,  # instrumentors overwrite it with what answered
        streamed=True if first_ns is not None else None,
        first_output_ns=first_ns,
        finish_reason=reading.text(said, "llm.finish_reason"),
        usage=_usage(said),
        cost_usd=reading.dollars(said, "llm.cost.total"),
        session=reading.label(said, "session.id"),
        user=reading.label(said, "user.id"),
        tags=reading.labels(said, "tag.tags"),
        input=came_in or None,
        output=came_out or None,
        tools=_tools(said) or None,
        request=_request(asked),
    )


def _kind(said: Attributes) -> SpanKind | None:
    word = reading.text(said, "openinference.span.kind")
    if word is not None:
        return _KINDS.get(word.upper(), SpanKind.OTHER)
    return SpanKind.MODEL if "llm.model_name" in said else None


def _usage(said: Attributes) -> Any:
    count = reading.count
    return disjoint(
        input=count(said, "llm.token_count.prompt"),
        output=count(said, "llm.token_count.completion"),
        cache_read=count(
            said, "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"
        ),
        cache_write=count(said, "llm.token_count.prompt_details.cache_write"),
        reasoning=count(said, "llm.token_count.completion_details.reasoning"),
        audio_input=count(said, "llm.token_count.prompt_details.audio"),
        audio_output=count(said, "llm.token_count.completion_details.audio"),
    )


def _content(said: Attributes, kind: SpanKind | None) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Messages where there are some, documents, embedded texts, else the value of the whole."""
    asked = tuple(messages.from_openinference(reading.indexed(said, "llm.input_messages"), "user"))
    answered = tuple(messages.from_openinference(reading.indexed(said, "llm.output_messages"), "assistant"))
    if kind is SpanKind.RETRIEVAL:
        answered = _documents(said, "retrieval.documents") or _documents(said, "reranker.output_documents")
        asked = _value(said, "reranker.query") if kind is not None and "reranker.query" in said else ()
    elif "embedding.model_name" in said:
        texts = (
            _inner(item, "embedding").get("text") for item in reading.indexed(said, "embedding.embeddings")
        )
        asked = tuple(reading.encoded(text) for text in texts if isinstance(text, str))
        return asked or _value(said, "input.value"), ()
    elif not asked and (prompts := reading.indexed(said, "llm.prompts")):
        asked = tuple(map(reading.encoded, prompts))
    if kind is SpanKind.TOOL and "input.value" not in said:
        asked = _value(said, "tool.parameters")
    return asked or _value(said, "input.value"), answered or _value(said, "output.value")


def _value(said: Attributes, name: str) -> tuple[bytes, ...]:
    content = reading.content(said.get(name))
    return () if content is None else (content,)


def _documents(said: Attributes, prefix: str) -> tuple[bytes, ...]:
    """Each with its id, score, content and metadata."""
    found = [_inner(item, "document") for item in reading.indexed(said, prefix)]
    return tuple(reading.encoded(document) for document in found if document)


def _inner(item: Any, name: str) -> dict[str, Any]:
    inner = item.get(name) if isinstance(item, dict) else None
    return inner if isinstance(inner, dict) else {}


def _tools(said: Attributes) -> tuple[bytes, ...]:
    offered = (_inner(item, "tool").get("json_schema") for item in reading.indexed(said, "llm.tools"))
    return tuple(content for schema in offered if (content := reading.content(schema)) is not None)


def _request(asked: Attributes) -> bytes | None:
    """The invocation's parameters without what has a column of its own."""
    kept = {name: value for name, value in asked.items() if name not in _COLUMNS}
    return reading.encoded(kept) if kept else None
