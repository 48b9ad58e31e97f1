"""How fast telemetry of other programs comes in by OTLP: accepted (answered, on the medium) and visible (in the store).

    python benchmarks/ingest.py [--spans 50000] [--batch 512] [--connections 4] [--encoding gzip] [--json FILE]

A real server on a directory of its own; batches as OpenTelemetry's exporters send them, made beforehand: traces of an
agent with calls of models (2 kB of messages that grow with each turn), tools and HTTP requests. Before that, one batch of
1,000 spans is decoded in this process, with Assay's decoder and, beside it, with the official protobuf classes.
"""

import argparse
import asyncio
import gzip
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from assay.traces import otlp_json, otlp_protobuf
from assay.traces.otlp import Sender

KEY = "sk-assay-benchmark-0123456789abcdef0123456789abcdef"
WORDS = Path(__file__).read_text().split()
PACK: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": lambda body: gzip.compress(body, 6),
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}


def attribute(key: str, value: Any) -> KeyValue:
    """A pair in the official classes."""
    kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}[type(value)]
    return KeyValue(key=key, value=AnyValue(**{kind: value}))


def agent_trace(chance: random.Random, now_ns: int, turns: int = 4) -> Iterator[Span]:
    """An agent that calls a model and a tool in turn; each call is sent with all that was said before."""
    trace_id, root_id = chance.randbytes(16), chance.randbytes(8)
    said: list[dict[str, Any]] = []

    def span(name: str, parent_id: bytes, **attributes: Any) -> Span:
        start_ns = now_ns - chance.randrange(10**11)
        return Span(
            trace_id=trace_id,
            span_id=root_id if not parent_id else chance.randbytes(8),
            parent_span_id=parent_id,
            name=name,
            kind=3,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + chance.randrange(10**9),
            attributes=[attribute(key.replace("__", "."), value) for key, value in attributes.items()],
        )

    for _ in range(turns):
        text = " ".join(chance.choices(WORDS, k=250))
        said.append({"role": "user", "parts": [{"type": "text", "content": text}]})
        answer = [
            {"role": "assistant", "parts": [{"type": "text", "content": text[:300]}], "finish_reason": "stop"}
        ]
        call = span(
            "chat gpt-4o-mini",
            root_id,
            gen_ai__operation__name="chat",
            gen_ai__provider__name="openai",
            gen_ai__request__model="gpt-4o-mini",
            gen_ai__response__model="gpt-4o-mini-2024-07-18",
            gen_ai__request__temperature=0.2,
            gen_ai__usage__input_tokens=chance.randrange(4000),
            gen_ai__usage__output_tokens=chance.randrange(400),
            gen_ai__input__messages=json.dumps(said),
            gen_ai__output__messages=json.dumps(answer),
            session__id=f"session-{chance.randrange(1000)}",
        )
        yield call
        yield span(
            "POST",
            call.span_id,
            http__request__method="POST",
            url__full="https://api.openai.com/v1/chat/completions",
            http__response__status_code=200,
        )
        yield span(
            "execute_tool search",
            root_id,
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name="search",
            gen_ai__tool__call__arguments='{"query": "weather"}',
        )
        said += answer
    yield span("invoke_agent", b"", gen_ai__operation__name="invoke_agent", session__id="s")


def batches(count: int, size: int) -> list[bytes]:
    """So many spans in requests of so many each."""
    chance, now_ns = random.Random(7), time.time_ns()
    spans = (span for _ in range(count) for span in agent_trace(chance, now_ns))
    made = []
    for _ in range(0, count, size):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.extend([attribute("service.name", "agent"), attribute("host.name", "a-1")])
        scoped = group.scope_spans.add()
        scoped.scope.name = "benchmark"
        scoped.spans.extend(next(spans) for _ in range(size))
        made.append(request.SerializeToString())
    return made


def median_ms(work: Callable[[], object], runs: int = 9) -> float:
    """Of some runs."""
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1e3, 1)


def decoding() -> dict[str, Any]:
    """Milliseconds to decode 1,000 spans to values."""
    (body,) = batches(1000, 1000)
    sender = Sender("default")
    return {
        "decode_1000_spans_mb": round(len(body) / 1e6, 2),
        "decode_1000_spans_ms": median_ms(lambda: otlp_protobuf.decode(body, sender)),
        "decode_1000_spans_official_ms": median_ms(lambda: official(body)),
        "decode_1000_spans_json_ms": median_ms(lambda: otlp_json.decode(as_json(body), sender)),
    }


