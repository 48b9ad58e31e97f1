"""A server that keeps figures only keeps no word of a conversation."""

from typing import Any

from assay.traces.dialects import DialectProjector, without_content
from assay.wire.spans import Span, SpanEvent, SpanKind

SECRET = "the secret word"


def test_figures_and_labels_stay_and_what_was_said_goes(sent: Any) -> None:
    said = (
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt", "gen_ai.prompt.0.content",
        "gen_ai.completion.12.content", "gen_ai.tool.call.arguments", "gen_ai.tool.definitions", "gen_ai.retrieval.query.text",
        "llm.input_messages.0.message.content", "llm.output_messages.0.message.content", "llm.tools.0.tool.json_schema",
        "llm.prompt_template.template", "llm.prompts.0", "input.value", "output.value", "retrieval.documents.0.document.content",
        "embedding.embeddings.0.embedding.text", "reranker.query", "tool.parameters", "traceloop.entity.input", "assay.input",
    )  # fmt: skip
    figures = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.prompt.name": "greeting",
        "gen_ai.usage.input_tokens": 7,
        "llm.model_name": "m",
        "reranker.top_k": 3,
        "session.id": "s",
        "tag.tags": ["a"],
    }
    loose = {"note": SECRET * 30, "nested": {"a": SECRET}, "list": [SECRET * 30], "octets": SECRET.encode()}
    events = (
        SpanEvent("gen_ai.user.message", 1, {"content": SECRET}),
        SpanEvent("exception", 2, {"exception.type": "ValueError", "exception.message": SECRET}),
    )

    bare = without_content(sent({**dict.fromkeys(said, SECRET), **figures, **loose}, events=events))
    (row,) = DialectProjector().project([bare])

    assert isinstance(row, Span)
    assert bare.attributes == figures
    assert (row.kind, row.model, row.session_id, row.usage and row.usage.input) == (
        SpanKind.MODEL,
        "m",
        "s",
        7,
    )
    assert SECRET not in repr(row)
    assert "ValueError" in repr(row)
