"""OpenAI's formats: nothing is lost on the way in and out, and what is wrong is named by its path."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from assay.errors import BadRequest
from assay.wire.messages import AudioPart, FilePart, ImagePart, Message, OpaquePart, RefusalPart, TextPart
from assay.wire.openai_chat import (
    MAX_MESSAGES,
    StreamError,
    chat_request,
    decode_chat,
    decode_chunk,
    decode_completion,
    decode_message,
    decode_response,
    encode_message,
    encode_request,
)
from assay.wire.openai_parts import encode_part
from assay.wire.openai_usage import encode_usage

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
anything = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
KNOWN = {
    *(
        "model",
        "messages",
        "prompt",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "n",
        "stop",
        "seed",
    ),
    *(
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "user",
        "assay",
        "tools",
        "tool_choice",
        "response_format",
    ),
    *(
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "echo",
        "suffix",
        "best_of",
    ),
}
unknown = st.dictionaries(text.filter(lambda name: name not in KNOWN), anything, max_size=4)


IN_MESSAGES = {
    *("text", "image_url", "input_audio", "file", "refusal", "signature", "cache_control"),
    *("content", "name", "tool_calls", "tool_call_id", "reasoning", "reasoning_content", "is_error"),
    *("id", "function", "arguments", "url", "detail", "data", "format", "file_id", "file_data", "filename"),
}


def but(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Fields that no format knows."""
    return st.dictionaries(
        text.filter(lambda name: name not in {*names, *IN_MESSAGES, *KNOWN}), anything, max_size=3
    )


@st.composite
def objects(
    draw: st.DrawFn, fixed: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> Any:
    """An object with its known fields and some that nobody knows, in any order."""
    made = draw(but(*fixed, *optional, "type"))
    made |= {name: draw(strategy) for name, strategy in fixed.items()}
    made |= {name: draw(strategy) for name, strategy in optional.items() if draw(st.booleans())}
    return dict(draw(st.permutations(sorted(made.items()))))


parts = st.one_of(
    objects({"type": st.just("text"), "text": text}, {"cache_control": anything}),
    objects(
        {"type": st.just("image_url"), "image_url": objects({"url": text}, {"detail": text})},
        {"cache_control": anything},
    ),
    objects({"type": st.just("input_audio"), "input_audio": objects({"data": text, "format": text}, {})}, {}),
    objects(
        {
            "type": st.just("file"),
            "file": objects({}, {"file_id": text, "file_data": text, "filename": text}),
        },
        {"cache_control": anything},
    ),
    objects({"type": st.just("reasoning"), "text": text}, {"signature": text}),
    objects({"type": st.sampled_from(["hologram", "smell"]), "payload": anything}, {}),
)
tool_calls = st.lists(
    objects(
        {"id": text, "type": st.just("function"), "function": objects({"name": text, "arguments": text}, {})},
        {},
    ),
    max_size=2,
)
messages = objects(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])},
    {
        "content": st.none() | text | st.lists(parts, max_size=3),
        "name": text,
        "tool_calls": tool_calls,
        "tool_call_id": text,
        "refusal": st.none() | text,
        "reasoning_content": st.none() | text,
        "reasoning": anything,
        "is_error": st.booleans(),
    },
)
tools = st.lists(
    st.one_of(
        objects(
            {
                "type": st.just("function"),
                "function": objects({"name": text}, {"parameters": anything, "description": text}),
            },
            {},
        ),
        objects({"type": st.just("web_search"), "depth": anything}, {}),
    ),
    max_size=2,
)
sampling: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.none() | numbers,
    "max_tokens": st.none() | st.integers(),
    "stop": st.none() | text | st.lists(text, max_size=2),
    "seed": st.integers(),
    "logit_bias": st.dictionaries(text, st.floats(-100, 100), max_size=2),
    "stream": st.none() | st.booleans(),
    "stream_options": st.none() | objects({}, {"include_usage": st.none() | st.booleans()}),
}
chats = objects(
    {"model": text, "messages": st.lists(messages, min_size=1, max_size=3)},
    {**sampling, "tools": st.none() | tools, "response_format": st.none() | st.just({"type": "json_object"})},
)
prompts = st.one_of(
    text, st.lists(st.one_of(text, st.integers(0, 9), st.lists(st.integers(0, 9), max_size=2)), max_size=3)
)
completions = objects(
    {"model": text, "prompt": prompts}, {**sampling, "suffix": st.none() | text, "echo": st.booleans()}
)


