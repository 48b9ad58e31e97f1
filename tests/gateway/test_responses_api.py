"""The Responses API with the official OpenAI client against a real server, over upstreams that have it and that have not."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai.types.responses import FunctionToolParam, Response
from pydantic import BaseModel, SecretStr

from assay.testing import Rule, Script, SimulatedServer, ToolUse

CONFIG = """
[providers.chat]
type = "openai"
base_url = "{upstream}"
[providers.claude]
type = "anthropic"
base_url = "{claude}"
[models.chat]
route = [{{ provider = "chat", model = "chat-up" }}]
retries = 0
breaker = {{ failures = 0 }}
price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 2 }}
timeout = {{ first_token_s = 2.0, idle_s = 0.5 }}
[models.native]
route = [{{ provider = "chat", model = "native-up" }}]
retries = 0
breaker = {{ failures = 0 }}
responses = true
timeout = {{ first_token_s = 2.0, idle_s = 0.5 }}
[models.claude]
route = [{{ provider = "claude", model = "claude-up" }}]
retries = 0
[models.either]
route = [{{ provider = "chat", model = "native-up" }}]
strategy = "priority"
responses = true
fallback = ["claude"]
retries = 0
breaker = {{ failures = 0 }}

[tasks.polish]
variants.v1 = {{ model = "chat", prompt = "Correct this: {{{{ text }}}}" }}
release = {{ v1 = 1.0 }}
"""
MODELS = ["chat", "native", "claude"]
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "What the sky does",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
RULES = (
    Rule(
        match="weather in Rome",
        tool="weather",
        arguments={"city": "Rome"},
        also=(ToolUse(tool="weather", arguments={"city": "Oslo"}),),
        saying="Let me look.",
    ),
)


class Talk:
    """The server, its upstreams and clients for it."""

    def __init__(self, server: Any, upstream: SimulatedServer, claude: SimulatedServer) -> None:
        self.server = server
        self.upstreams = {"chat": upstream, "native": upstream, "claude": claude}

    def client(self, key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.server.url}/v1", api_key=key or self.server.key, max_retries=0)

    def asked(self, model: str) -> Any:
        """The body that a model's upstream was last asked with."""
        return self.upstreams[model].simulation.log[-1].body

    def path(self, model: str) -> str:
        return self.upstreams[model].simulation.log[-1].path


@pytest.fixture(scope="module")
def talk(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    with (
        SimulatedServer(Script(answer="echo", rules=RULES)) as upstream,
        SimulatedServer(Script(answer="echo", rules=RULES)) as claude,
    ):
        config = CONFIG.format(upstream=upstream.url, claude=claude.root)
        server = start_assay(config, folder=tmp_path_factory.mktemp("responses")).ready()
        yield Talk(server, upstream, claude)
        server.stop()


@pytest.fixture
def client(talk: Talk) -> Iterator[openai.OpenAI]:
    with talk.client() as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_a_text_is_answered_and_its_span_is_kept(client: openai.OpenAI, talk: Talk, model: str) -> None:
    raw = client.responses.with_raw_response.create(
        model=model, input="Good morning dear world", instructions="Be brief.", max_output_tokens=500
    )
    answer = raw.parse()
    assert answer.output_text == "Good morning dear world"
    assert (answer.status, answer.object, answer.instructions) == ("completed", "response", "Be brief.")
    assert answer.max_output_tokens == 500
    assert answer.usage is not None
    assert answer.usage.input_tokens > answer.usage.output_tokens > 0
    span = talk.server.model_span(raw.headers["x-assay-trace-id"])
    assert (span["status"], span["model"], span["name"]) == ("ok", model, f"chat {model}")
    assert [message["role"] for message in span["input"]] == ["system", "user"]
    assert span["output"][0]["content"] == "Good morning dear world"
    assert span["usage"]["input"] == answer.usage.input_tokens
    expected = {"chat": "/v1/chat/completions", "native": "/v1/responses", "claude": "/v1/messages"}
    assert talk.path(model) == expected[model]


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_tells_typed_events_in_their_order(client: openai.OpenAI, talk: Talk, model: str) -> None:
    with client.responses.create(model=model, input="one two three", stream=True) as stream:
        events: list[Any] = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    deltas = kinds.count("response.output_text.delta")
    assert deltas >= 3
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert "".join(event.delta for event in events if event.type.endswith("text.delta")) == "one two three"
    last: Response = events[-1].response
    assert (last.output_text, last.id) == ("one two three", events[0].response.id)
    assert last.usage is not None
    assert last.usage.output_tokens == 3
    assert client.responses.retrieve(last.id).output_text == "one two three"


@pytest.mark.parametrize("model", MODELS)
def test_tools_are_called_side_by_side_and_their_results_go_back(
    client: openai.OpenAI, talk: Talk, model: str
) -> None:
    conversation: list[Any] = [{"role": "user", "content": "What is the weather in Rome and Oslo?"}]
    answer = client.responses.create(model=model, input=conversation, tools=[WEATHER], store=False)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert answer.output_text == "Let me look."
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
    conversation += [item.model_dump(exclude_none=True) for item in answer.output]
    conversation += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls
    ]
    conversation.append({"role": "user", "content": "Thank you"})
    again = client.responses.create(model=model, input=conversation, tools=[WEATHER], store=False)
    assert again.output_text == "Thank you"


