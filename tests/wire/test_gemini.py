"""Gemini's format: what a chat asks goes there and what it answers comes back, with nothing lost and nothing made up."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import Untranslatable
from assay.wire.as_gemini_request import as_gemini_body
from assay.wire.gemini_answers import (
    GeminiChunks,
    NoAnswer,
    SentUsage,
    StreamError,
    decode_gemini,
    usage_of,
)
from assay.wire.gemini_turns import MOST_SIGNATURES, UNSIGNED, Signatures
from assay.wire.messages import OpaquePart
from assay.wire.openai_chat import decode_chat
from assay.wire.openai_stream import assemble
from assay.wire.responses import StreamEvent
from assay.wire.usage import Usage, UsageSource

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
PICTURE = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
FUNCTION = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}


def body(
    *messages: Any, model: str = "gemini-2.5-flash", signatures: Signatures | None = None, **fields: Any
) -> dict[str, Any]:
    sent = {"model": "m", "messages": list(messages) or HELLO, **fields}
    made = as_gemini_body(
        decode_chat(json.dumps(sent).encode()), model=model, signatures=signatures or Signatures()
    )
    read = json.loads(made)
    assert isinstance(read, dict)
    return read


def config(**fields: Any) -> Any:
    return body(**fields).get("generationConfig")


def called(
    *calls: tuple[str, str, str], text: str | None = None, extra: dict[str, Any] | None = None
) -> dict[str, Any]:
    made = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **(extra or {})}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}


def result(id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text}


# --- Requests ---


def test_messages_become_contents_and_system_messages_instructions() -> None:
    made = body(
        {"role": "system", "content": "be kind"},
        {"role": "developer", "content": [{"type": "text", "text": "and brief"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a/cat.JPG?size=2"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                },
                {
                    "type": "file",
                    "file": {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/abc"},
                },
            ],
        },
        {"role": "assistant", "content": "a cat"},
        {"role": "user", "content": "sure?"},
    )
    assert made == {
        "systemInstruction": {"parts": [{"text": "be kind"}, {"text": "and brief"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "what is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    {
                        "fileData": {
                            "mimeType": "image/jpeg",
                            "fileUri": "https://example.com/a/cat.JPG?size=2",
                        }
                    },
                    {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
                    {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
                    {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
                ],
            },
            {"role": "model", "parts": [{"text": "a cat"}]},
            {"role": "user", "parts": [{"text": "sure?"}]},
        ],
    }


def test_calls_and_their_results_keep_ids_order_and_structure() -> None:
    made = body(
        HELLO[0],
        called(("c1", "weather", '{"city": "Rome", "n": 1.50}'), ("c2", "clock", ""), text="One moment."),
        result("c2", "noon"),
        result("c1", '{"sky": "blue", "t": 20.50}'),
        {"role": "user", "content": "and?"},
    )
    assert made["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "One moment."},
                {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Rome", "n": 1.5}}},
                {"functionCall": {"id": "c2", "name": "clock", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "clock", "id": "c2", "response": {"output": "noon"}}},
                {
                    "functionResponse": {
                        "name": "weather",
                        "id": "c1",
                        "response": {"output": {"sky": "blue", "t": 20.5}},
                    }
                },
            ],
        },
        {"role": "user", "parts": [{"text": "and?"}]},
    ]


def test_a_result_may_have_a_picture() -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    made = body(
        HELLO[0], called(("c", "look", "{}")), {"role": "tool", "tool_call_id": "c", "content": parts}
    )
    assert made["contents"][-1]["parts"][0]["functionResponse"] == {
        "name": "look",
        "id": "c",
        "response": {"output": "see"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
    }


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "weather"}},
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "weather"}}],
                },
            },
            {"mode": "VALIDATED", "allowedFunctionNames": ["weather"]},
        ),
    ],
)
def test_every_choice_of_a_tool_is_said(choice: Any, said: Any) -> None:
    made = body(tools=[FUNCTION], tool_choice=choice)
    assert made["toolConfig"] == {"functionCallingConfig": said}
    assert made["tools"] == [
        {"functionDeclarations": [{"name": "weather", "description": "d", "parametersJsonSchema": SCHEMA}]}
    ]


def test_strict_tools_ask_for_calls_that_keep_to_their_schema() -> None:
    strict = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "strict": True}}
    assert body(tools=[strict])["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    demanded = body(tools=[strict], tool_choice="required")
    assert demanded["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


def test_sampling_stops_seeds_and_logprobs_have_their_names() -> None:
    assert config(
        temperature=1.5,
        top_p=0.5,
        top_k=7,
        n=2,
        seed=3,
        max_completion_tokens=9,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        stop="end",
        logprobs=True,
        top_logprobs=4,
    ) == {
        "temperature": 1.5,
        "topP": 0.5,
        "topK": 7,
        "candidateCount": 2,
        "seed": 3,
        "maxOutputTokens": 9,
        "presencePenalty": 0.5,
        "frequencyPenalty": -0.5,
        "stopSequences": ["end"],
        "responseLogprobs": True,
        "logprobs": 4,
    }


def test_json_and_schemas_are_asked_for() -> None:
    assert config(response_format={"type": "json_object"}) == {"responseMimeType": "application/json"}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    assert config(response_format=schema) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}),
        ("models/gemini-2.5-pro", "high", {"thinkingBudget": 24576}),
        ("gemini-3-pro", "high", {"thinkingLevel": "HIGH"}),
        ("gemini-4-argon", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro", "none", {"thinkingBudget": 0}),
    ],
)
def test_an_effort_is_a_level_or_for_older_models_a_budget(model: str, effort: str, said: Any) -> None:
    assert body(model=model, reasoning_effort=effort)["generationConfig"] == {"thinkingConfig": said}


def test_googles_own_fields_stand_where_google_has_them_for_openais_clients() -> None:
    made = body(
        reasoning_effort="low",
        extra_body={
            "google": {
                "thinking_config": {"include_thoughts": True},
                "cached_content": "cachedContents/1",
                "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            }
        },
    )
    assert made["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True}}
    assert made["cachedContent"] == "cachedContents/1"
    assert made["safetySettings"][0]["threshold"] == "OFF"


def test_what_changes_nothing_is_left_behind() -> None:
    neutral: dict[str, Any] = {
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "store": False,
        "metadata": {},
        "logit_bias": {},
        "parallel_tool_calls": True,
        "service_tier": "auto",
        "modalities": ["text"],
        "logprobs": False,
        "seed": None,
        "stream_options": {"include_usage": True},
        "assay": {"user": "u"},
    }
    assert body(**neutral) == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    assert body(service_tier="flex")["serviceTier"] == "flex"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"verbosity": "high"}, "verbosity"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"reasoning_effort": "max"}, "reasoning_effort"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"extra_body": {"google": {"other": 1}}}, "extra_body.google.other"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(fields: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        body(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([HELLO[0], {"role": "system", "content": "x"}], "messages[1].role"),
        ([{"role": "function", "name": "f", "content": "x"}], "messages[0].role"),
        ([HELLO[0], result("nobody", "x")], "messages[1].tool_call_id"),
        ([HELLO[0], called(("c", "f", "[1]"))], "messages[1].tool_calls[0].function.arguments"),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://example.com/cat"}}],
                }
            ],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
            "messages[0].content[0].file.file_id",
        ),
        ([{"role": "user", "content": [{"type": "search_result"}]}], "messages[0].content[0]"),
    ],
)
def test_a_message_that_cannot_be_said_is_named(messages: list[Any], param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        body(*messages)
    assert caught.value.param == param


# --- Signatures ---


def test_signatures_that_a_client_sends_back_stand_at_their_parts() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "s1"}}}
    made = body(
        HELLO[0],
        {
            **called(("c1", "a", "{}"), text="words", extra=signed),
            "extra_content": {"google": {"thought_signature": "s0"}},
        },
        result("c1", "x"),
        {"role": "assistant", "content": "", **signed},
        model="gemini-3-pro",
    )
    assert made["contents"][1]["parts"] == [
        {"text": "words", "thoughtSignature": "s0"},
        {"functionCall": {"id": "c1", "name": "a", "args": {}}, "thoughtSignature": "s1"},
    ]
    assert made["contents"][3]["parts"] == [{"text": "", "thoughtSignature": "s1"}]


def test_a_client_that_drops_signatures_has_them_remembered() -> None:
    known = Signatures()
    known.keep("c1", "s1")
    made = body(
        HELLO[0],
        called(("c1", "a", "{}"), ("c2", "a", "{}")),
        result("c1", "x"),
        result("c2", "y"),
        signatures=known,
        model="gemini-3-pro",
    )
    assert [part.get("thoughtSignature") for part in made["contents"][1]["parts"]] == ["s1", None]


def test_a_call_that_gemini_never_made_says_so_to_models_that_demand_signatures() -> None:
    turns = (HELLO[0], called(("c1", "a", "{}"), ("c2", "b", "{}")), result("c1", "x"), result("c2", "y"))
    newer = body(*turns, model="gemini-3-pro")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in newer] == [UNSIGNED, None]
    older = body(*turns, model="gemini-2.5-flash")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in older] == [None, None]


def test_only_so_many_signatures_are_remembered() -> None:
    known = Signatures()
    for at in range(MOST_SIGNATURES + 1):
        known.keep(f"c{at}", "s")
    assert known.find("c0") is None
    assert known.find("c1") == "s"


# --- Answers ---


def answer(*candidates: Any, **around: Any) -> bytes:
    made = {"candidates": list(candidates), "modelVersion": "gemini-x", "responseId": "r", **around}
    return json.dumps(made, indent=2).encode()


def candidate(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, **more}


def whole(body: bytes, kept: dict[str, str] | None = None) -> Any:
    return decode_gemini(body, created=1, keep=(kept if kept is not None else {}).__setitem__)


def test_an_answer_with_thoughts_words_and_signed_calls() -> None:
    kept: dict[str, str] = {}
    response = whole(
        answer(
            candidate(
                {"text": "hm", "thought": True},
                {"text": "One ", "thoughtSignature": "s0"},
                {"text": "moment."},
                {"functionCall": {"name": "a", "args": {"x": 1.50}}, "thoughtSignature": "s1"},
                {"functionCall": {"name": "b", "id": "given"}},
            ),
            usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        ),
        kept,
    )
    said = json.loads(response.raw)
    message = said["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("One moment.", "hm")
    assert message["extra_content"] == {"google": {"thought_signature": "s0"}}
    first, second = message["tool_calls"]
    assert first["id"].startswith("call_")
    assert len(first["id"]) <= 40, "OpenAI takes no longer ids"
    assert kept == {first["id"]: "s1"}
    assert first["function"] == {"name": "a", "arguments": '{"x":1.5}'}
    assert first["extra_content"] == {"google": {"thought_signature": "s1"}}
    assert second == {"id": "given", "type": "function", "function": {"name": "b", "arguments": "{}"}}
    assert said["choices"][0]["finish_reason"] == "tool_calls"
    assert (said["id"], said["model"], said["created"]) == ("r", "gemini-x", 1)
    assert said["usage"]["total_tokens"] == 7
    assert response.choices[0].finish_reason == "tool_calls"


def test_what_an_answer_says_can_be_sent_back_as_it_is() -> None:
    call = {"functionCall": {"name": "a", "args": {"x": 1}}, "thoughtSignature": "s1"}
    message = json.loads(whole(answer(candidate({"text": "hi", "thoughtSignature": "s0"}, call))).raw)
    said = message["choices"][0]["message"]
    back = body(HELLO[0], said, result(said["tool_calls"][0]["id"], "r"), model="gemini-3-pro")
    parts = back["contents"][1]["parts"]
    assert parts[0] == {"text": "hi", "thoughtSignature": "s0"}
    assert parts[1]["thoughtSignature"] == "s1"
    assert parts[1]["functionCall"]["args"] == {"x": 1}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("SPII", "content_filter"),
        ("NEW", "new"),
    ],
)
def test_reasons_to_stop_are_openais(word: str, said: str) -> None:
    assert (
        json.loads(whole(answer(candidate({"text": "x"}, finish=word))).raw)["choices"][0]["finish_reason"]
        == said
    )


def test_a_blocked_prompt_is_an_answer_without_content() -> None:
    response = whole(answer(promptFeedback={"blockReason": "SAFETY"}, usageMetadata={"promptTokenCount": 9}))
    choice = json.loads(response.raw)["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert response.usage == Usage(input=9)
    blocked = json.loads(whole(answer({"finishReason": "SAFETY", "index": 0})).raw)["choices"][0]
    assert (blocked["finish_reason"], blocked["message"]["content"]) == ("content_filter", None)


def test_an_answer_that_is_none_is_an_error() -> None:
    with pytest.raises(NoAnswer, match="no candidates"):
        whole(answer())
    with pytest.raises(NoAnswer, match="MALFORMED_FUNCTION_CALL: print"):
        whole(answer({"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "print(1)"}))


def test_images_and_unknown_parts_are_kept() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    response = whole(answer(candidate(image, {"executableCode": {"code": "1"}})))
    message = json.loads(response.raw)["choices"][0]["message"]
    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    opaque = response.choices[0].message.parts[1]
    assert isinstance(opaque, OpaquePart)
    assert opaque.type == "executableCode"


def test_logprobs_are_said_as_openai_says_them() -> None:
    logprobs = {
        "chosenCandidates": [{"token": "hé", "tokenId": 1, "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "hé", "logProbability": -0.5}, {"token": "a", "logProbability": -2}]}
        ],
    }
    choice = json.loads(whole(answer(candidate({"text": "hé"}, logprobsResult=logprobs))).raw)["choices"][0]
    assert choice["logprobs"]["content"] == [
        {
            "token": "hé",
            "logprob": -0.5,
            "bytes": [104, 195, 169],
            "top_logprobs": [
                {"token": "hé", "logprob": -0.5, "bytes": [104, 195, 169]},
                {"token": "a", "logprob": -2.0, "bytes": [97]},
            ],
        }
    ]


# --- Counts ---


def test_counts_are_taken_apart() -> None:
    sent = SentUsage(
        prompt_token_count=100,
        cached_content_token_count=40,
        tool_use_prompt_token_count=5,
        candidates_token_count=20,
        thoughts_token_count=7,
        total_token_count=132,
    )
    assert usage_of(sent) == Usage(input=65, cache_read=40, output=20, reasoning=7)


def test_thinking_that_a_server_counted_within_the_output_is_counted_once() -> None:
    sent = SentUsage(
        prompt_token_count=10, candidates_token_count=20, thoughts_token_count=8, total_token_count=30
    )
    assert usage_of(sent) == Usage(input=10, output=12, reasoning=8)


def test_sound_has_a_class_of_its_own_and_pictures_that_come_out() -> None:
    parts = {
        "prompt": {"TEXT": 30, "AUDIO": 70},
        "cache": {"AUDIO": 20},
        "candidates": {"IMAGE": 12, "TEXT": 3},
    }
    raw = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 15,
        **{
            f"{name}TokensDetails": [{"modality": kind, "tokenCount": count} for kind, count in kinds.items()]
            for name, kinds in parts.items()
        },
    }
    usage = whole(answer(candidate({"text": "x"}), usageMetadata=raw)).usage
    assert usage == Usage(input=30, cache_read=20, audio_input=50, output=3, image_output=12)


def test_nothing_counted_is_unknown() -> None:
    assert usage_of(None) is None
    assert usage_of(SentUsage()) is None


# --- Streams ---


def stream(events: list[bytes], *, include_usage: bool = True) -> tuple[list[StreamEvent], GeminiChunks]:
    reader = GeminiChunks(created=1, include_usage=include_usage, keep=lambda call, signature: None)
    made = [event for data in events for event in reader.of(data)]
    return [*made, *(reader.end() if reader.is_complete else ())], reader


def test_a_stream_counts_what_went_in_at_once_and_what_came_out_at_the_end() -> None:
    events, reader = stream(
        [
            answer(candidate({"text": "a"}, finish=None), usageMetadata={"promptTokenCount": 5}),
            answer(
                candidate({"text": "b"}),
                usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
            ),
        ]
    )
    assert reader.is_complete
    counts = [event.usage for event in events if event.usage]
    assert counts == [Usage(input=5, output_source=UsageSource.ESTIMATE), Usage(input=5, output=2)]
    assert json.loads(events[-1].raw or b"")["usage"]["completion_tokens"] == 2
    hidden, _ = stream(
        [answer(candidate({"text": "a"}), usageMetadata={"promptTokenCount": 5})], include_usage=False
    )
    assert [event.raw for event in hidden][-1] is None
    assert "".join(event.text for event in events) == "ab"
    assert [event.is_output for event in events if event.raw][:2] == [False, True]


def test_a_stream_is_incomplete_while_a_candidate_has_not_ended() -> None:
    _, reader = stream(
        [answer(candidate({"text": "a"}, index=0), candidate({"text": "b"}, index=1, finish=None))]
    )
    assert not reader.is_complete


def test_a_blocked_prompt_ends_a_stream() -> None:
    events, reader = stream([answer(promptFeedback={"blockReason": "OTHER"})])
    assert reader.is_complete
    assert [event.finish_reason for event in events][-1] == "content_filter"


def test_an_error_in_a_stream_is_one() -> None:
    with pytest.raises(StreamError):
        stream([b'{"error": {"code": 503}}'])
    with pytest.raises(NoAnswer):
        stream([answer({"finishReason": "MALFORMED_FUNCTION_CALL"})])


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
parts = st.lists(
    words.map(lambda text: {"text": text})
    | words.map(lambda text: {"text": text, "thought": True})
    | st.builds(
        lambda name, value: {"functionCall": {"name": name, "id": name, "args": {"v": value}}},
        words,
        st.none() | st.integers(-9, 9) | words,
    ),
    min_size=1,
    max_size=6,
)


@given(parts, st.integers(0, 10**6))
def test_a_stream_cut_anywhere_says_what_the_whole_answer_says(made: list[Any], seed: int) -> None:
    random = Random(seed)
    pieces: list[list[Any]] = [[]]
    for part in made:
        if "text" in part and random.random() < 0.5:
            for letter in part["text"]:
                pieces += [[{**part, "text": letter}]]
        elif random.random() < 0.5:
            pieces[-1].append(part)
        else:
            pieces.append([part])
    last = len(pieces) - 1
    told, reader = stream(
        [answer(candidate(*piece, finish="STOP" if at == last else None)) for at, piece in enumerate(pieces)]
    )
    message = json.loads(whole(answer(candidate(*made))).raw)["choices"][0]["message"]
    message.pop("refusal")
    assert reader.is_complete
    assert json.loads(assemble([event.raw for event in told if event.raw])[0]) == message
