"""Programs that trace themselves, through a real server: one trace each, every parent right, each call counted once."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples/opentelemetry"
CONFIG = """
[providers.practice]
type = "simulated"
[models.fast]
route = [{ provider = "practice", model = "practice-1" }]
price = { input_usd_per_mtok = 0.15, output_usd_per_mtok = 0.60 }
"""


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    """A server with a simulated model."""
    return start_assay(CONFIG).ready()


def run(server: Any, program: Path) -> Any:
    """Run a program and return its trace: the spans as a tree of (kind, name, [children]), the spans, the summary."""
    environ = {**os.environ, "ASSAY_URL": server.url, "ASSAY_KEY": server.key, "LANGSMITH_TRACING": "false"}
    done = subprocess.run(
        [sys.executable, program], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    trace_id = done.stdout.rpartition("trace: ")[2].strip()
    spans = server.trace(trace_id)
    listed = server.http.get("/api/traces").raise_for_status().json()["items"]
    (summary,) = [trace for trace in listed if trace["trace_id"] == trace_id]
    return tree(spans, None), spans, summary


def tree(spans: list[Any], parent_id: str | None) -> list[Any]:
    """The spans below one, in the order in which they began."""
    return [
        (span["kind"], span["name"], tree(spans, span["span_id"]))
        for span in spans
        if span["parent_id"] == parent_id
    ]


def test_opentelemetrys_own_sdk_with_the_openai_client(server: Any) -> None:
    found, spans, summary = run(server, EXAMPLES / "plain.py")

    tool: Any = ("tool", "execute_tool look_outside", [])
    request: Any = ("other", "POST", [("model", "chat fast", [])])
    assert found == [("other", "answer a question", [tool, request])]
    root, looked, _, call = spans
    assert (root["session"], root["user"]) == ("conversation-1", "ann")
    assert (looked["input"], looked["output"]) == ([{"city": "Oslo"}], ["grey"])
    assert call["cost_usd"] > 0
    assert (summary["calls"], summary["cost_usd"], summary["name"]) == (1, call["cost_usd"], root["name"])


def test_langchain_with_openinferences_instrumentor(server: Any) -> None:
    found, spans, summary = run(server, EXAMPLES / "chain.py")

    call: Any = ("model", "ChatOpenAI", [("model", "chat fast", [])])
    sequence = ("other", "RunnableSequence", [("other", "ChatPromptTemplate", []), call])
    assert found == [
        ("other", "answer a question", [("tool", "look_outside", []), sequence, sequence, sequence])
    ]
    told = [span for span in spans if span["name"] == "ChatOpenAI"]
    calls = [span for span in spans if span["name"] == "chat fast"]
    assert [span["counted"] for span in told] == [False] * 3
    assert [span["counted"] for span in calls] == [True] * 3
    assert {span["session"] for span in told} == {"conversation-1"}
    for mine, theirs in zip(calls, told, strict=True):
        assert mine["usage"] == theirs["usage"]
        assert [message["role"] for message in theirs["input"]] == ["system", "user"]
        assert theirs["output"][0]["content"] == mine["output"][0]["content"]
    assert summary["calls"] == 3
    assert summary["total_tokens"] == sum(sum(span["usage"].values()) for span in calls)
    assert summary["cost_usd"] == pytest.approx(sum(span["cost_usd"] for span in calls))


UNCHANGED = """
import os
from langchain_openai import ChatOpenAI
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

url, key = os.environ["ASSAY_URL"], os.environ["ASSAY_KEY"]
provider = TracerProvider()
exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", headers={"x-api-key": key})
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
LangChainInstrumentor().instrument(tracer_provider=provider)
HTTPX2ClientInstrumentor().instrument()
model = ChatOpenAI(model="fast", base_url=f"{url}/v1", api_key=key)
with trace.get_tracer("t").start_as_current_span("root") as root:
    model.invoke("one")
    model.batch(["two", "three"])
    list(model.stream("four"))  # LangChain asks for no usage here, so its span knows no tokens
    print("trace:", trace.format_trace_id(root.get_span_context().trace_id))
provider.shutdown()
"""


def test_langchain_as_it_is_puts_calls_beside_their_spans_and_they_count_once_too(
    server: Any, tmp_path: Path
) -> None:
    program = tmp_path / "unchanged.py"
    program.write_text(UNCHANGED)

    found, spans, summary = run(server, program)

    ((_, _, below),) = found
    assert sorted(name for _, name, _ in below) == ["ChatOpenAI"] * 4 + ["POST"] * 4
    assert [span["counted"] for span in spans if span["name"] == "ChatOpenAI"] == [False] * 4
    assert (summary["calls"], summary["cost_unknown"], summary["model"]) == (4, 0, "fast")
