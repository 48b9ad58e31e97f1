"""OpenTelemetry's names of both generations become the same columns."""

from typing import Any

import pytest

from assay.kit import json
from assay.traces.dialects import genai
from assay.wire.spans import SpanEvent, SpanKind
from assay.wire.usage import Usage


def said(messages: tuple[bytes, ...] | None) -> list[Any]:
    """Messages as values."""
    return [json.decode(message) for message in messages or ()]


WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
NEW = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-4-5",
    "gen_ai.response.model": "claude-sonnet-4-5-20250929",
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.request.stream": True,
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.conversation.id": "c-1",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 10,
    "gen_ai.usage.reasoning.output_tokens": 20,
    "gen_ai.system_instructions": json.encode([{"type": "text", "content": "Be brief."}]).decode(),
    "gen_ai.input.messages": json.encode(
        [
            {"role": "user", "parts": [{"type": "text", "content": "Weather in Oslo?"}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "tool_call", "id": "t1", "name": "weather", "arguments": {"city": "Oslo"}}
                ],
            },
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": "t1", "result": {"sky": "grey"}}],
            },
        ]
    ).decode(),
    "gen_ai.output.messages": json.encode(
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "hm"},
                    {"type": "text", "content": "Grey."},
                    {"type": "tool_call", "id": "t2", "name": "weather", "arguments": '{"city": "Bergen"}'},
                ],
                "finish_reason": "tool_call",
            }
        ]
    ).decode(),
    "gen_ai.tool.definitions": json.encode([WEATHER]).decode(),
}


def test_a_call_in_todays_names(sent: Any) -> None:
    meaning = genai.read(sent(NEW))

    assert (meaning.kind, meaning.provider, meaning.model) == (
        SpanKind.MODEL,
        "anthropic",
        "claude-sonnet-4-5",
    )
    assert (meaning.response_model, meaning.finish_reason, meaning.session) == (
        "claude-sonnet-4-5-20250929", "tool_calls", "c-1",
    )  # fmt: skip
    assert (meaning.streamed, meaning.first_output_ns) == (True, sent().start_ns + 250_000_000)
    assert meaning.usage == Usage(input=30, cache_read=60, cache_write_5m=10, output=30, reasoning=20)
    assert json.decode(meaning.request or b"") == {"temperature": 0.5, "max_tokens": 100}
    assert said(meaning.tools) == [WEATHER]
    assert said(meaning.input) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Oslo?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "t1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                }
            ],
        },
        {"role": "tool", "content": '{"sky":"grey"}', "tool_call_id": "t1"},
    ]
    assert said(meaning.output) == [
        {
            "role": "assistant",
            "content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "Grey."}],
            "tool_calls": [
                {
                    "id": "t2",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Bergen"}'},
                }
            ],
        }
    ]


def test_messages_may_be_values_instead_of_text_and_stand_in_an_event(sent: Any) -> None:
    told = {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]}
    span = sent(
        {"gen_ai.operation.name": "chat"},
        events=(SpanEvent("gen_ai.client.inference.operation.details", 1, told),),
    )

    assert said(genai.read(span).input) == [{"role": "user", "content": "hi"}]


def test_pictures_sounds_and_files(sent: Any) -> None:
    parts = [
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
        {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "BBBB"},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
        {"type": "file", "file_id": "f-1"},
        {"type": "hologram", "depth": 3},
        5,
    ]
    span = sent({"gen_ai.input.messages": [{"role": "user", "parts": parts}]})

    assert said(genai.read(span).input)[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "hologram", "depth": 3},
        {"type": "unknown", "value": 5},
    ]


def test_a_call_in_the_names_before_1_37_with_its_messages_as_events(sent: Any) -> None:
    call = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    span = sent(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4",
            "gen_ai.usage.prompt_tokens": 7,
            "gen_ai.usage.completion_tokens": 3,
        },
        events=(
            SpanEvent("gen_ai.system.message", 1, {"content": "Be brief."}),
            SpanEvent("gen_ai.user.message", 2, {"gen_ai.event.content": '{"content":"hi"}'}),
            SpanEvent("gen_ai.assistant.message", 3, {"tool_calls": json.encode([call]).decode()}),
            SpanEvent("gen_ai.tool.message", 4, {"id": "t1", "content": "grey"}),
            SpanEvent(
                "gen_ai.choice", 5, {"index": 0, "finish_reason": "stop", "message": '{"content":"Grey."}'}
            ),
        ),
    )

    meaning = genai.read(span)

    assert (meaning.provider, meaning.usage, meaning.finish_reason) == (
        "openai",
        Usage(input=7, output=3),
        "stop",
    )
    assert said(meaning.input) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "grey", "tool_call_id": "t1"},
    ]
    assert said(meaning.output) == [{"role": "assistant", "content": "Grey."}]


