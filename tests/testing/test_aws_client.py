"""The simulated server in the format of Bedrock's Converse, with the official client as the judge."""

from collections.abc import Iterator
from typing import Any

import pytest

from assay.testing import Rule, Script, SimulatedServer, ToolUse

pytestmark = pytest.mark.peers
boto3 = pytest.importorskip("boto3", reason="needs boto3")

SCRIPT = Script(
    answer="echo",
    rules=(Rule(match="weather", tool="weather", arguments={"city": "Rome"}, also=(ToolUse(tool="clock"),)),),
    api_key="AKIDEXAMPLE:SECRET",
    cached_share=0.25,
    cache_write_1h_share=0.25,
)
SCHEMA = {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS = {"tools": [{"toolSpec": {"name": n, "inputSchema": SCHEMA}} for n in ("weather", "clock")]}
MODEL = "anthropic.claude-x-v1:0"


def client(server: SimulatedServer, id: str = "AKIDEXAMPLE") -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.root,
        aws_access_key_id=id,
        aws_secret_access_key="SECRET",
        config=boto3.session.Config(retries={"max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatedServer]:
    with SimulatedServer(SCRIPT) as server:
        yield server


@pytest.fixture
def bedrock(server: SimulatedServer) -> Iterator[Any]:
    made = client(server)
    yield made
    made.close()


def user(text: str) -> Any:
    return {"role": "user", "content": [{"text": text}]}


def together(events: Any) -> tuple[list[Any], str, Any]:
    """The blocks that a stream tells, why it stopped, and its counts."""
    blocks: list[Any] = []
    stop, usage = "", None
    for event in events:
        match event:
            case {"contentBlockStart": {"start": {"toolUse": use}}}:
                blocks.append({"name": use["name"], "id": use["toolUseId"], "input": ""})
            case {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": index}}:
                if len(blocks) == index:
                    blocks.append({"text": ""})
                blocks[index]["text"] += text
            case {"contentBlockDelta": {"delta": {"toolUse": piece}, "contentBlockIndex": index}}:
                blocks[index]["input"] += piece["input"]
            case {"messageStop": {"stopReason": reason}}:
                stop = reason
            case {"metadata": {"usage": counted}}:
                usage = counted
    return blocks, stop, usage


def test_an_answer_and_its_stream_say_the_same(bedrock: Any) -> None:
    asked = {"modelId": MODEL, "messages": [user("one two three four")], "inferenceConfig": {"maxTokens": 3}}
    whole = bedrock.converse(**asked)
    blocks, stop, usage = together(bedrock.converse_stream(**asked)["stream"])
    assert whole["output"]["message"]["content"] == blocks == [{"text": "one two three"}]
    assert whole["stopReason"] == stop == "max_tokens"
    assert whole["usage"] == usage
    assert (usage["inputTokens"], usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]) == (2, 1, 1)
    assert usage["cacheDetails"] == [{"ttl": "1h", "inputTokens": 1}]


def test_calls_are_answered(bedrock: Any) -> None:
    asked = {"modelId": MODEL, "messages": [user("the weather")], "toolConfig": TOOLS}
    blocks, stop, _ = together(bedrock.converse_stream(**asked)["stream"])
    assert ([block["name"] for block in blocks], stop) == (["weather", "clock"], "tool_use")
    message = bedrock.converse(**asked)["output"]["message"]
    results = [
        {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "fine"}]}}
        for block in message["content"]
    ]
    history = [user("the weather"), message, {"role": "user", "content": results}]
    ended = bedrock.converse(modelId=MODEL, messages=history, toolConfig=TOOLS)
    assert ended["stopReason"] == "end_turn"
    with pytest.raises(bedrock.exceptions.ValidationException, match="toolConfig"):
        bedrock.converse(modelId=MODEL, messages=history)


def test_thinking_is_signed_and_taken_back(server: SimulatedServer, bedrock: Any) -> None:
    server.simulation.change(reasoning_tokens=3)
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    message = bedrock.converse(modelId=MODEL, messages=[user("x")], additionalModelRequestFields=thinking)
    server.simulation.change(reasoning_tokens=0)
    said = message["output"]["message"]
    assert said["content"][0]["reasoningContent"]["reasoningText"]["signature"]
    bedrock.converse(modelId=MODEL, messages=[user("x"), said, user("y")])


def test_what_is_refused_is_the_exception_for_it(server: SimulatedServer, bedrock: Any) -> None:
    with pytest.raises(bedrock.exceptions.ValidationException, match="start with a user"):
        bedrock.converse(modelId=MODEL, messages=[{"role": "assistant", "content": [{"text": "x"}]}])
    stranger = client(server, "AKIDSTRANGER")
    with pytest.raises(stranger.exceptions.ClientError, match="UnrecognizedClientException"):
        stranger.converse(modelId=MODEL, messages=[user("x")])
    stranger.close()


def test_a_failure_in_a_stream_is_an_event(server: SimulatedServer, bedrock: Any) -> None:
    server.simulation.change(error_at=3)
    stream = bedrock.converse_stream(modelId=MODEL, messages=[user("one two three")])["stream"]
    with pytest.raises(Exception, match="unable to process") as caught:
        list(stream)
    server.simulation.change(error_at=None)
    assert type(caught.value).__name__ == "EventStreamError"
