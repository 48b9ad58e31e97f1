"""One SDK at work, as `benchmarks/sdk.py` measures it: `python benchmarks/sdk_worker.py NAME URL`, then commands on stdin.

`spans N` records N traces of four spans and hands them on, `away N` records them for nobody, `prompts N` asks N times for a
prompt, `version` names the release. Imports nothing of Assay unless it is the one that is measured.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Decorate = Callable[[Callable[..., Any]], Callable[..., Any]]
DOCUMENTS = [{"id": number, "title": f"Document {number}", "score": 0.5 + number / 10} for number in range(3)]
QUESTION = "What is the capital of France, and which river runs through it?"
SPANS = 4


def assay(url: str) -> tuple[Decorate, Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    """Assay's."""
    import assay as sdk

    sdk.init(url, "sk-benchmark", max_spans=100_000)
    return (
        sdk.trace,
        lambda: sdk.flush(30.0),
        lambda: sdk.prompt("polish"),
        lambda: sdk.prompt("polish").render(tone="formal", text=QUESTION),
    )


def langfuse(url: str) -> tuple[Decorate, Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    """Langfuse's."""
    from langfuse import Langfuse, observe

    client = Langfuse(public_key="pk-lf-benchmark", secret_key="sk-lf-benchmark", base_url=url)
    return (
        observe(),
        client.flush,
        lambda: client.get_prompt("polish"),
        lambda: client.get_prompt("polish").compile(tone="formal", text=QUESTION),
    )


def mlflow(url: str) -> tuple[Decorate, Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    """MLflow's, with its OTLP exporter."""
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{url}/v1/traces"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    import mlflow as sdk
    import mlflow.genai

    sdk.set_tracking_uri(url)
    name = "prompts:/polish@production"

    def flush() -> None:
        sdk.flush_trace_async_logging()

    return (
        sdk.trace,
        flush,
        lambda: sdk.genai.load_prompt(name),
        lambda: sdk.genai.load_prompt(name).format(tone="formal", text=QUESTION),
    )


def opentelemetry(url: str) -> tuple[Decorate, Callable[[], Any], Callable[[], Any], Callable[[], Any]]:
    """OpenTelemetry's own, with arguments and result written as JSON by hand."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{url}/v1/traces", compression=Compression.Gzip)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("app")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with tracer.start_as_current_span(function.__name__) as span:
                span.set_attribute("input", json.dumps(arguments))
                result = function(*arguments)
                span.set_attribute("output", json.dumps(result))
                return result

        return call

    return decorate, provider.force_flush, lambda: None, lambda: None


def application(decorate: Decorate) -> Callable[[], Any]:
    """An application of four steps."""

    def retrieve(query: str, top: int) -> list[dict[str, Any]]:
        return DOCUMENTS[:top]

    def rank(query: str, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return documents[::-1]

    def generate(question: str, documents: list[dict[str, Any]]) -> str:
        return "Paris, on the Seine."

    retrieve, rank, generate = decorate(retrieve), decorate(rank), decorate(generate)

    def answer(question: str) -> str:
        documents = rank(question, retrieve(question, 3))
        return str(generate(question, documents))

    traced = decorate(answer)
    return lambda: traced(QUESTION)


def measured(work: Callable[[], Any], times: int) -> tuple[float, float]:
    """Wall and thread CPU seconds of doing it so often."""
    wall, cpu = time.perf_counter(), time.thread_time()
    for _ in range(times):
        work()
    return time.perf_counter() - wall, time.thread_time() - cpu


def main() -> None:
    """Answer each command with a line of JSON."""
    name, url = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr
    makers = {"assay": assay, "langfuse": langfuse, "mlflow": mlflow, "opentelemetry": opentelemetry}
    decorate, flush, get, render = makers[name](url)
    traced, bare = application(decorate), application(lambda function: function)

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    say({})
    for line in sys.stdin:
        word, _, count = line.strip().partition(" ")
        if word == "version":
            package = {"mlflow": "mlflow-skinny", "opentelemetry": "opentelemetry-sdk"}.get(name, name)
            say({"version": importlib.metadata.version(package)})
        elif word == "spans":
            say(spans(traced, bare, flush, int(count)))
        elif word == "away":
            say(spans(traced, bare, lambda: None, int(count)))
        elif word == "prompts":
            say(
                {
                    "get": measured(get, int(count))[1] / int(count) * 1e6,
                    "render": measured(render, int(count))[1] / int(count) * 1e6,
                }
            )


def spans(
    traced: Callable[[], Any], bare: Callable[[], Any], flush: Callable[[], Any], traces: int
) -> dict[str, float]:
    """Microseconds a span."""
    base_wall, base_cpu = measured(bare, traces)
    process = time.process_time()
    wall, cpu = measured(traced, traces)
    flush()
    process = time.process_time() - process
    count = traces * SPANS
    return {
        "wall": (wall - base_wall) / count * 1e6,
        "cpu": (cpu - base_cpu) / count * 1e6,
        "process": (process - base_cpu) / count * 1e6,
    }


if __name__ == "__main__":
    main()
