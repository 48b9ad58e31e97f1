"""OpenInference: what its instrumentors send becomes the same columns."""

from decimal import Decimal
from typing import Any

import pytest

from assay.kit import json
from assay.traces.dialects import openinference
from assay.wire.spans import SpanEvent, SpanKind
from assay.wire.usage import Usage


def said(messages: tuple[bytes, ...] | None) -> list[Any]:
    """Messages as values."""
    return [json.decode(message) for message in messages or ()]


def test_a_call(sent: Any) -> None:
    message = "llm.input_messages.1.message"
    span = sent(
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o-2024-11-20",
            "llm.provider": "openai",
            "llm.invocation_parameters": '{"model": "gpt-4o", "temperature": 0.1}',
            "llm.token_count.prompt": 100,
            "llm.token_count.completion": 50,
            "llm.token_count.prompt_details.cache_read": 40,
            "llm.token_count.prompt_details.audio": 5,
            "llm.token_count.completion_details.reasoning": 20,
            "llm.cost.total": 0.001,
            "llm.finish_reason": "stop",
            "session.id": "s",
            "user.id": "u",
            "tag.tags": ["a", "b", "a"],
            "input.value": "{}",
            "input.mime_type": "application/json",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be brief.",
            f"{message}.role": "user",
            f"{message}.contents.0.message_content.type": "text",
            f"{message}.contents.0.message_content.text": "What is this?",
            f"{message}.contents.1.message_content.type": "image",
            f"{message}.contents.1.message_content.image.image.url": "data:image/png;base64,AAAA",
            "llm.input_messages.2.message.role": "assistant",
            "llm.input_messages.2.message.tool_calls.0.tool_call.id": "t1",
            "llm.input_messages.2.message.tool_calls.0.tool_call.function.name": "look",
            "llm.input_messages.2.message.tool_calls.0.tool_call.function.arguments": '{"x": 1}',
            "llm.input_messages.3.message.role": "tool",
            "llm.input_messages.3.message.tool_call_id": "t1",
            "llm.input_messages.3.message.content": "a dot",
            "llm.input_messages.10.message.role": "human",
            "llm.input_messages.10.message.content": "last",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "A dot.",
            "llm.tools.0.tool.json_schema": '{"type": "function", "function": {"name": "look"}}',
        },
        events=(SpanEvent("First Token Stream Event", 1_760_000_000_300_000_000),),
    )

    meaning = openinference.read(span)

    assert (meaning.kind, meaning.model, meaning.provider) == (SpanKind.MODEL, "gpt-4o", "openai")
    assert meaning.response_model == "gpt-4o-2024-11-20"
    assert meaning.usage == Usage(input=55, cache_read=40, audio_input=5, output=30, reasoning=20)
    assert (meaning.cost_usd, meaning.finish_reason) == (Decimal("0.001"), "stop")
    assert (meaning.session, meaning.user, meaning.tags) == ("s", "u", ("a", "b"))
    assert (meaning.streamed, meaning.first_output_ns) == (True, 1_760_000_000_300_000_000)
    assert json.decode(meaning.request or b"") == {"temperature": 0.1}
    assert said(meaning.tools) == [{"type": "function", "function": {"name": "look"}}]
    call = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert said(meaning.input) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "a dot", "tool_call_id": "t1"},
        {"role": "user", "content": "last"},
    ]
    assert said(meaning.output) == [{"role": "assistant", "content": "A dot."}]


def test_a_chain_is_other_work_with_its_values(sent: Any) -> None:
    meaning = openinference.read(
        sent(
            {
                "openinference.span.kind": "CHAIN",
                "input.value": '{"question": "why?"}',
                "input.mime_type": "application/json",
                "output.value": "because",
            }
        )
    )

    assert (meaning.kind, meaning.input, meaning.output) == (
        SpanKind.OTHER, (b'{"question": "why?"}',), (b'"because"',),
    )  # fmt: skip


def test_a_tool(sent: Any) -> None:
    meaning = openinference.read(
        sent(
            {
                "openinference.span.kind": "TOOL",
                "tool.name": "look",
                "tool.parameters": '{"x": 1}',
                "output.value": "2",
            }
        )
    )

    assert (meaning.kind, meaning.input, meaning.output) == (SpanKind.TOOL, (b'{"x": 1}',), (b'"2"',))


def test_a_retriever_keeps_each_document_by_itself(sent: Any) -> None:
    meaning = openinference.read(
        sent(
            {
                "openinference.span.kind": "RETRIEVER",
                "input.value": "oslo",
                "retrieval.documents.0.document.content": "grey",
                "retrieval.documents.0.document.score": 0.5,
                "retrieval.documents.1.document.content": "wet",
            }
        )
    )

    assert meaning.kind is SpanKind.RETRIEVAL
    assert said(meaning.input) == ["oslo"]
    assert said(meaning.output) == [{"content": "grey", "score": 0.5}, {"content": "wet"}]


def test_a_reranker(sent: Any) -> None:
    meaning = openinference.read(
        sent(
            {
                "openinference.span.kind": "RERANKER",
                "reranker.query": "oslo",
                "reranker.model_name": "r-1",
                "reranker.output_documents.0.document.id": "7",
            }
        )
    )

    assert (meaning.model, said(meaning.input), said(meaning.output)) == ("r-1", ["oslo"], [{"id": "7"}])


def test_an_embedding_keeps_its_texts_and_no_numbers(sent: Any) -> None:
    meaning = openinference.read(
        sent(
            {
                "openinference.span.kind": "EMBEDDING",
                "embedding.model_name": "e-1",
                "embedding.embeddings.0.embedding.text": "grey",
                "embedding.embeddings.0.embedding.vector": [0.1, 0.2],
                "llm.token_count.prompt": 1,
            }
        )
    )

    assert (meaning.kind, meaning.model, meaning.input, meaning.output) == (
        SpanKind.EMBEDDING, "e-1", (b'"grey"',), None,
    )  # fmt: skip
    assert meaning.usage == Usage(input=1)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("agent", SpanKind.AGENT),
        ("EVALUATOR", SpanKind.SCORER),
        ("GUARDRAIL", SpanKind.SCORER),
        ("PROMPT", SpanKind.OTHER),
    ],
)
def test_kinds(sent: Any, word: str, kind: SpanKind) -> None:
    assert openinference.read(sent({"openinference.span.kind": word})).kind is kind


def test_what_was_flattened_beyond_use_is_not_there(sent: Any) -> None:
    meaning = openinference.read(
        sent(
            {
                "openinference.span.kind": "LLM",
                "llm.input_messages.0": "no message",
                "llm.input_messages.1.message": "no message either",
                "llm.input_messages.x.message.role": "user",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function": "f",
                "llm.output_messages.0.message.contents.0.message_content.weight": 3,
                "llm.tools.0.tool.json_schema": "",
                "." * 5000: 1,
                "llm.prompts." + "a." * 5000 + "b": 1,
            }
        )
    )

    assert said(meaning.output) == [
        {"role": "assistant", "content": [{"type": "unknown", "value": {"weight": 3}}]}
    ]
    assert (meaning.input, meaning.tools) == (None, None)