@pytest.mark.parametrize("model", MODELS)
def test_calls_of_tools_are_streamed_as_items(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="weather in Rome", tools=[WEATHER]) as stream:
        arguments: dict[int, str] = {}
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
        final = stream.get_final_response()
    assert [json.loads(each) for _, each in sorted(arguments.items())] == [{"city": "Rome"}, {"city": "Oslo"}]
    assert [item.type for item in final.output] == ["message", "function_call", "function_call"]
    items: list[Any] = list(final.output)
    assert items[1].id != items[2].id


class Answer(BaseModel):
    """The shape that a model is asked for."""

    name: str
    age: int


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_has_the_shape_of_a_schema(client: openai.OpenAI, model: str) -> None:
    parsed = client.responses.parse(model=model, input="Who?", text_format=Answer)
    assert isinstance(parsed.output_parsed, Answer)


@pytest.mark.parametrize("model", MODELS)
def test_a_limit_makes_an_incomplete_response(client: openai.OpenAI, model: str) -> None:
    text = " ".join(["word"] * 40)
    answer = client.responses.create(model=model, input=text, max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    with client.responses.create(model=model, input=text, max_output_tokens=16, stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.incomplete"


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_goes_on_where_it_was(client: openai.OpenAI, talk: Talk, model: str) -> None:
    first = client.responses.create(model=model, input="My name is Ann", instructions="Be kind.")
    second = client.responses.create(model=model, input="And I am nine", previous_response_id=first.id)
    third = client.responses.create(
        model=model, input="Who am I?", previous_response_id=second.id, store=False, metadata={"a": "b"}
    )
    assert (third.previous_response_id, third.metadata) == (second.id, {"a": "b"})
    assert third.model_dump()["store"] is False
    sent = talk.asked(model).get("messages") or talk.asked(model)["input"]
    texts = [str(message.get("content")) for message in sent]
    told = [text for text in texts if any(word in text for word in ("Ann", "nine", "Who"))]
    assert [("Ann" in text, "nine" in text) for text in told] == [
        *[(True, False)] * 2,
        *[(False, True)] * 2,
        (False, False),
    ]
    assert not any("Be kind" in text for text in texts)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(third.id)
    items = client.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in items] == ["message"] * 3


def test_what_is_kept_can_be_read_paged_and_deleted(client: openai.OpenAI) -> None:
    first = client.responses.create(model="chat", input="one", metadata={"who": "me"})
    kept = client.responses.retrieve(first.id)
    assert kept == first
    assert kept.metadata == {"who": "me"}
    more = client.responses.create(
        model="chat", input=[{"role": "user", "content": text} for text in "abcde"]
    )
    page: Any = client.responses.input_items.list(more.id, limit=2)
    assert page.has_more
    assert [item.content[0].text for item in page] == list("edcba")
    client.responses.delete(first.id)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError, match="not found"):
            gone(first.id)
    with pytest.raises(openai.NotFoundError, match=first.id):
        client.responses.create(model="chat", input="two", previous_response_id=first.id)


