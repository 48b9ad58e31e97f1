"""The official OpenAI client with its own defaults against a real server."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Good morning dear world"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def test_models_and_tasks_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    tasks = [name for name in names if name.startswith("task:")]
    assert names == [*sorted(set(names) - set(tasks)), *tasks]
    assert {"task:open", "task:polish", "task:support"} <= set(tasks)
    assert {"fast", "down", "backed"} <= set(names)
    assert client.models.retrieve("fast").owned_by == "assay"
    with pytest.raises(openai.NotFoundError, match="fats"):
        client.models.retrieve("fats")


def test_a_chat_is_answered_and_its_span_is_kept(client: openai.OpenAI, house: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=HELLO, user="somebody")
    answer = raw.parse()
    assert answer.choices[0].message.content == "Good morning dear world"
    assert answer.usage is not None
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert (span["status"], span["model"], span["upstream_model"]) == ("ok", "fast", "upstream-name")
    assert span["input"] == HELLO
    assert span["output"][0]["content"] == "Good morning dear world"
    assert span["usage"]["input"] == answer.usage.prompt_tokens
    assert span["request"] == {"user": "somebody"}
    assert house.asked["model"] == "upstream-name"


def test_the_headers_say_what_the_call_was_and_cost(client: openai.OpenAI, house: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=HELLO)
    usage = raw.parse().usage
    assert usage is not None
    exact = (Decimal("0.15") * usage.prompt_tokens + Decimal("0.60") * usage.completion_tokens) / 1_000_000
    assert Decimal(raw.headers["x-assay-cost-usd"]) == exact
    assert raw.headers["x-assay-attempts"] == "1"
    assert raw.headers["x-assay-model"] == "fast"
    assert raw.headers["x-assay-cache"] == "none"
    assert "x-assay-variant" not in raw.headers
    assert "x-assay-kept" not in raw.headers
    assert 0 < float(raw.headers["x-assay-overhead-ms"]) < 1000
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert Decimal(str(span["cost_usd"])) == exact


def test_an_unknown_price_is_left_out_and_never_zero(client: openai.OpenAI, house: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(model="unpriced", messages=HELLO)
    assert "x-assay-cost-usd" not in raw.headers
    assert house.server.model_span(raw.headers["x-assay-trace-id"])["cost_usd"] is None


def test_a_stream_without_asking_shows_no_usage_and_still_counts_it(
    client: openai.OpenAI, house: Any
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="fast", messages=HELLO, stream=True)
    chunks = list(raw.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Good morning dear world"
    assert all(chunk.usage is None for chunk in chunks)
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert span["streamed"] is True
    assert span["usage"].get("input_source", "provider") == "provider"
    assert span["first_output_ms"] is not None
    assert span["output"][0]["content"] == "Good morning dear world"
    assert span["finish_reason"] == "stop"


def test_a_stream_that_asks_for_usage_gets_it_once_at_the_end(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="fast", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 8
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_tools_are_called_whole_and_streamed(client: openai.OpenAI, house: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "the weather in Rome"}]
    answer = client.chat.completions.create(model="fast", messages=messages, tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert json.loads(calls[0].function.arguments) == {"city": "Rome"}
    with client.chat.completions.stream(model="fast", messages=messages, tools=[WEATHER]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    assert message.tool_calls[0].function.name == "weather"
    assert house.asked["tools"] == [WEATHER]
    call = message.tool_calls[0]
    messages += [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": call.id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert (
        client.chat.completions.create(model="fast", messages=messages, tools=[WEATHER])
        .choices[0]
        .finish_reason
        == "stop"
    )
    assert house.asked["messages"] == messages


def test_images_and_unknown_fields_reach_the_upstream_as_they_were_sent(
    client: openai.OpenAI, house: Any
) -> None:
    content: list[Any] = [
        {"type": "text", "text": "what is this? \u00e9\U0001f600"},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low", "later": 1},
        },
        {"type": "hologram", "depth": [1, {"2": None}]},
    ]
    extra = {
        "nested": {"deep": [1, 2.50, None, True, 123456789012345678901234567890]},
        "empty": {},
        "text": "\u2603",
    }
    answer = client.chat.completions.create(
        model="fast",
        messages=[{"role": "user", "content": content, "mood": "curious"}],  # type: ignore[list-item]
        temperature=0.25,
        extra_body={"vendor_extension": extra, "assay": {"session": "s-1"}},
    )
    assert answer.choices
    assert house.asked == {
        "messages": [{"role": "user", "content": content, "mood": "curious"}],
        "model": "upstream-name",
        "temperature": 0.25,
        "vendor_extension": extra,
    }
    big = house.asked["vendor_extension"]["nested"]["deep"][-1]
    assert big == 123456789012345678901234567890


def test_completions_are_asked_of_the_upstreams_own_endpoint(client: openai.OpenAI, house: Any) -> None:
    raw = client.completions.with_raw_response.create(
        model="fast", prompt="She no went to the market.", max_tokens=20
    )
    assert raw.parse().choices[0].text == "She no went to the market."
    assert house.upstream.simulation.log[-1].path == "/v1/completions"
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert span["endpoint"] == "completions"
    assert span["input"] == ["She no went to the market."]
    chunks = list(client.completions.create(model="fast", prompt="one two", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "one two"


def test_completions_of_a_model_that_only_chats_are_made_of_its_chat(
    client: openai.OpenAI, house: Any
) -> None:
    assert client.completions.create(model="chat-only", prompt="one two").choices[0].text == "one two"
    assert house.upstream.simulation.log[-1].path == "/v1/chat/completions"
    assert house.asked["messages"] == [{"role": "user", "content": "one two"}]
    chunks = list(client.completions.create(model="chat-only", prompt="one two", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "one two"
    with pytest.raises(openai.BadRequestError, match="suffix") as caught:
        client.completions.create(model="chat-only", prompt="one", suffix="two")
    assert caught.value.param == "suffix"


def test_a_field_that_is_null_asks_for_nothing(house: Any) -> None:
    answer = house.chat(tools=None, stop=None, tool_choice=None)
    assert answer.status_code == 200
    assert house.server.model_span(answer.headers["x-assay-trace-id"])["tools"] == []
    body = {"model": "chat-only", "prompt": "one two", "suffix": None, "best_of": 1, "echo": False}
    assert house.http.post("/v1/completions", json=body).json()["choices"][0]["text"] == "one two"


def test_a_trace_context_is_joined_and_labels_are_kept(house: Any) -> None:
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    answer = house.chat(
        headers={
            "traceparent": f"00-{trace_id}-{parent}-01",
            "x-assay-session": "s%20%C3%A9",
            "x-assay-user": "from the header",
            "x-assay-tags": "a, b",
        },
        assay={"user": "from the body"},
    )
    assert answer.headers["x-assay-trace-id"] == trace_id
    span = house.server.model_span(trace_id)
    assert (span["parent_id"], span["session"], span["user"]) == (parent, "s \u00e9", "from the body")
    assert span["tags"] == ["a", "b"]


@pytest.mark.parametrize(
    "header", ["", "00-zz-b7ad6b7169203331-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01"]
)
def test_a_broken_trace_context_begins_a_trace_of_its_own(house: Any, header: str) -> None:
    answer = house.chat(headers={"traceparent": header})
    assert len(answer.headers["x-assay-trace-id"]) == 32
    assert house.server.model_span(answer.headers["x-assay-trace-id"])["parent_id"] is None


def test_the_trailer_of_a_stream_says_its_cost_and_clients_pass_over_it(
    client: openai.OpenAI, house: Any
) -> None:
    answer = house.chat(stream=True, headers={"x-assay-trailer": "true"})
    comment = answer.text.split("\n\n")[-3]
    assert comment.startswith(": ")
    trailer = json.loads(comment[2:])
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert trailer == {"x-assay-cost-usd": span["cost_usd"], "x-assay-attempts": 1}
    assert answer.text.endswith("data: [DONE]\n\n")
    stream = client.chat.completions.create(
        model="fast", messages=HELLO, stream=True, extra_headers={"x-assay-trailer": "true"}
    )
    assert list(stream)[-1].choices[0].finish_reason == "stop"


async def _chats_at_once(url: str, key: str, count: int) -> list[str]:
    async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model="fast", messages=[{"role": "user", "content": f"call {number}"}]
                )
                for number in range(count)
            )
        )
    return [answer.choices[0].message.content or "" for answer in answers]


def test_the_asynchronous_client_makes_many_calls_at_once(house: Any) -> None:
    said = asyncio.run(_chats_at_once(f"{house.server.url}/v1", house.server.key, 64))
    assert said == [f"call {number}" for number in range(64)]
