"""Converse's format: what a chat asks goes there and what it answers comes back, with nothing lost and nothing made up."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import Untranslatable
from assay.wire.as_chat_answer import as_chat_answer
from assay.wire.as_converse_request import as_converse_body
from assay.wire.converse_answers import ConverseChunks, NoAnswer, SentUsage, decode_converse, usage_of
from assay.wire.messages import OpaquePart, TextPart
from assay.wire.openai_chat import decode_chat
from assay.wire.openai_stream import assemble
from assay.wire.responses import Response, StreamEvent
from assay.wire.usage import Usage

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
PICTURE = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,AA=="
CLAUDE = "us.anthropic.claude-x-v1:0"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": SCHEMA}}
MARK = {"type": "ephemeral"}


def body(*messages: Any, upstream: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    sent = {"model": "m", "messages": list(messages) or HELLO, **fields}
    read = json.loads(as_converse_body(decode_chat(json.dumps(sent).encode()), model=upstream))
    assert isinstance(read, dict)
    return read


def called(*calls: tuple[str, str, str], text: str | None = None, **more: Any) -> dict[str, Any]:
    made = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": text, "tool_calls": made, **more}


def result(id: str, text: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text, **more}


# --- Requests ---


def test_messages_become_turns_that_take_turns() -> None:
    made = body(
        {"role": "system", "content": "be kind"},
        {"role": "developer", "content": [{"type": "text", "text": "and brief", "cache_control": MARK}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?", "cache_control": {**MARK, "ttl": "1h"}},
                {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "s3://bucket/cat.JPG"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {"type": "file", "file": {"filename": "my_big.report.pdf", "file_data": PDF}},
                {"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}},
            ],
        },
        {"role": "user", "content": ""},
        {"role": "user", "content": "tell me"},
        {"role": "assistant", "content": "a cat"},
        {"role": "user", "content": "sure?"},
    )
    assert made == {
        "system": [{"text": "be kind"}, {"text": "and brief"}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "what is this?"},
                    {"cachePoint": {"type": "default", "ttl": "1h"}},
                    {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
                    {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/cat.JPG"}}}},
                    {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}},
                    {"document": {"format": "pdf", "name": "my big report", "source": {"bytes": "AA=="}}},
                    {"document": {"format": "csv", "name": "document 6", "source": {"bytes": "AA=="}}},
                    {"text": "tell me"},
                ],
            },
            {"role": "assistant", "content": [{"text": "a cat"}]},
            {"role": "user", "content": [{"text": "sure?"}]},
        ],
    }


def test_documents_of_one_name_are_told_apart() -> None:
    paper = {"type": "file", "file": {"filename": "paper.pdf", "file_data": PDF}}
    made = body(
        {"role": "user", "content": [paper, paper]},
        called(("c", "f", "{}")),
        {"role": "tool", "tool_call_id": "c", "content": [paper]},
    )
    first, last = made["messages"][0]["content"], made["messages"][2]["content"]
    names = [block["document"]["name"] for block in (*first, *last[0]["toolResult"]["content"])]
    assert names == ["paper", "paper (2)", "paper (3)"]


def test_calls_and_their_results_keep_ids_order_and_failures() -> None:
    made = body(
        HELLO[0],
        called(("c1", "weather", '{"city": "Rome", "n": 1.50}'), ("c2", "clock", ""), text="One moment."),
        result("c2", "noon"),
        result("c1", "no such city", is_error=True),
        result("c3", ""),
        {"role": "user", "content": "and?"},
    )
    assert made["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"text": "One moment."},
                {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Rome", "n": 1.5}}},
                {"toolUse": {"toolUseId": "c2", "name": "clock", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c2", "content": [{"text": "noon"}]}},
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "no such city"}], "status": "error"}},
                {"toolResult": {"toolUseId": "c3", "content": []}},
                {"text": "and?"},
            ],
        },
    ]


def test_signed_thinking_goes_back_and_other_thinking_stays_behind() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "AAAA"},
    ]
    made = body(
        HELLO[0], called(("c", "f", "{}"), reasoning_content="hm", thinking_blocks=blocks), result("c", "x")
    )
    assert made["messages"][1]["content"][:2] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
    ]
    unsigned = body(HELLO[0], {"role": "assistant", "content": "a", "reasoning_content": "hm"})
    assert unsigned["messages"][1]["content"] == [{"text": "a"}]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "weather"}}, {"tool": {"name": "weather"}}),
    ],
)
def test_every_choice_of_a_tool_is_said(choice: Any, said: Any) -> None:
    marked = {**FUNCTION, "cache_control": MARK}
    made = body(tools=[marked], tool_choice=choice)
    spec = {"name": "weather", "description": "d", "inputSchema": {"json": SCHEMA}}
    assert made["toolConfig"] == {
        "tools": [{"toolSpec": spec}, {"cachePoint": {"type": "default"}}],
        "toolChoice": said,
    }


def test_tools_that_shall_not_be_used_are_not_shown_unless_they_were_used() -> None:
    assert "toolConfig" not in body(tools=[FUNCTION], tool_choice="none")
    used = [HELLO[0], called(("c", "weather", "{}")), result("c", "x")]
    with pytest.raises(Untranslatable, match="tool_choice 'none'"):
        body(*used, tools=[FUNCTION], tool_choice="none")


def test_sampling_has_its_names_and_what_only_some_models_know_stands_apart() -> None:
    made = body(temperature=0.5, top_p=0.25, max_completion_tokens=9, stop=["a", "b"], top_k=7)
    assert made["inferenceConfig"] == {
        "temperature": 0.5,
        "topP": 0.25,
        "maxTokens": 9,
        "stopSequences": ["a", "b"],
    }
    assert made["additionalModelRequestFields"] == {"top_k": 7}
    nova = body(top_k=7, upstream="amazon.nova-lite-v1:0")
    assert nova["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 7}}
    assert body(top_k=7, upstream="cohere.command-r-v1:0")["additionalModelRequestFields"] == {"k": 7}
    joined = body(top_k=7, additionalModelRequestFields={"x": 1}, thinking={"type": "adaptive"})
    assert joined["additionalModelRequestFields"] == {"top_k": 7, "x": 1, "thinking": {"type": "adaptive"}}


def test_schemas_efforts_and_tiers_are_asked_for() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    made = body(response_format=form, reasoning_effort="minimal", service_tier="flex")
    said = made["outputConfig"]["textFormat"]
    assert json.loads(said["structure"]["jsonSchema"].pop("schema")) == SCHEMA
    assert said == {"type": "json_schema", "structure": {"jsonSchema": {"name": "a"}}}
    assert made["outputConfig"]["effort"] == "low"
    assert made["serviceTier"] == {"type": "flex"}
    off = body(reasoning_effort="none")
    assert off["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}


def test_converses_own_fields_go_along() -> None:
    own: dict[str, Any] = {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"team": "a"},
    }
    made = body(**own)
    assert {name: made[name] for name in own} == own


def test_what_changes_nothing_is_left_behind() -> None:
    neutral: dict[str, Any] = {
        "user": "u",
        "prompt_cache_key": "k",
        "store": False,
        "metadata": {},
        "logit_bias": {},
        "n": 1,
        "presence_penalty": 0,
        "parallel_tool_calls": True,
        "service_tier": "auto",
        "logprobs": False,
        "seed": None,
        "response_format": {"type": "text"},
        "stream_options": {"include_usage": True},
        "assay": {"user": "u"},
    }
    assert body(**neutral) == {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"service_tier": "scale"}, "service_tier"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"guardrailConfig": "x"}, "guardrailConfig"),
        ({"top_k": 5, "upstream": "meta.llama4"}, "top_k"),
        ({"thinking": {"type": "enabled"}, "upstream": "meta.llama4"}, "thinking"),
        ({"anything_else": 1}, "anything_else"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(fields: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        body(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "function", "name": "f", "content": "x"}, "messages[0].role"),
        (called(("c", "f", "[1]")), "messages[0].tool_calls[0].function.arguments"),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://example.com/c.png"}}],
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "s3://b/c"}}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,A"}}],
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
            "messages[0].content[0].file.file_id",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:video/mp4;base64,A"}}]},
            "messages[0].content[0].file.file_data",
        ),
        ({"role": "user", "content": [{"type": "search_result"}]}, "messages[0].content[0]"),
    ],
)
def test_a_message_that_cannot_be_said_is_named(message: Any, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        body(message)
    assert caught.value.param == param


# --- Answers ---


def answer(*blocks: Any, stop: str = "end_turn", **around: Any) -> bytes:
    message = {"role": "assistant", "content": list(blocks)}
    return json.dumps(
        {"output": {"message": message}, "stopReason": stop, **around}, ensure_ascii=False
    ).encode()


def whole(body: bytes) -> Response:
    return as_chat_answer(decode_converse(body, id="r", model="upstream"), created=1)


def test_an_answer_with_thoughts_words_and_calls() -> None:
    response = whole(
        answer(
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "AAAA"}},
            {"text": "One "},
            {"citationsContent": {"content": [{"text": "moment."}], "citations": [{"title": "t"}]}},
            {"toolUse": {"toolUseId": "t1", "name": "a", "input": {"x": 1.5}}},
            stop="tool_use",
            usage={"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        )
    )
    said = json.loads(response.raw)
    message = said["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("One moment.", "hm")
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "AAAA"},
    ]
    assert message["tool_calls"] == [
        {"id": "t1", "type": "function", "function": {"name": "a", "arguments": '{"x":1.5}'}}
    ]
    assert said["choices"][0]["finish_reason"] == response.choices[0].finish_reason == "tool_calls"
    assert (said["id"], said["model"], said["created"], said["usage"]["total_tokens"]) == (
        "r",
        "upstream",
        1,
        7,
    )
    cited = response.choices[0].message.parts[3]
    assert isinstance(cited, TextPart)
    assert cited.beside is not None
    back = body(HELLO[0], message, result("t1", "x"))["messages"][1]["content"]
    assert back[0] == {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}


def test_the_model_that_a_router_chose_is_named() -> None:
    assert whole(answer({"text": "x"}, trace={"promptRouter": {"invokedModelId": "arn:x"}})).model == "arn:x"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("new_word", "new_word"),
    ],
)
def test_reasons_to_stop_are_openais(word: str, said: str) -> None:
    assert json.loads(whole(answer({"text": "x"}, stop=word)).raw)["choices"][0]["finish_reason"] == said


def test_an_answer_that_is_none_is_an_error_and_one_that_began_is_not() -> None:
    with pytest.raises(NoAnswer, match="malformed_tool_use"):
        whole(answer(stop="malformed_tool_use"))
    assert whole(answer({"text": "x"}, stop="malformed_tool_use")).text == "x"


def test_unknown_blocks_are_kept() -> None:
    (part,) = whole(answer({"video": {"format": "mp4"}})).choices[0].message.parts
    assert isinstance(part, OpaquePart)
    assert part.type == "video"


def test_counts_are_taken_apart() -> None:
    sent = {
        "inputTokens": 5,
        "outputTokens": 7,
        "totalTokens": 62,
        "cacheReadInputTokens": 30,
        "cacheWriteInputTokens": 20,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 15}, {"ttl": "5m", "inputTokens": 5}],
    }
    usage = whole(answer({"text": "x"}, usage=sent)).usage
    assert usage == Usage(input=5, cache_read=30, cache_write_5m=5, cache_write_1h=15, output=7)
    assert usage_of(None) is None
    assert usage_of(SentUsage()) is None
    assert usage_of(SentUsage(input_tokens=1, cache_write_input_tokens=4)) == Usage(input=1, cache_write_5m=4)


# --- Streams ---


def stream(
    events: list[tuple[str, Any]], *, include_usage: bool = True
) -> tuple[list[StreamEvent], ConverseChunks]:
    reader = ConverseChunks(id="r", model="upstream", created=1, include_usage=include_usage)
    made = [event for kind, said in events for event in reader.of(kind, json.dumps(said).encode())]
    return [*made, *(reader.end() if reader.is_complete else ())], reader


def told(blocks: list[Any], random: Random, stop: str = "end_turn") -> list[tuple[str, Any]]:
    """The events that say these blocks, in pieces of any size."""
    made: list[tuple[str, Any]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(blocks):
        deltas: list[Any] = []
        if "text" in block:
            deltas = [{"text": piece} for piece in pieces(block["text"], random)]
        elif "toolUse" in block:
            use = block["toolUse"]
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            made.append(("contentBlockStart", {"start": start, "contentBlockIndex": index}))
            said = json.dumps(use["input"], separators=(",", ":"), ensure_ascii=False) if use["input"] else ""
            deltas = [{"toolUse": {"input": piece}} for piece in pieces(said, random)]
        else:
            thought = block["reasoningContent"]["reasoningText"]
            deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(thought["text"], random)]
            deltas.append({"reasoningContent": {"signature": thought["signature"]}})
        made += [("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}) for delta in deltas]
        made.append(("contentBlockStop", {"contentBlockIndex": index}))
    return [*made, ("messageStop", {"stopReason": stop})]


def pieces(text: str, random: Random) -> list[str]:
    cuts = sorted(random.randint(0, len(text)) for _ in range(3))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
blocks = st.lists(
    words.map(lambda text: {"text": text})
    | words.map(lambda text: {"reasoningContent": {"reasoningText": {"text": text, "signature": "s"}}})
    | st.builds(
        lambda id, fields: {"toolUse": {"toolUseId": id, "name": "f", "input": fields}},
        words,
        st.dictionaries(words, st.none() | st.integers(-9, 9) | words, max_size=2),
    ),
    min_size=1,
    max_size=5,
)


@given(blocks, st.integers(0, 10**6))
def test_a_stream_in_any_pieces_says_what_the_whole_answer_says(made: list[Any], seed: int) -> None:
    events, reader = stream(told(made, Random(seed)))
    assert reader.is_complete
    message = json.loads(whole(answer(*made)).raw)["choices"][0]["message"]
    chunks = [json.loads(event.raw) for event in events if event.raw]
    thinking = [
        block for chunk in chunks for block in chunk["choices"][0]["delta"].get("thinking_blocks", ())
    ]
    assert thinking == message.pop("thinking_blocks", [])
    message.pop("refusal")
    message["content"] = message["content"] or None
    assert json.loads(assemble([event.raw for event in events if event.raw])[0]) == message


def test_the_counts_come_last_and_are_hidden_from_a_client_that_did_not_ask() -> None:
    counted = ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {}})
    events, _ = stream([*told([{"text": "x"}], Random(1)), counted])
    assert events[-1].usage == Usage(input=3, output=4)
    assert json.loads(events[-1].raw or b"")["usage"]["total_tokens"] == 7
    hidden, _ = stream([*told([{"text": "x"}], Random(1)), counted], include_usage=False)
    assert (hidden[-1].raw, hidden[-1].usage) == (None, Usage(input=3, output=4))
    assert all("usage" not in json.loads(event.raw) for event in hidden if event.raw)


def test_redacted_thinking_is_told_as_a_block_and_a_mistake_of_the_model_is_an_error() -> None:
    redacted = {"delta": {"reasoningContent": {"redactedContent": "AAAA"}}, "contentBlockIndex": 0}
    events, _ = stream([("contentBlockDelta", redacted)])
    delta = json.loads(events[0].raw or b"")["choices"][0]["delta"]
    assert delta == {"thinking_blocks": [{"type": "redacted_thinking", "data": "AAAA"}]}
    with pytest.raises(NoAnswer):
        stream(told([], Random(1), stop="malformed_model_output"))


def test_an_event_of_a_new_kind_is_a_sign_of_life() -> None:
    events, reader = stream([("somethingNew", {"p": "x"})])
    assert [event.raw for event in events] == [None]
    assert not reader.is_complete