def official(body: bytes) -> list[Any]:
    """The same values by the official classes."""
    found = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {pair.key: value_of(pair.value) for pair in group.resource.attributes}
        for scoped in group.scope_spans:
            for span in scoped.spans:
                attributes = {pair.key: value_of(pair.value) for pair in span.attributes}
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                times = (span.start_time_unix_nano, span.end_time_unix_nano)
                found.append((ids, span.name, span.kind, times, attributes, resource, span.status.code))
    return found


def value_of(value: AnyValue) -> Any:
    """A plain value."""
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def as_json(body: bytes) -> bytes:
    """The request in OTLP's JSON; made once."""
    if body not in _AS_JSON:
        reading = otlp_protobuf.decode(body, Sender("default"))
        spans = [
            {
                "traceId": span.trace_id,
                "spanId": span.span_id,
                "parentSpanId": span.parent_id or "",
                "name": span.name,
                "kind": span.kind,
                "startTimeUnixNano": str(span.start_ns),
                "endTimeUnixNano": str(span.end_ns),
                "attributes": [
                    {
                        "key": key,
                        "value": {"stringValue": value}
                        if isinstance(value, str)
                        else {"intValue": str(value)}
                        if isinstance(value, int)
                        else {"doubleValue": value},
                    }
                    for key, value in span.attributes.items()
                ],
            }
            for span in reading.spans
        ]
        _AS_JSON[body] = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    return _AS_JSON[body]


_AS_JSON: dict[bytes, bytes] = {}


async def send(
    url: str, bodies: list[bytes], *, encoding: str, connections: int
) -> tuple[float, list[float]]:
    """All bodies over so many connections: seconds in all, and each request's."""
    waiting = iter(bodies)
    took: list[float] = []
    headers = {"x-api-key": KEY, "content-type": "application/x-protobuf", "content-encoding": encoding}

    async def one() -> None:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            for body in waiting:
                began = time.perf_counter()
                answer = await client.post("/v1/traces", content=body)
                took.append(time.perf_counter() - began)
                assert (answer.status_code, answer.content) == (200, b""), answer.text

    began = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(connections)])
    return time.perf_counter() - began, took


def measure(folder: Path, *, spans: int, batch: int, connections: int, encoding: str) -> dict[str, Any]:
    """Everything, in one dict."""
    figures = decoding()
    bodies = [PACK[encoding](body) for body in batches(spans, batch)]
    command = [sys.executable, "-m", "assay", "up", "--port", "0", "--data", str(folder / "data")]
    with (folder / "said.txt").open("w") as said:
        environ = {**os.environ, "ASSAY_ADMIN_KEY": KEY, "PYTHONUNBUFFERED": "1"}
        server = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, env=environ)
    try:
        url = address(folder / "said.txt")
        before = cpu_s(server.pid)
        seconds, took = asyncio.run(send(url, bodies, encoding=encoding, connections=connections))
        began = time.perf_counter()
        while backlog(url):
            time.sleep(0.05)
        behind = time.perf_counter() - began
        spent = cpu_s(server.pid) - before
    finally:
        server.terminate()
        server.wait(60)
    sent = len(bodies) * batch
    took.sort()
    return figures | {
        "spans": sent,
        "request_kb": round(statistics.mean(map(len, bodies)) / 1e3, 1),
        "accepted_spans_per_s": round(sent / seconds),
        "visible_spans_per_s": round(sent / (seconds + behind)),
        "behind_after_the_last_s": round(behind, 1),
        "server_cpu_us_per_span": round(spent / sent * 1e6),
        "request_p50_ms": round(statistics.median(took) * 1e3, 1),
        "request_p99_ms": round(took[int(len(took) * 0.99)] * 1e3, 1),
        "store_bytes_per_span": round(size_of(folder / "data") / sent),
    }


def cpu_s(pid: int) -> float:
    """Processor time of a process so far: on a machine that others use too it says more than the clock."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def address(said: Path) -> str:
    """Where the server is, once it says so."""
    while (found := re.search(r"is at (http://\S+)", said.read_text())) is None:
        time.sleep(0.05)
    return found[1]


def backlog(url: str) -> int:
    """Bytes that are in the spool and not in the store."""
    return int(httpx.get(f"{url}/readyz").json()["spool"]["backlog_bytes"])


def size_of(data: Path) -> int:
    """Of the span store."""
    return sum(
        path.stat().st_size for path in data.rglob("*") if path.is_file() and "spool" not in path.parts
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--encoding", choices=PACK, default="gzip")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(
            Path(folder),
            spans=chosen.spans,
            batch=chosen.batch,
            connections=chosen.connections,
            encoding=chosen.encoding,
        )
    text = json.dumps(figures, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
