"""With a real server: the application's spans and the gateway's are one trace; prompts, tasks and scores are the server's."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import assay
from assay import errors

CONFIG = """
[providers.practice]
type = "simulated"
answer = "echo"
rules = [{ match = "weather in (?P<city>\\\\w+)", tool = "weather", arguments = { city = "Rome" } }]
[models.fast]
route = [{ provider = "practice", model = "practice-1" }]
price = { input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }
[tasks.polish]
variants.v1 = { model = "fast", prompt = "Correct this: {{ text }}" }
release = { v1 = 1.0 }
"""
Tree = Callable[[str | None, int], dict[str, Any]]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Iterator[Any]:
    started = start_assay(CONFIG).ready()
    yield started
    started.stop()


@pytest.fixture
def live(server: Any) -> Iterator[Any]:
    """The server, with the SDK pointed at it by a key of the role app."""
    key = server.http.post("/api/keys", json={"name": "app"}).raise_for_status().json()["key"]
    assay.init(server.url, key, interval_s=0.05)
    yield server
    assay.shutdown()


@pytest.fixture
def tree(live: Any, eventually: Callable[..., Any]) -> Callable[[str | None, int], dict[str, Any]]:
    """`tree(trace_id, count)`: the spans of a trace by id, as the API shows them, when there are so many."""

    def read(trace_id: str | None, count: int) -> dict[str, Any]:
        assert assay.flush()
        spans = eventually(lambda: found if len(found := live.trace(trace_id)) >= count else None)
        assert len(spans) == count
        return {span["span_id"]: span for span in spans}

    return read


def test_an_agent_with_a_tool_is_one_trace_with_the_right_parents(tree: Tree) -> None:
    @assay.trace(kind="tool")
    def weather(city: str) -> str:
        return f"rain in {city}"

    @assay.trace(kind="agent")
    def agent(question: str) -> tuple[str, str]:
        client = assay.openai_client()
        messages: list[Any] = [{"role": "user", "content": question}]
        first = (
            client.chat.completions.create(model="fast", messages=messages, tools=[TOOL]).choices[0].message
        )
        (call,) = first.tool_calls or []
        told = weather(**json.loads(call.function.arguments))  # type: ignore[union-attr]
        messages += [first, {"role": "tool", "tool_call_id": call.id, "content": told}]
        stream = client.chat.completions.create(model="fast", messages=messages, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        return said, assay.current().trace_id or ""

    with assay.session("s-1", user="ada", tags=["beta"]):
        _, trace_id = agent("What is the weather in Rome?")
    spans = tree(trace_id, 4)
    (root,) = [span for span in spans.values() if span["parent_id"] is None]
    children = [span for span in spans.values() if span["parent_id"] == root["span_id"]]
    assert root["name"].endswith("agent")
    assert sorted(span["kind"] for span in children) == ["model", "model", "tool"]
    assert all(span["parent_id"] in spans for span in spans.values() if span is not root)
    assert {(span["session"], span["user"]) for span in [root, *children]} == {("s-1", "ada")}
    assert all("beta" in span["tags"] for span in [root, *children])
    (tool,) = [span for span in children if span["kind"] == "tool"]
    assert (root["kind"], root["status"]) == ("agent", "ok")
    assert "Rome" in json.dumps(tool["input"])
    assert "rain in Rome" in json.dumps(tool["output"])


def test_async_calls_in_parallel_have_the_right_parents(tree: Tree) -> None:
    async def one(client: Any, number: int) -> None:
        async with assay.span(f"branch {number}"):
            await client.chat.completions.create(
                model="fast", messages=[{"role": "user", "content": f"number {number}"}]
            )

    async def main() -> str:
        async with assay.span("top") as top, assay.async_openai_client() as client:
            await asyncio.gather(*(one(client, number) for number in range(4)))
            return top.trace_id or ""

    spans = tree(asyncio.run(main()), 9)
    calls = [span for span in spans.values() if span["kind"] == "model"]
    assert len(calls) == 4
    for call in calls:
        asked = json.dumps(call["input"])
        assert spans[call["parent_id"]]["name"].removeprefix("branch ") in asked


def test_anthropics_clients_join_the_trace_too(tree: Tree) -> None:
    async def later() -> None:
        async with assay.async_anthropic_client() as client:
            await client.messages.create(
                model="fast", max_tokens=20, messages=[{"role": "user", "content": "two"}]
            )

    with assay.span("top", session="s-3") as top:
        with assay.anthropic_client() as client:
            said = client.messages.create(
                model="fast", max_tokens=20, messages=[{"role": "user", "content": "one"}]
            )
        asyncio.run(later())
    assert said.content[0].type == "text"
    spans = tree(top.trace_id, 3)
    calls = [span for span in spans.values() if span["kind"] == "model"]
    assert [(span["parent_id"], span["session"]) for span in calls] == [(top.span_id, "s-3")] * 2


def test_httpx_with_the_hook_and_headers_by_hand_join_the_trace_too(live: Any, tree: Tree) -> None:
    body = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {live.key}"}
    with assay.span("top") as top:
        with httpx.Client(event_hooks={"request": [assay.propagate]}) as client:
            client.post(f"{live.url}/v1/chat/completions", json=body, headers=headers).raise_for_status()
        httpx.post(
            f"{live.url}/v1/chat/completions", json=body, headers={**headers, **assay.headers()}
        ).raise_for_status()
    spans = tree(top.trace_id, 3)
    parents = [span["parent_id"] for span in spans.values() if span["kind"] == "model"]
    assert parents == [top.span_id] * 2


def test_a_task_answers_as_part_of_the_trace(tree: Tree) -> None:
    async def later() -> Any:
        return await assay.task("polish", session="s-2").acall({"text": "She no went."})

    with assay.span("top", user="ada") as top:
        answer = assay.task("polish")(text="She no went.")
        again = asyncio.run(later())
    assert answer.output == again.output == "Correct this: She no went."
    assert (answer.variant, answer.trace_id, again.trace_id) == ("v1", top.trace_id, top.trace_id)
    assert answer.cost_usd is not None
    assert answer.usage["prompt_tokens"] > 0
    spans = tree(top.trace_id, 3)
    calls = sorted(
        (span for span in spans.values() if span["kind"] == "model"), key=lambda span: span["start"]
    )
    assert [(span["task"], span["session"], span["user"]) for span in calls] == [
        ("polish", None, "ada"),
        ("polish", "s-2", "ada"),
    ]
    assert {span["parent_id"] for span in calls} == {top.span_id}


def test_what_a_task_refuses_is_raised_as_it_was(live: Any) -> None:
    with pytest.raises(errors.NotFound, match="polish"):
        assay.task("nothing")(text="x")
    with pytest.raises(errors.BadRequest, match="text"):
        assay.task("polish")(txt="x")
    assay.init("http://127.0.0.1:1", "sk-test", exit_timeout_s=0.1)
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        assay.task("polish")(text="x")
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        asyncio.run(assay.task("polish").acall(text="x"))


def test_a_prompt_renders_here_as_on_the_server(live: Any) -> None:
    template = "{% for d in docs %}{{ loop.index }}. {{ d.title | upper }}\n{% endfor %}{{ note | default('-') }} {{ n }}"
    pushed = {"name": "list", "template": template, "labels": ["production"]}
    live.http.post("/api/prompts", json=pushed).raise_for_status()
    inputs = {"docs": [{"title": "zoë"}], "n": 1.5}
    asked = {"prompt": "list", "label": "production", "inputs": inputs}
    there = live.http.post("/api/prompts/render", json=asked).json()
    here = assay.prompt("list")
    assert (here.render(inputs), here.version) == (there["text"], there["version"])


def test_a_score_lands_on_its_span(live: Any, eventually: Callable[..., Any]) -> None:
    with assay.span("top") as top:
        assay.score("helpful", 0.5, comment="half", source="human")
    assert assay.flush()
    assert assay.status().scores.delivered == 1
    asked = {"trace_id": top.trace_id}
    (score,) = eventually(lambda: live.http.get("/api/scores", params=asked).json()["items"])
    assert (score["name"], score["value"], score["span_id"], score["source"]) == (
        "helpful",
        0.5,
        top.span_id,
        "human",
    )


def test_an_error_is_an_error_there_and_given_up_work_is_cancelled(tree: Tree) -> None:
    with assay.span("top") as top:
        with pytest.raises(KeyboardInterrupt), assay.span("given up"):
            raise KeyboardInterrupt
        with pytest.raises(ValueError, match="no"), assay.span("failed"):
            raise ValueError("no")
    spans = {span["name"]: span for span in tree(top.trace_id, 3).values()}
    assert {name: span["status"] for name, span in spans.items()} == {
        "top": "ok",
        "given up": "cancelled",
        "failed": "error",
    }
    assert spans["failed"]["error"] == {"type": "ValueError", "message": "ValueError: no"}
