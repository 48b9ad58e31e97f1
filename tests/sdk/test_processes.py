"""Forks, ends of processes, and what it all costs."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.conftest import GOOD, Answer, Receiver

import assay

Sdk = Callable[..., None]

FORKING = """
import os, sys, assay
assay.init(sys.argv[1], "sk-test", interval_s=1000.0)
with assay.span("before"):
    pass
child = os.fork()
with assay.span("child" if child == 0 else "parent") as step:
    step.set("pid", os.getpid())
if child == 0:
    assert assay.status().spans.recorded == 1
    assay.flush()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
MULTIPROCESSING = """
import multiprocessing, sys, assay
assay.init(sys.argv[1], "sk-test", interval_s=1000.0)

def work(number):
    with assay.span(f"work {number}"):
        pass

if __name__ == "__main__":
    with assay.span("start"):
        children = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
"""
FORKING_UNDER_LOAD = """
import os, sys, threading, assay
assay.init(sys.argv[1], "sk-test", interval_s=0.001)
stop = threading.Event()

def busy():
    while not stop.wait(0.0002):
        for _ in range(20):
            with assay.span("busy"):
                pass

threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        with assay.span(f"child {number}"):
            pass
        os._exit(0 if assay.flush(20.0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
stop.set()
"""
ENDING = """
import sys, assay
assay.init(sys.argv[1], "sk-test", interval_s=1000.0, exit_timeout_s=float(sys.argv[2]))
with assay.span("last words"):
    pass
print("done")
"""


def run(code: str, *arguments: str) -> tuple[float, "subprocess.CompletedProcess[str]"]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began, done


@pytest.mark.linux
def test_after_a_fork_each_process_sends_its_own(receiver: Receiver) -> None:
    run(FORKING, receiver.url)
    assert sorted(span.name for span in receiver.spans) == ["before", "child", "parent"]
    child = receiver.named("child")
    assert child.resource["process.pid"] == child.attributes["pid"]
    assert child.resource["process.pid"] != receiver.named("parent").resource["process.pid"]
    assert len({span.span_id for span in receiver.spans}) == 3


@pytest.mark.linux
def test_children_of_multiprocessing_send_what_they_have_when_they_end(receiver: Receiver) -> None:
    run(MULTIPROCESSING, receiver.url)
    assert sorted(span.name for span in receiver.spans) == ["start", "work 0", "work 1", "work 2"]
    assert receiver.named("work 1").parent_id == receiver.named("start").span_id


@pytest.mark.linux
def test_a_fork_in_the_middle_of_anything_hangs_nobody(receiver: Receiver) -> None:
    run(FORKING_UNDER_LOAD, receiver.url)
    assert {f"child {number}" for number in range(20)} <= {span.name for span in receiver.spans}


def test_the_end_of_the_process_sends_what_is_left(receiver: Receiver) -> None:
    _, done = run(ENDING, receiver.url, "5")
    assert [span.name for span in receiver.spans] == ["last words"]
    assert done.stderr == ""


def test_the_end_does_not_wait_for_a_server_that_is_away(receiver: Receiver) -> None:
    receiver.stop()
    seconds, done = run(ENDING, receiver.url, "60")
    receiver.start()
    assert seconds < 20
    assert "1 spans and scores were not delivered" in done.stderr


def test_the_end_waits_for_a_server_that_hangs_only_so_long(receiver: Receiver) -> None:
    let_go = threading.Event()

    def answer(path: str, count: int) -> Answer:
        let_go.wait(60)
        return GOOD

    receiver.answer = answer
    seconds, _ = run(ENDING, receiver.url, "0.5")
    let_go.set()
    assert seconds < 20


def test_a_span_costs_the_application_at_most_30_microseconds(sdk: Sdk, receiver: Receiver) -> None:
    sdk(interval_s=1_000.0, max_spans=10**6)

    @assay.trace
    def step(text: str, options: dict[str, Any]) -> dict[str, Any]:
        return options

    def round() -> float:
        began = time.thread_time()
        for _ in range(300):
            step("What is the capital of France?", {"temperature": 0.2, "stop": ["a", "b"]})
        return (time.thread_time() - began) / 300

    assert min(round() for _ in range(20)) <= 30e-6


def test_a_server_that_is_away_costs_the_application_nothing_more(sdk: Sdk, receiver: Receiver) -> None:
    receiver.stop()
    sdk(max_spans=100)
    began = time.thread_time()
    for _ in range(5_000):
        with assay.span("x"):
            pass
    assert (time.thread_time() - began) / 5_000 <= 60e-6
    receiver.start()