def test_a_call_whose_messages_are_flattened(sent: Any) -> None:
    meaning = genai.read(
        sent(
            {
                "gen_ai.system": "OpenAI",
                "llm.request.type": "chat",
                "gen_ai.request.model": "gpt-4",
                "gen_ai.prompt.0.role": "system",
                "gen_ai.prompt.0.content": "Be brief.",
                "gen_ai.prompt.1.role": "user",
                "gen_ai.prompt.1.content": '[{"type":"text","text":"hi"}]',
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.finish_reason": "tool_calls",
                "gen_ai.completion.0.tool_calls.0.id": "t1",
                "gen_ai.completion.0.tool_calls.0.name": "weather",
                "gen_ai.completion.0.tool_calls.0.arguments": "{}",
                "llm.request.functions.0.name": "weather",
                "traceloop.association.properties.session_id": "s",
            }
        )
    )

    assert (meaning.kind, meaning.finish_reason, meaning.session) == (SpanKind.MODEL, "tool_calls", "s")
    assert said(meaning.input) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ]
    assert said(meaning.output)[0]["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert said(meaning.tools) == [{"name": "weather"}]


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [("Say hi", ["Say hi"]), ('[{"role":"user","content":"hi"}]', [{"role": "user", "content": "hi"}])],
)
def test_the_oldest_prompts_are_one_text(sent: Any, prompt: str, kept: list[Any]) -> None:
    span = sent({"gen_ai.system": "x", "gen_ai.prompt": prompt, "gen_ai.completion": "hi"})

    assert (said(genai.read(span).input), said(genai.read(span).output)) == (kept, ["hi"])


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "embeddings"}, SpanKind.EMBEDDING),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, SpanKind.AGENT),
        ({"gen_ai.operation.name": "invoke_workflow"}, SpanKind.AGENT),
        ({"gen_ai.operation.name": "execute_tool"}, SpanKind.TOOL),
        ({"gen_ai.operation.name": "retrieval"}, SpanKind.RETRIEVAL),
        ({"gen_ai.operation.name": "create_memory"}, SpanKind.OTHER),
        ({"gen_ai.operation.name": "not of this year"}, SpanKind.OTHER),
        ({"gen_ai.request.model": "m"}, SpanKind.MODEL),
        ({"gen_ai.tool.name": "t"}, SpanKind.TOOL),
        ({"traceloop.span.kind": "workflow"}, SpanKind.OTHER),
        ({"gen_ai.agent.name": "a"}, None),
    ],
)
def test_kinds(sent: Any, attributes: dict[str, Any], kind: SpanKind | None) -> None:
    assert genai.read(sent(attributes)).kind is kind


def test_a_tool_is_what_it_was_asked_and_what_it_gave(sent: Any) -> None:
    meaning = genai.read(
        sent(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "weather",
                "gen_ai.tool.call.arguments": '{"city": "Oslo"}',
                "gen_ai.tool.call.result": {"sky": "grey"},
            }
        )
    )

    assert meaning.input == (b'{"city": "Oslo"}',)
    assert meaning.output == (b'{"sky":"grey"}',)


def test_a_retrieval_keeps_each_document_by_itself(sent: Any) -> None:
    documents = [{"id": "1", "score": 0.5}, {"id": "2"}]
    meaning = genai.read(
        sent(
            {
                "gen_ai.operation.name": "retrieval",
                "gen_ai.retrieval.query.text": "oslo",
                "gen_ai.retrieval.documents": json.encode(documents).decode(),
            }
        )
    )

    assert (said(meaning.input), said(meaning.output)) == (["oslo"], documents)


def test_what_has_the_wrong_type_is_not_there(sent: Any) -> None:
    meaning = genai.read(
        sent(
            {
                "gen_ai.operation.name": 5,
                "gen_ai.provider.name": [],
                "gen_ai.request.model": True,
                "gen_ai.usage.input_tokens": "many",
                "gen_ai.usage.output_tokens": -1,
                "gen_ai.input.messages": "{",
                "gen_ai.output.messages": 5,
                "gen_ai.tool.definitions": {"a": 1},
                "gen_ai.prompt.x.role": "user",
                "gen_ai.system_instructions": "",
                "gen_ai.response.finish_reasons": [None],
                "gen_ai.response.time_to_first_chunk": "soon",
            }
        )
    )

    assert (meaning.provider, meaning.model, meaning.usage, meaning.input, meaning.output) == (None,) * 5
    assert (meaning.tools, meaning.finish_reason, meaning.first_output_ns) == (None, None, None)