def test_nothing_is_kept_of_a_stateless_response(client: openai.OpenAI, talk: Talk) -> None:
    answer = client.responses.create(model="native", input="one", store=False)
    assert answer.model_dump()["store"] is False
    assert talk.asked("native")["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


def test_an_upstream_is_never_asked_to_keep_anything(client: openai.OpenAI, talk: Talk) -> None:
    answer = client.responses.create(model="native", input="one", metadata={"a": "b"})
    sent = talk.asked("native")
    assert (sent["store"], sent["model"], sent["metadata"]) == (False, "native-up", {"a": "b"})
    assert answer.model_dump()["store"] is True


def test_another_project_finds_nothing(client: openai.OpenAI, talk: Talk) -> None:
    mine = client.responses.create(model="chat", input="secret")
    made = talk.server.http.post("/api/projects", json={"id": "other", "admin_key": True})
    with talk.client(made.raise_for_status().json()["key"]) as theirs:
        for gone in (
            theirs.responses.retrieve,
            theirs.responses.delete,
            theirs.responses.input_items.list,
            theirs.responses.cancel,
        ):
            with pytest.raises(openai.NotFoundError):
                gone(mine.id)
        with pytest.raises(openai.NotFoundError):
            theirs.responses.create(model="chat", input="what?", previous_response_id=mine.id)
    assert client.responses.retrieve(mine.id).output_text == "secret"


def test_signed_thinking_comes_back_to_the_vendor_that_signed_it(client: openai.OpenAI, talk: Talk) -> None:
    talk.upstreams["claude"].simulation.change(rules=RULES)
    asked: Any = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    with pytest.raises(openai.BadRequestError, match="thinking"):
        client.responses.create(model="claude", input="weather in Rome", extra_body=asked)
    http = talk.server.http
    chat = http.post(
        "/v1/chat/completions",
        json={"model": "claude", "messages": [{"role": "user", "content": "hello"}], **asked},
    ).json()
    blocks = chat["choices"][0]["message"]["thinking_blocks"]
    from assay.wire.responses_api_to_chat import seal_thinking

    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal_thinking(blocks)}
    said = {"role": "assistant", "content": "hello"}
    client.responses.create(
        model="claude",
        input=[{"role": "user", "content": "hello"}, item, said, {"role": "user", "content": "x"}],  # type: ignore[list-item]
    )
    assert talk.asked("claude")["messages"][1]["content"][0] == blocks[0]
    # Another vendor cannot read it, and is not asked to.
    for model in ("chat", "native"):
        client.responses.create(model=model, input=[{"role": "user", "content": "a"}, item, said])  # type: ignore[list-item]
        assert "assay:" not in json.dumps(talk.asked(model))


def test_shown_reasoning_is_an_item_of_its_own(client: openai.OpenAI, talk: Talk) -> None:
    simulation = talk.upstreams["chat"].simulation
    simulation.change(show_reasoning=True, reasoning_tokens=4)
    try:
        answer = client.responses.create(model="chat", input="one two")
        with client.responses.create(model="chat", input="one two", stream=True) as stream:
            events: list[Any] = list(stream)
    finally:
        simulation.change(show_reasoning=False, reasoning_tokens=0)
    reasoning: Any = answer.output[0]
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.usage is not None
    assert answer.usage.output_tokens_details.reasoning_tokens == 4
    told = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    assert told == reasoning.content[0].text == events[-1].response.output[0].content[0].text


def test_reasoning_of_a_kept_response_goes_back_to_its_upstream(client: openai.OpenAI, talk: Talk) -> None:
    first = client.responses.create(model="native", input="one", reasoning={"effort": "low"})
    assert "reasoning.encrypted_content" in talk.asked("native")["include"]
    client.responses.create(model="native", input="two", previous_response_id=first.id)
    kinds = [item.get("type") for item in talk.asked("native")["input"]]
    assert kinds == ["message", "reasoning", "message", "message"]
    # A client that keeps them itself and never asked for their content cannot send them back: they are left out.
    mine = client.responses.create(model="native", input="one", reasoning={"effort": "low"}, store=False)
    items: list[Any] = [{"role": "user", "content": "one"}, *[item.model_dump() for item in mine.output]]
    client.responses.create(model="native", input=[*items, {"role": "user", "content": "two"}])
    assert [item.get("type") for item in talk.asked("native")["input"]] == [None, "message", None]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0].type"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools[0].type"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]},
            "input[0].content[0].text",
        ),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
        ({"tool_choice": {"type": "web_search"}, "tools": [WEATHER]}, "tool_choice.type"),
        ({"metadata": {"a": 5}}, "metadata[...]"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"previous_response_id": "resp_none"}, "previous_response_id"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(talk: Talk, body: Any, param: str) -> None:
    answer = talk.server.http.post("/v1/responses", json={"model": "chat", "input": "hello", **body})
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["param"] == param


def test_tools_that_run_at_the_vendor_pass_to_an_upstream_that_has_them(talk: Talk) -> None:
    tool = {"type": "web_search", "filters": None}
    body = {"model": "native", "input": "hello", "tools": [tool], "assay": {"user": "ann"}}
    talk.server.http.post("/v1/responses", json=body).raise_for_status()
    assert talk.asked("native")["tools"] == [tool]
    assert "assay" not in talk.asked("native")


