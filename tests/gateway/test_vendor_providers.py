"""The official OpenAI client through Assay to each simulated vendor: text, streams, tools and counts are the same on both sides."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from assay.providers.simulated.cohere_saying import PREAMBLE_TOKENS
from assay.testing import Rule, Script, SimulatedServer

CONFIG = """
[providers.cohere]
type = "cohere"
base_url = "{upstream.root}"
api_key = "sk-right"
[providers.ai21]
type = "ai21"
base_url = "{upstream.root}/studio/v1"
api_key = "sk-right"
[providers.huggingface]
type = "huggingface"
base_url = "{upstream.url}"
api_key = "sk-right"
[providers.tgi]
type = "huggingface"
api = "tgi"
base_url = "{upstream.root}"
api_key = "sk-right"
[providers.azure]
type = "openai"
profile = "azure"
base_url = "{upstream.root}"
api_key = "sk-right"
[providers.groq]
type = "openai"
profile = "groq"
base_url = "{upstream.url}"
api_key = "sk-right"

[models.cohere]
route = [{{ provider = "cohere", model = "command-a-03-2025" }}]
retries = 0
price = {{ input_usd_per_mtok = 2.5, output_usd_per_mtok = 10 }}
[models.either]
route = [{{ provider = "cohere", model = "command-a-03-2025" }}, {{ provider = "groq", model = "llama" }}, {{ provider = "huggingface", model = "llama" }}]
strategy = "priority"
retries = 0
[models.ai21]
route = [{{ provider = "ai21", model = "jamba-large" }}]
retries = 0
price = {{ input_usd_per_mtok = 2, output_usd_per_mtok = 8 }}
[models.huggingface]
route = [{{ provider = "huggingface", model = "meta-llama/Llama-3.1-8B-Instruct:novita" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}
[models.tgi]
route = [{{ provider = "tgi", model = "tgi" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}
[models.azure]
route = [{{ provider = "azure", model = "my-gpt" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}
[models.groq]
route = [{{ provider = "groq", model = "llama-3.3-70b-versatile" }}]
retries = 0
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}
"""
VENDORS = {
    "cohere": "/v2/chat",
    "ai21": "/studio/v1/chat/completions",
    "huggingface": "/v1/chat/completions",
    "tgi": "/v1/chat/completions",
    "azure": "/openai/deployments/my-gpt/chat/completions",
    "groq": "/v1/chat/completions",
}
SCRIPT = Script(
    answer="echo",
    api_key="sk-right",
    rules=(
        Rule(match="weather in (\\w+)", tool="weather", arguments={"city": "Rome"}, saying="One moment."),
    ),
)
QUESTION: list[Any] = [{"role": "user", "content": "Say this as it is."}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How the weather is",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class House:
    """The server and the vendors that its models lead to."""

    def __init__(self, server: Any, upstream: SimulatedServer) -> None:
        self.server = server
        self.simulation = upstream.simulation

    def span(self, trace_id: str) -> Any:
        (span,) = [each for each in self.server.trace(trace_id) if each["kind"] == "model"]
        return span


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    with SimulatedServer(SCRIPT) as upstream:
        server = start_assay(CONFIG.format(upstream=upstream)).ready()
        yield House(server, upstream)
        server.stop()


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    url = f"{house.server.url}/v1"
    with openai.OpenAI(base_url=url, api_key=house.server.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_chat_is_answered_by_the_vendors_own_endpoint(
    client: openai.OpenAI, house: House, vendor: str
) -> None:
    raw = client.chat.completions.with_raw_response.create(model=vendor, messages=QUESTION, max_tokens=50)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Say this as it is."
    assert answer.choices[0].finish_reason == "stop"
    assert house.simulation.log[-1].path == VENDORS[vendor]
    assert answer.usage is not None
    span = house.span(raw.headers["x-assay-trace-id"])
    assert (span["provider"], span["status"]) == (vendor, "ok")
    assert span["usage"]["input"] + span["usage"].get("cache_read", 0) == answer.usage.prompt_tokens
    assert span["usage"]["output"] == answer.usage.completion_tokens
    assert span["cost_usd"] > 0


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_stream_says_and_counts_the_same(client: openai.OpenAI, house: House, vendor: str) -> None:
    whole = client.chat.completions.create(model=vendor, messages=QUESTION)
    with client.chat.completions.with_streaming_response.create(
        model=vendor, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    ) as response:
        chunks = list(response.parse())
        trace_id = response.headers["x-assay-trace-id"]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert whole.usage is not None
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    assert usage.completion_tokens == whole.usage.completion_tokens
    span = house.span(trace_id)
    assert span["usage"]["output"] == usage.completion_tokens
    assert span["output"][0]["content"] == text
    bare = client.chat.completions.create(model=vendor, messages=QUESTION, stream=True)
    assert not any(chunk.usage for chunk in bare)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_tool_is_called_and_its_result_goes_back(client: openai.OpenAI, house: House, vendor: str) -> None:
    question: list[Any] = [{"role": "user", "content": "What is the weather in Rome?"}]
    asked = client.chat.completions.create(model=vendor, messages=question, tools=[WEATHER])
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Rome"}')
    with client.chat.completions.stream(model=vendor, messages=question, tools=[WEATHER]) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert streamed.content == message.content
    assert streamed.tool_calls is not None
    assert streamed.tool_calls[0].function.arguments == call.function.arguments
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}
    more = [*question, message.model_dump(exclude_none=True), result]
    client.chat.completions.create(model=vendor, messages=more, tools=[WEATHER])
    assert house.simulation.log[-1].status == 200
    last = house.simulation.log[-1].body["messages"][-1]
    assert (last["role"], last["tool_call_id"]) == ("tool", call.id)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendors_refusal_reaches_the_client(client: openai.OpenAI, house: House, vendor: str) -> None:
    house.simulation.change(status=429, retry_after_s=3)
    try:
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(model=vendor, messages=QUESTION)
    finally:
        house.simulation.change(status=200, retry_after_s=None)
    assert refused.value.response.headers["retry-after"] == "3"
    assert "Rate limit reached" in refused.value.message


def test_completions_of_text_generation_inference_are_generated(client: openai.OpenAI, house: House) -> None:
    raw = client.completions.with_raw_response.create(model="tgi", prompt="Say this as it is.", max_tokens=40)
    answer = raw.parse()
    assert answer.choices[0].text == "Say this as it is."
    assert house.simulation.log[-1].path == "/generate"
    chunks = list(client.completions.create(model="tgi", prompt="Say this as it is.", stream=True))
    assert house.simulation.log[-1].path == "/generate_stream"
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text
    span = house.span(raw.headers["x-assay-trace-id"])
    assert answer.usage is not None
    assert (span["usage"]["input"], span["usage"]["output"]) == (5, 5)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 5)


def test_coheres_bill_is_what_a_call_costs(client: openai.OpenAI, house: House) -> None:
    raw = client.chat.completions.with_raw_response.create(model="cohere", messages=QUESTION)
    usage = raw.parse().usage
    assert usage is not None
    span = house.span(raw.headers["x-assay-trace-id"])
    assert span["attributes"]["assay.billed.input_tokens"] == usage.prompt_tokens - PREAMBLE_TOKENS == 5
    exact = (Decimal("2.5") * 5 + Decimal(10) * usage.completion_tokens) / 1_000_000
    assert Decimal(raw.headers["x-assay-cost-usd"]) == exact == Decimal(str(span["cost_usd"]))


@pytest.mark.parametrize(("vendor", "param"), [("cohere", "n"), ("ai21", "seed"), ("groq", "n")])
def test_what_a_vendor_cannot_honour_is_refused_by_name(
    client: openai.OpenAI, vendor: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=vendor, messages=QUESTION, extra_body={param: 2})
    assert refused.value.param == param


def test_a_request_goes_on_to_the_first_vendor_that_can_honour_it(
    client: openai.OpenAI, house: House
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="either", messages=QUESTION, n=2)
    assert len(raw.parse().choices) == 2
    span = house.span(raw.headers["x-assay-trace-id"])
    assert (span["provider"], span["attempts"]) == ("huggingface", 1)
    raw = client.chat.completions.with_raw_response.create(model="either", messages=QUESTION)
    assert house.span(raw.headers["x-assay-trace-id"])["provider"] == "cohere"


def test_an_anthropic_client_asks_the_vendors_too(house: House) -> None:
    for vendor in VENDORS:
        body = {"model": vendor, "max_tokens": 50, "messages": QUESTION}
        answer = house.server.http.post("/v1/messages", json=body).json()
        assert answer["content"] == [{"type": "text", "text": "Say this as it is."}]
        assert answer["usage"]["output_tokens"] == 5


def test_the_official_client_puts_citations_of_a_stream_together(client: openai.OpenAI, house: House) -> None:
    documents = {"documents": [{"id": "d1", "data": {"text": "a source"}}]}
    whole = client.chat.completions.create(model="cohere", messages=QUESTION, extra_body=documents)
    with client.chat.completions.stream(model="cohere", messages=QUESTION, extra_body=documents) as stream:
        told = stream.get_final_completion().choices[0].message.model_dump()["citations"]
        trace_id = stream._response.headers["x-assay-trace-id"]
    said = whole.choices[0].message.model_dump()["citations"]
    assert [citation["text"] for citation in said] == ["Say", "this"]
    assert [{**citation, "index": at} for at, citation in enumerate(said)] == told
    assert house.span(trace_id)["output"][0]["citations"] == said


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_responses_api_is_answered_by_every_vendor(client: openai.OpenAI, vendor: str) -> None:
    answer = client.responses.create(model=vendor, input="Say this as it is.", store=False)
    assert answer.output_text == "Say this as it is."
    with client.responses.stream(model=vendor, input="Say this as it is.", store=False) as stream:
        assert stream.get_final_response().output_text == "Say this as it is."


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_anthropic_client_streams_and_calls_tools(house: House, vendor: str) -> None:
    tool: Any = {"name": "weather", "input_schema": WEATHER["function"]["parameters"]}
    with anthropic.Anthropic(base_url=house.server.url, api_key=house.server.key, max_retries=0) as client:
        with client.messages.stream(
            model=vendor,
            max_tokens=50,
            messages=[{"role": "user", "content": "What is the weather in Rome?"}],
            tools=[tool],
        ) as stream:
            message = stream.get_final_message()
    said, call = message.content
    assert said.type == "text"
    assert said.text == "One moment."
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("weather", {"city": "Rome"})
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens > 0