def as_sent(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, indent=1).encode()


@given(chats)
def test_a_chat_goes_upstream_with_nothing_lost_or_added(body: dict[str, Any]) -> None:
    request = decode_chat(as_sent(body))
    assert json.loads(encode_request(request.fields, model="upstream", stream=False)) == {
        **body,
        "model": "upstream",
    }
    sent = json.loads(encode_request(request.fields, model="upstream", stream=True))
    options = {**(body.get("stream_options") or {}), "include_usage": True}
    assert sent == {**body, "model": "upstream", "stream_options": options}
    assert [json.loads(bytes(encode_message(message))) for message in request.messages] == body["messages"]
    assert request.stream is bool(body.get("stream"))


@given(completions)
def test_a_completion_goes_upstream_with_nothing_lost_or_added(body: dict[str, Any]) -> None:
    request = decode_completion(as_sent(body))
    assert json.loads(encode_request(request.fields, model="upstream", stream=False)) == {
        **body,
        "model": "upstream",
    }
    assert request.prompt == body["prompt"]


@given(parts)
def test_a_part_made_anew_says_what_it_said(part: dict[str, Any]) -> None:
    message = decode_message(Raw(as_sent({"role": "user", "content": [part]})))
    made = json.loads(msgspec.json.encode(encode_part(message.parts[0])))
    for name, value in made.items():
        assert part[name] == value or made[name].items() <= part[name].items()


@given(messages)
def test_a_message_without_its_text_keeps_its_meaning(body: dict[str, Any]) -> None:
    message = decode_message(Raw(as_sent(body)))
    made = msgspec.structs.replace(message, raw=None)
    assert decode_message(encode_message(made)) == message


def test_what_is_unknown_keeps_its_letters() -> None:
    odd = b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":  {"b" : 1.0e2,"a":1E400, "big":123456789012345678901234567890}}'
    sent = encode_request(decode_chat(odd).fields, model="m", stream=False)
    assert b'{"b" : 1.0e2,"a":1E400, "big":123456789012345678901234567890}' in sent


def test_parts_become_what_they_are() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "d", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "refusal", "refusal": "no"},
        {"type": "later", "x": 1},
    ]
    message = decode_message(Raw(as_sent({"role": "user", "content": content})))
    assert message.parts[:5] == (
        TextPart("a"),
        ImagePart("u", "low"),
        AudioPart("d", "wav"),
        FilePart(file_id="f"),
        RefusalPart("no"),
    )
    assert isinstance(message.parts[5], OpaquePart)
    assert message.text == "a"


