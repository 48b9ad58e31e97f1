"""What waits for the server: bounded, kept while the server is away, counted when it is lost."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.conftest import GOOD, Answer, Receiver, partly

import assay
from assay.sdk import outbox, running

Sdk = Callable[..., None]


def make(count: int, name: str = "x", **more: Any) -> None:
    for number in range(count):
        with assay.span(f"{name}{number}", **more):
            pass


def test_spans_are_sent_by_themselves(sdk: Sdk, receiver: Receiver, eventually: Callable[..., Any]) -> None:
    sdk()
    make(3)
    eventually(lambda: len(receiver.spans) == 3)
    eventually(lambda: assay.status().spans.delivered == 3)
    assert (assay.status().reachable, assay.status().spans.waiting) == (True, 0)


def test_a_full_batch_does_not_wait_for_its_time(sdk: Sdk, eventually: Callable[..., Any]) -> None:
    sdk(interval_s=1_000.0)
    make(outbox.BATCH_SPANS)
    eventually(lambda: assay.status().spans.delivered == outbox.BATCH_SPANS)


def test_a_server_that_goes_and_comes_back_loses_only_what_was_over_the_bound(
    sdk: Sdk, receiver: Receiver, eventually: Callable[..., Any]
) -> None:
    sdk(max_spans=50)
    receiver.stop()
    make(80)
    eventually(lambda: assay.status().reachable is False)
    told = assay.status()
    assert (told.spans.waiting, told.spans.dropped) == (50, {"full": 30})
    assert "cannot be reached" in (told.last_error or "")
    receiver.start()
    assert assay.flush(30.0)
    told = assay.status()
    assert (told.spans.recorded, told.spans.delivered, told.spans.dropped) == (80, 50, {"full": 30})
    assert told.reachable
    assert sorted(span.name for span in receiver.spans) == sorted(f"x{number}" for number in range(50))


def test_memory_is_bounded_in_bytes_too(sdk: Sdk, receiver: Receiver) -> None:
    sdk(max_buffer_bytes=100_000, interval_s=1_000.0)
    make(20, input="y" * 10_000)
    assert 7 <= assay.status().spans.waiting <= 10
    assert assay.status().spans.dropped["full"] >= 10


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(
    sdk: Sdk, receiver: Receiver, status: int, eventually: Callable[..., Any]
) -> None:
    times: list[float] = []

    def answer(path: str, count: int) -> Answer:
        times.append(time.monotonic())
        return (status, {"retry-after": "1.2"}, b"") if len(times) == 1 else GOOD

    receiver.answer = answer
    sdk()
    make(1)
    eventually(lambda: assay.status().spans.delivered == 1)
    assert times[1] - times[0] >= 1.1
    assert len(receiver.spans) == 1


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_is_refused_is_not_sent_again(
    sdk: Sdk, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda path, count: (status, {}, b'{"error": {"message": "the key is wrong"}}')
    sdk()
    with caplog.at_level(logging.WARNING, "assay"):
        make(2)
        assert assay.flush()
        make(1)
        assert assay.flush()
    told = assay.status()
    assert (told.spans.dropped, told.spans.delivered) == ({"refused": 3}, 0)
    assert told.last_error == f"HTTP {status}: the key is wrong"
    assert len([line for line in caplog.messages if "the key is wrong" in line]) == 1


def test_a_partial_success_counts_what_was_rejected(sdk: Sdk, receiver: Receiver) -> None:
    receiver.answer = lambda path, count: partly(1, "one was odd")
    sdk(interval_s=1_000.0)
    make(3)
    assert assay.flush()
    assert (assay.status().spans.delivered, assay.status().spans.dropped) == (2, {"rejected": 1})


def test_what_is_too_large_together_is_sent_in_parts(sdk: Sdk, receiver: Receiver) -> None:
    receiver.answer = lambda path, count: (413, {}, b"") if count > 3 else GOOD
    sdk(interval_s=1_000.0)
    make(20)
    assert assay.flush()
    assert sorted(span.name for span in receiver.spans) == sorted(f"x{number}" for number in range(20))
    receiver.answer = lambda path, count: (413, {}, b"")
    make(1)
    assert assay.flush()
    assert assay.status().spans.dropped == {"unfit": 1}


def test_a_span_that_cannot_be_written_takes_nobody_along(sdk: Sdk, receiver: Receiver) -> None:
    sdk(interval_s=1_000.0)
    make(2, "good")
    with assay.span("poison") as step:
        poison: Any = step._span
        poison.trace_id = "not hexadecimal"
    make(2, "later")
    assert assay.flush()
    assert sorted(span.name for span in receiver.spans) == ["good0", "good1", "later0", "later1"]
    assert assay.status().spans.dropped == {"unfit": 1}


def test_the_application_does_not_wait_for_a_server_that_hangs(sdk: Sdk, receiver: Receiver) -> None:
    let_go = threading.Event()

    def answer(path: str, count: int) -> Answer:
        let_go.wait(30)
        return GOOD

    receiver.answer = answer
    sdk(exit_timeout_s=0.2)
    make(1)
    began = time.monotonic()
    make(1_000)
    assert not assay.flush(0.1)
    assay.shutdown()
    assert time.monotonic() - began < 10
    let_go.set()


def test_the_end_sends_what_is_left_and_counts_what_it_cannot(
    sdk: Sdk, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    sdk(interval_s=1_000.0)
    box = running.required().outbox
    make(2)
    assay.shutdown()
    assert (len(receiver.spans), box.counts()[0].delivered) == (2, 2)
    sdk(interval_s=1_000.0)
    box = running.required().outbox
    make(3)
    receiver.stop()
    with caplog.at_level(logging.WARNING, "assay"):
        assay.shutdown()
    receiver.start()
    assert box.counts()[0].dropped == {"exit": 3}
    assert "3 spans and scores were not delivered before the end" in caplog.text
    with assay.span("after the end"):
        pass


def test_a_span_that_ends_after_the_end_is_counted(sdk: Sdk) -> None:
    sdk()
    box = running.required().outbox
    with assay.span("late"):
        assay.shutdown()
    assert box.counts()[0].dropped == {"closed": 1}


def test_many_threads_lose_nothing(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    threads = [threading.Thread(target=make, args=(200, f"t{number}-")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert assay.flush(30.0)
    assert len({span.span_id for span in receiver.spans}) == len(receiver.spans) == 1_600
    assert assay.status().spans.delivered == 1_600


def test_scores_wait_for_the_server_like_spans(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    receiver.stop()
    with assay.span("x") as step:
        assay.score("thumbs", True, comment="good")
    assay.score("late", 0.5, trace_id="0" * 31 + "1", source="human", id="mine")
    receiver.start()
    assert assay.flush(30.0)
    first, second = receiver.scores
    assert first.pop("id")
    assert first == {
        "name": "thumbs", "value": True, "source": "user", "comment": "good",
        "trace_id": step.trace_id, "span_id": step.span_id,
    }  # fmt: skip
    assert second == {
        "name": "late",
        "value": 0.5,
        "source": "human",
        "id": "mine",
        "trace_id": "0" * 31 + "1",
    }
    assert assay.status().scores.delivered == 2


def test_a_score_that_cannot_be_sent_is_said_and_not_raised(
    sdk: Sdk, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    sdk()
    with caplog.at_level(logging.WARNING, "assay"):
        assay.score("thumbs", True)
        assay.score("thumbs", float("nan"), session_id="s")
    assert "it is about nothing" in caplog.text
    assert "nan is no number" in caplog.text
    assert assay.flush()
    assert (receiver.scores, assay.status().scores.dropped) == ([], {"unfit": 2})