def test_a_fallback_of_another_vendor_takes_over(client: openai.OpenAI, talk: Talk) -> None:
    first = client.responses.create(model="either", input="My name is Ann")
    talk.upstreams["native"].simulation.change(status=500)
    try:
        second = client.responses.create(model="either", input="Hello?", previous_response_id=first.id)
    finally:
        talk.upstreams["native"].simulation.change(status=200)
    assert second.output_text == "Hello?"
    assert [message["role"] for message in talk.asked("claude")["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("model", ["chat", "native"])
@pytest.mark.parametrize("fault", [{"cut_at": 8}, {"error_at": 8}, {"stall_at": 8}])
def test_a_stream_that_fails_says_so_as_its_last_event(
    client: openai.OpenAI, talk: Talk, model: str, fault: dict[str, int]
) -> None:
    simulation = talk.upstreams[model].simulation
    simulation.change(**fault)
    events: list[Any] = []
    try:
        with (
            pytest.raises(openai.APIError),
            client.responses.create(
                model=model, input="one two three four five six seven eight nine", stream=True
            ) as stream,
        ):
            events.extend(stream)
    finally:
        simulation.change(cut_at=None, error_at=None, stall_at=None)
    assert events[-1].type == "response.failed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.status == "failed"
    assert events[-1].response.error is not None
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(events[-1].response.id)


def test_an_error_before_the_first_word_is_an_http_error(client: openai.OpenAI, talk: Talk) -> None:
    simulation = talk.upstreams["native"].simulation
    simulation.change(status=429, retry_after_s=7)
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            client.responses.create(model="native", input="one", stream=True)
    finally:
        simulation.change(status=200, retry_after_s=None)
    assert caught.value.response.headers["retry-after"] == "7"


def test_a_task_answers_here_too(client: openai.OpenAI, talk: Talk) -> None:
    answer = client.responses.create(model="task:polish", input="hello world")
    assert answer.output_text == "Correct this: hello world"
    more = client.responses.create(
        model="task:polish", extra_body={"assay": {"inputs": {"text": "more"}}}, stream=True
    )
    assert [event.type for event in more][-1] == "response.completed"
    with pytest.raises(openai.BadRequestError, match="instructions"):
        client.responses.create(model="task:polish", input="x", instructions="y")


def test_only_the_methods_of_a_path_are_taken(talk: Talk) -> None:
    answer = talk.server.http.get("/v1/responses")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = talk.server.http.put("/v1/responses/resp_1", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, DELETE")


def test_logprobs_are_carried(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="chat", input="one two", top_logprobs=2, include=["message.output_text.logprobs"]
    )
    output: list[Any] = list(answer.output)
    part = output[0].content[0]
    assert [each.token for each in part.logprobs] == ["one", " two"]
    assert len(part.logprobs[0].top_logprobs) == 2


def test_a_repeated_key_is_told_the_same_response(client: openai.OpenAI, talk: Talk) -> None:
    before = len(talk.upstreams["chat"].simulation.log)
    made = [
        client.responses.create(model="chat", input="once", extra_headers={"Idempotency-Key": "k-1"})
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert len(talk.upstreams["chat"].simulation.log) == before + 1


def test_files_that_were_uploaded_here_go_along_as_their_content(client: openai.OpenAI, talk: Talk) -> None:
    pdf = client.files.create(file=("a.pdf", b"%PDF-1.4 hello"), purpose="user_data")
    png = client.files.create(file=("a.png", b"\x89PNG"), purpose="user_data")
    content: list[Any] = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_file", "file_id": pdf.id},
        {"type": "input_image", "file_id": png.id, "detail": "auto"},
    ]
    first = client.responses.create(model="chat", input=[{"role": "user", "content": content}])
    parts = talk.asked("chat")["messages"][0]["content"]
    assert parts[1]["file"] == {
        "filename": "a.pdf",
        "file_data": "data:application/pdf;base64,JVBERi0xLjQgaGVsbG8=",
    }
    assert parts[2]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    kept: Any = client.responses.input_items.list(first.id).data[0]
    assert kept.content[1].file_id == pdf.id, "what is kept is the id"
    client.responses.create(model="claude", input="And?", previous_response_id=first.id)
    kinds = [block["type"] for block in talk.asked("claude")["messages"][0]["content"]]
    assert kinds == ["text", "document", "image"]
    client.files.delete(pdf.id)
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="claude", input="And?", previous_response_id=first.id)


def test_tokens_are_counted_without_an_answer(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="chat", input="one two three four", instructions="x")
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_langchain_converses_through_it(talk: Talk, model: str) -> None:
    llm = ChatOpenAI(
        model=model,
        base_url=f"{talk.server.url}/v1",
        api_key=SecretStr(talk.server.key),
        use_responses_api=True,
        max_retries=0,
    )
    assert llm.invoke("Hello there").text == "Hello there"
    assert "".join(str(piece.text) for piece in llm.stream("one two three")) == "one two three"
    tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER["parameters"]}}
    asked = llm.bind_tools([tool])
    messages: list[Any] = [HumanMessage("weather in Rome")]
    messages.append(asked.invoke(messages))
    calls = messages[-1].tool_calls
    assert [call["args"] for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
    messages += [ToolMessage("sunny", tool_call_id=call["id"]) for call in calls]
    assert asked.invoke([*messages, HumanMessage("thanks")]).text == "thanks"
    assert isinstance(llm.with_structured_output(Answer).invoke("Who?"), Answer)
