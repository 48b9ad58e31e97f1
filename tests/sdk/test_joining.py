"""Beside an OpenTelemetry SDK of the application's own. Each case in a process of its own: there is one global provider."""

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.sdk.conftest import Receiver

BEFORE = """
import json, sys
import assay
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

URL = sys.argv[1]
theirs = InMemorySpanExporter()

def set_up(**options):
    provider = TracerProvider(resource=Resource.create({"service.name": "their-shop"}), **options)
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    trace.set_tracer_provider(provider)

def work():
    with trace.get_tracer("web").start_as_current_span("request"):
        with assay.span("step", input={"a": 1}, session="s"):
            with trace.get_tracer("db").start_as_current_span("query"):
                pass
"""
AFTER = """
assay.flush()
def shown(span):
    parent = span.parent and format(span.parent.span_id, "016x")
    return [span.name, format(span.context.trace_id, "032x"), format(span.context.span_id, "016x"), parent]
print(json.dumps({"theirs": [shown(span) for span in theirs.get_finished_spans()], "joined": assay.status().joined}))
"""


def run(receiver: Receiver, code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BEFORE + code + AFTER, receiver.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Overriding" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def tree(spans: list[Any]) -> dict[str, str | None]:
    """Name → name of the parent, and one trace."""
    assert len({trace for _, trace, *_ in spans}) == 1
    names: dict[str | None, str | None] = {span: name for name, _, span, _ in spans}
    return {name: names.get(parent) for name, *_, parent in spans}


WHOLE = {"request": None, "step": "request", "query": "step"}


def ours(receiver: Receiver) -> list[Any]:
    return [[span.name, span.trace_id, span.span_id, span.parent_id] for span in receiver.spans]


@pytest.mark.parametrize(
    "code",
    ['set_up(); assay.init(URL, "sk-test"); work()', 'assay.init(URL, "sk-test"); set_up(); work()'],
    ids=["theirs first", "ours first"],
)
def test_both_see_the_same_whole_tree_whoever_comes_first(receiver: Receiver, code: str) -> None:
    said = run(receiver, code)
    assert said["joined"]
    assert tree(said["theirs"]) == tree(ours(receiver)) == WHOLE
    assert sorted(said["theirs"]) == sorted(ours(receiver))
    step = receiver.named("step")
    assert (step.input, step.scope, receiver.named("query").scope) == ({"a": 1}, "assay", "db")
    assert receiver.named("query").attributes["session.id"] == "s"
    assert step.resource["service.name"] == "their-shop"


def test_their_provider_stays_the_global_one_and_we_take_no_place(receiver: Receiver) -> None:
    code = """
assay.init(URL, "sk-test")
assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
with assay.span("alone"):
    pass
set_up()
assert isinstance(trace.get_tracer_provider(), TracerProvider)
"""
    said = run(receiver, code)
    assert said["theirs"] == []
    assert [span.name for span in receiver.spans] == ["alone"]


def test_apart_the_trees_do_not_touch_and_share_the_trace(receiver: Receiver) -> None:
    said = run(receiver, 'set_up(); assay.init(URL, "sk-test", join=False); work()')
    assert tree(said["theirs"]) == {"request": None, "query": "request"}
    assert tree(ours(receiver)) == {"step": None}
    assert receiver.named("step").trace_id == said["theirs"][0][1]
    assert not said["joined"]


def test_their_sampler_decides_when_joined_and_not_when_apart(receiver: Receiver) -> None:
    run(receiver, 'set_up(sampler=ALWAYS_OFF); assay.init(URL, "sk-test"); work()')
    assert receiver.spans == []
    run(receiver, 'set_up(sampler=ALWAYS_OFF); assay.init(URL, "sk-test", join=False); work()')
    assert [span.name for span in receiver.spans] == ["step"]


def test_a_span_that_they_record_and_do_not_sample_is_not_sent(receiver: Receiver) -> None:
    code = """
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

class RecordOnly(Sampler):
    def should_sample(self, *arguments, **options):
        return SamplingResult(Decision.RECORD_ONLY)
    def get_description(self):
        return "records"

set_up(sampler=RecordOnly())
assay.init(URL, "sk-test")
work()
"""
    run(receiver, code)
    assert receiver.spans == []


def test_which_of_their_spans_come_can_be_chosen(receiver: Receiver) -> None:
    code = """
set_up()
assay.init(URL, "sk-test", keep=lambda span: span.instrumentation_scope.name != "web")
work()
"""
    run(receiver, code)
    assert sorted(span.name for span in receiver.spans) == ["query", "step"]


def test_as_the_global_provider_assay_hears_other_instrumentation_without_the_sdk(receiver: Receiver) -> None:
    code = """
assay.init(URL, "sk-test", make_global=True)
work()
"""
    run(receiver, code)
    assert tree(ours(receiver)) == WHOLE


def test_their_shutdown_and_flush_do_not_end_ours(receiver: Receiver) -> None:
    code = """
set_up()
assay.init(URL, "sk-test", interval_s=1000.0)
work()
assert trace.get_tracer_provider().force_flush()
assert assay.status().spans.delivered == 3
trace.get_tracer_provider().shutdown()
"""
    run(receiver, code)
    assert len(receiver.spans) == 3


def test_after_an_error_in_their_span_it_is_failed_here_too(receiver: Receiver) -> None:
    code = """
set_up()
assay.init(URL, "sk-test")
try:
    with assay.span("step"):
        raise ValueError("no")
except ValueError:
    pass
"""
    run(receiver, code)
    step = receiver.named("step")
    assert (step.status, step.message) == (2, "ValueError: no")
    assert [name for name, _ in step.events] == ["exception"]
