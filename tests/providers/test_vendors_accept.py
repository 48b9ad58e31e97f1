"""Whatever the translations to Gemini and Bedrock let through, a vendor that is strict takes; what it could not is refused
before. And whatever an upstream answers, a client gets an answer or an error of ours, never a crash."""

import json
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages_forms import requests, spoiled

from assay.errors import AssayError, BadRequest, Untranslatable
from assay.providers.simulated.asking import Refused
from assay.providers.simulated.converse_asking import parse_converse
from assay.providers.simulated.gemini_asking import parse_gemini
from assay.wire.anthropic import decode_messages
from assay.wire.as_chat_answer import as_chat_answer
from assay.wire.as_chat_request import as_chat_request
from assay.wire.as_converse_request import as_converse_body
from assay.wire.as_gemini_request import as_gemini_body
from assay.wire.converse_answers import ConverseChunks, decode_converse
from assay.wire.converse_answers import NoAnswer as NoConverse
from assay.wire.gemini_answers import GeminiChunks, NoAnswer, StreamError, decode_gemini
from assay.wire.gemini_turns import Signatures
from assay.wire.messages_as_converse import messages_as_converse
from assay.wire.messages_as_gemini import messages_as_gemini
from assay.wire.openai_chat import UNREADABLE, decode_chat, encode_request
from assay.wire.requests import ChatRequest

ALLOWED = (
    "toolConfig field must be defined",  # a client that speaks of tools and sends none
    "set without function_declarations",
    "is not in toolConfig",
    "which is not declared",
    "stop_sequences",  # too many of them
    "stopSequences",
    "Expected toolResult",  # results that the conversation lacks are the client's to send
    "number of function response parts",
)


def as_chat(body: dict[str, Any]) -> ChatRequest:
    """An Anthropic client's request as the chat that providers get."""
    request = as_chat_request(decode_messages(json.dumps(body).encode()))
    return decode_chat(encode_request(request.fields, model=request.model, stream=False))


def check(parse: Any, path: str, body: bytes) -> None:
    refused = ""
    try:
        parse(path, body)
    except Refused as error:
        refused = str(error)
    assert not refused or any(word in refused for word in ALLOWED), body


@given(requests(sayable=True))
def test_gemini_takes_what_is_not_refused_before(body: dict[str, Any]) -> None:
    with suppress(Untranslatable):
        sent = as_gemini_body(as_chat(body), model="gemini-3-pro", signatures=Signatures())
        check(parse_gemini, "/v1beta/models/gemini-3-pro:generateContent", sent)


@given(requests(sayable=True))
def test_bedrock_takes_what_is_not_refused_before(body: dict[str, Any]) -> None:
    with suppress(Untranslatable):
        sent = as_converse_body(as_chat(body), model="anthropic.claude")
        check(parse_converse, "/model/anthropic.claude/converse", sent)


GEMINI = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "a", "thoughtSignature": "s"},
                    {"functionCall": {"name": "f", "id": "i", "args": {"x": [1]}}, "thoughtSignature": "s"},
                    {"inlineData": {"mimeType": "image/png", "data": "AA"}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
            "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1}]},
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 3,
        "candidatesTokenCount": 4,
        "totalTokenCount": 9,
        "thoughtsTokenCount": 2,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
    },
    "promptFeedback": {"blockReason": "OTHER"},
    "modelVersion": "g",
    "responseId": "r",
}
CONVERSE = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "AA"}},
                {"text": "a"},
                {"citationsContent": {"content": [{"text": "b"}], "citations": []}},
                {"toolUse": {"toolUseId": "i", "name": "f", "input": {"x": [1]}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 3, "outputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 1}]},
    "trace": {"promptRouter": {"invokedModelId": "m"}},
}
EVENTS = [
    {"role": "assistant"},
    {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "i", "name": "f"}}},
    {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}},
    {"contentBlockIndex": 1, "delta": {"reasoningContent": {"text": "hm"}}},
    {"contentBlockIndex": 1, "delta": {"text": "a"}},
    {"contentBlockIndex": 1},
    {"stopReason": "end_turn"},
    {"usage": {"inputTokens": 1}, "metrics": {"latencyMs": 1}},
]
KINDS = [
    *("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockDelta", "contentBlockDelta"),
    *("contentBlockStop", "messageStop", "metadata"),
]


