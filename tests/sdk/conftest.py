"""A receiver on the loopback interface that reads OTLP with the official classes, and the SDK pointed at it."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

import assay

Answer = tuple[int, dict[str, str], bytes]
GOOD: Answer = (200, {"content-type": "application/x-protobuf"}, b"")


class Received:
    """A span as it arrived."""

    def __init__(self, span: Any, scope: Any, resource: dict[str, Any]) -> None:
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str | None = span.parent_span_id.hex() or None
        self.kind: int = span.kind
        self.start_ns: int = span.start_time_unix_nano
        self.end_ns: int = span.end_time_unix_nano
        self.status: int = span.status.code
        self.message: str = span.status.message
        self.attributes = {each.key: plain(each.value) for each in span.attributes}
        self.events = [
            (event.name, {each.key: plain(each.value) for each in event.attributes}) for event in span.events
        ]
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
        self.scope: str = scope.name
        self.resource = resource

    @property
    def input(self) -> Any:
        return json.loads(self.attributes["assay.input"])

    @property
    def output(self) -> Any:
        return json.loads(self.attributes["assay.output"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is part of some tests."""


class Receiver:
    """Keeps what is sent. `answer` may be changed; `stop` and `start` are a server that goes and comes back."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.scores: list[Any] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answer: Callable[[str, int], Answer] = lambda path, count: GOOD
        self.prompts: dict[str, Any] = {}
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), self._face())
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def named(self, name: str) -> Received:
        """The one span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def _face(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Face(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                spans, scores = receiver.read(self.path, body)
                answer = receiver.answer(self.path, len(spans))
                if answer[0] == 200:
                    receiver.spans += spans
                    receiver.scores += scores
                self.reply(answer)

            def do_GET(self) -> None:
                receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                found = receiver.prompts.get(self.path)
                error = {"error": {"message": "no such prompt", "type": "not_found_error"}}
                said = (404, {}, json.dumps(error).encode()) if found is None else GOOD
                asked = receiver.answer(self.path, 0)
                if asked[0] != 200:
                    said = asked
                elif found is not None:
                    said = (200, {}, json.dumps(found).encode())
                self.reply(said)

            def reply(self, answer: Answer) -> None:
                status, headers, body = answer
                self.send_response(status)
                for name, value in {
                    **headers,
                    "content-length": str(len(body)),
                    "connection": "close",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Face

    def read(self, path: str, body: bytes) -> tuple[list[Received], list[Any]]:
        if not path.endswith("/v1/traces"):
            return [], [json.loads(body)]
        request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
        found = []
        for resource_spans in request.resource_spans:
            resource = {each.key: plain(each.value) for each in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                found += [Received(span, scope_spans.scope, resource) for span in scope_spans.spans]
        return found, []


def plain(value: Any) -> Any:
    """An `AnyValue` as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: plain(each.value) for each in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)


def partly(rejected: int, why: str) -> Answer:
    """A `partialSuccess`."""
    message = ExportTraceServiceResponse()
    message.partial_success.rejected_spans = rejected
    message.partial_success.error_message = why
    return 200, {"content-type": "application/x-protobuf"}, message.SerializeToString()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def sdk(receiver: Receiver) -> Iterator[Callable[..., None]]:
    """`sdk(**options)` is `assay.init` for the receiver; it ends with the test."""

    def init(**options: Any) -> None:
        assay.init(receiver.url, "sk-test", **{"interval_s": 0.05, "exit_timeout_s": 1.0, **options})

    yield init
    assay.shutdown()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask until it holds; returns what held."""

    def wait(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.01)
        return found

    return wait