def test_tools_keep_their_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, None]}}}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    offered = [
        {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}},
        {"type": "web_search"},
    ]
    first, second = decode_chat(as_sent({**body, "tools": offered})).tools
    assert first.parameters is not None
    assert (first.name, json.loads(bytes(first.parameters)), first.strict) == ("f", schema, True)
    assert (second.name, second.parameters) == ("web_search", None)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": {}}, "messages"),
        ({"messages": [{}]}, "messages[0].role"),
        (
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "user", "tool_calls": [{"function": {"name": 5}}]},
                ]
            },
            "messages[1].tool_calls[0].function.name",
        ),
        ({"tools": [{}]}, "tools[0].type"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"logit_bias": {"a": "b"}}, "logit_bias[...]"),
        ({"assay": {"inputs": 5}}, "assay.inputs"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(change: dict[str, Any], param: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **change}
    with pytest.raises(BadRequest) as caught:
        decode_chat(as_sent(body))
    assert caught.value.param == param
    assert param in caught.value.message


def test_a_request_made_of_values_reads_as_one_that_came() -> None:
    message = Message(role="user", parts=(TextPart("x"),))
    made = chat_request("m", (message,), temperature=0.5, stream=True, stop=None)
    read = decode_chat(encode_request(made.fields, model="m", stream=False))
    assert (read.messages, read.stream, json.loads(bytes(read.fields["temperature"]))) == (
        (message,),
        True,
        0.5,
    )
    assert "stop" not in read.fields


counts = st.integers(0, 10**9)


@given(counts, counts, counts, counts, counts, counts, counts)
def test_classes_of_tokens_are_disjoint_and_add_up(
    fresh: int, cached: int, written: int, heard: int, said: int, thought: int, spoken: int
) -> None:
    usage: dict[str, Any] = {
        "prompt_tokens": fresh + cached + written + heard,
        "completion_tokens": said + thought + spoken,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": heard,
        },
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": spoken},
    }
    read = decode_response(as_sent({"choices": [], "usage": usage})).usage
    assert read is not None
    assert (read.input, read.cache_read, read.audio_input) == (fresh, cached, heard)
    assert (read.cache_write_5m, read.cache_write_1h) == (written, 0)
    assert (read.output, read.reasoning, read.audio_output) == (said, thought, spoken)
    assert (read.total_input, read.total_output) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert encode_usage(read) == {**usage, "total_tokens": read.total_input + read.total_output}


@given(counts, counts)
def test_counts_that_contradict_each_other_are_never_negative(prompt: int, cached: int) -> None:
    usage = {"prompt_tokens": prompt, "prompt_tokens_details": {"cached_tokens": cached}}
    read = decode_response(as_sent({"choices": [], "usage": usage})).usage
    assert read is not None
    assert read.input >= 0


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}])
def test_no_count_is_no_usage_rather_than_zero(usage: Any) -> None:
    assert decode_response(as_sent({"choices": [], "usage": usage})).usage is None


@pytest.mark.parametrize(
    ("delta", "is_output"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": ""}, False),
        ({"content": "x"}, True),
        ({"refusal": "no"}, True),
        ({"reasoning_content": "hm"}, True),
        ({"tool_calls": []}, False),
        ({"tool_calls": None}, False),
        ({"tool_calls": [{"index": 0, "id": "c"}]}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"audio": {"id": "a"}}, True),
    ],
)
def test_output_is_what_a_person_could_read_see_or_execute(delta: dict[str, Any], is_output: bool) -> None:
    chunk = as_sent({"choices": [{"index": 0, "delta": delta}]})
    assert decode_chunk(chunk, hide_usage=False).is_output is is_output
    second = as_sent({"choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": delta}]})
    assert decode_chunk(second, hide_usage=False).is_output is is_output


def test_a_chunk_of_usage_is_hidden_from_who_did_not_ask() -> None:
    chunk = as_sent({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    hidden, shown = decode_chunk(chunk, hide_usage=True), decode_chunk(chunk, hide_usage=False)
    assert hidden.raw is None
    assert shown.raw == chunk
    assert hidden.usage == shown.usage is not None


def test_an_error_inside_a_stream_is_an_error() -> None:
    with pytest.raises(StreamError) as caught:
        decode_chunk(b'{"error":{"message":"overloaded"}}', hide_usage=True)
    assert caught.value.body == b'{"error":{"message":"overloaded"}}'


def test_a_request_has_a_bounded_number_of_messages() -> None:
    one = b'{"role": "user", "content": "a"}'
    most = MAX_MESSAGES
    body = b'{"model": "m", "messages": [%s]}'
    assert len(decode_chat(body % b",".join([one] * most)).messages) == most
    with pytest.raises(BadRequest, match="10,000") as refused:
        decode_chat(body % b",".join([one] * (most + 1)))
    assert refused.value.param == "messages"


def test_a_part_of_an_unknown_kind_is_kept_whatever_its_fields_are() -> None:
    part = {"type": "hologram", "text": 5, "file": "f"}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    (kept,) = decode_chat(json.dumps(body).encode()).messages[0].parts
    assert json.loads(msgspec.json.encode(encode_part(kept))) == part
    with pytest.raises(BadRequest, match="text"):
        decode_chat(json.dumps(body).replace("hologram", "text").encode())