@given(st.integers(0, 10**9))
def test_a_careless_gemini_is_read_or_called_unreadable(seed: int) -> None:
    body = json.dumps(spoiled(GEMINI, Random(seed))).encode()
    known = (*UNREADABLE, NoAnswer, StreamError, AssayError)
    with suppress(*known):
        json.loads(decode_gemini(body, created=1, keep=lambda call, signature: None).raw)
    reader = GeminiChunks(created=1, include_usage=True, keep=lambda call, signature: None)
    with suppress(*known):
        for event in (*reader.of(body), *reader.end()):
            json.loads(event.raw or b"{}")


@given(st.integers(0, 10**9))
def test_a_careless_bedrock_is_read_or_called_unreadable(seed: int) -> None:
    random = Random(seed)
    known = (*UNREADABLE, NoConverse, AssayError)
    with suppress(*known):
        body = json.dumps(spoiled(CONVERSE, random)).encode()
        json.loads(as_chat_answer(decode_converse(body, id="i", model="m"), created=1).raw)
    reader = ConverseChunks(id="i", model="m", created=1, include_usage=True)
    for kind, said in zip(KINDS, EVENTS, strict=True):
        with suppress(*known):
            for event in reader.of(kind, json.dumps(spoiled(said, random)).encode()):
                json.loads(event.raw or b"{}")
    for event in reader.end():
        json.loads(event.raw or b"{}")


SPOILABLE: list[Any] = [
    {"role": "system", "content": "s"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}},
        ],
    },
    {
        "role": "assistant",
        "content": "b",
        "tool_calls": [
            {
                "id": "c",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}},
            }
        ],
        "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
        "extra_content": {"google": {"thought_signature": "s"}},
    },
    {"role": "tool", "tool_call_id": "c", "content": "r"},
]
FIELDS: dict[str, Any] = {
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "stop": ["x"],
    "extra_body": {"google": {"thinking_config": {"include_thoughts": True}}},
    "reasoning_effort": "low",
    "top_k": 5,
    "service_tier": "flex",
    "thinking": {"type": "adaptive"},
    "requestMetadata": {"a": "b"},
}


@pytest.mark.parametrize("vendor", ["gemini", "bedrock"])
@given(seed=st.integers(0, 10**9))
def test_a_careless_client_is_told_what_is_wrong(vendor: str, seed: int) -> None:
    random = Random(seed)
    own = {"gemini": "extra_body", "bedrock": "thinking requestMetadata"}[vendor]
    fields = {
        name: value
        for name, value in FIELDS.items()
        if name not in ("extra_body", "thinking", "requestMetadata")
    }
    fields |= {name: FIELDS[name] for name in own.split()}
    sent = spoiled({"model": "m", "messages": SPOILABLE, **fields}, random)
    with suppress(BadRequest):
        request = decode_chat(json.dumps(sent).encode())
        if vendor == "gemini":
            made = as_gemini_body(request, model="gemini-3-pro", signatures=Signatures())
        else:
            made = as_converse_body(request, model="anthropic.claude")
        json.loads(made)


@pytest.mark.parametrize("vendor", ["gemini", "bedrock"])
@given(body=requests(), seed=st.integers(0, 10**9))
def test_a_careless_anthropic_client_is_told_what_is_wrong(
    vendor: str, body: dict[str, Any], seed: int
) -> None:
    more = {"output_config": {"effort": "low"}, "service_tier": "auto", "tool_choice": {"type": "auto"}}
    with suppress(BadRequest):
        request = decode_messages(json.dumps(spoiled({**more, **body}, Random(seed))).encode())
        if vendor == "gemini":
            made = messages_as_gemini(request, model="gemini-3-pro", signatures=Signatures())
        else:
            made = messages_as_converse(request, model="anthropic.claude")
        json.loads(made)
