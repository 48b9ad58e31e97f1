"""Our spans keep to OpenTelemetry's interface, and nest with anybody's."""

from typing import Any

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.status import Status, StatusCode

from assay.sdk import labels
from assay.sdk.recording import MAX_ATTRIBUTES, MAX_EVENTS, LightProvider, LightSpan


class Kept:
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def offer(self, span: Any) -> None:
        self.spans.append(span)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def tracer(kept: Kept) -> api.Tracer:
    return LightProvider(kept, limit=5_000).get_tracer("lib", "1.0")


def test_spans_nest_by_the_current_context(tracer: api.Tracer, kept: Kept) -> None:
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("inner"):
            pass
        assert api.get_current_span() is outer
    inner, outer_ = kept.spans
    assert (inner.trace_id, inner.parent_id) == (outer_.trace_id, outer_.span_id)
    assert outer_.parent_id is None
    assert outer_.start_ns <= inner.start_ns <= inner.end_ns <= outer_.end_ns
    assert inner.scope == ("lib", "1.0")


def test_a_span_of_ours_under_one_of_the_sdk_and_the_other_way_round(tracer: api.Tracer, kept: Kept) -> None:
    theirs = TracerProvider().get_tracer("theirs")
    with theirs.start_as_current_span("top") as top:
        with tracer.start_as_current_span("middle") as middle:
            with theirs.start_as_current_span("bottom") as bottom:
                pass
    (ours,) = kept.spans
    assert ours.parent_id == f"{top.get_span_context().span_id:016x}"
    assert bottom.parent.span_id == middle.get_span_context().span_id  # type: ignore[attr-defined]
    assert {each.get_span_context().trace_id for each in (top, middle, bottom)} == {int(ours.trace_id, 16)}


def test_a_context_that_is_handed_over_wins_over_the_current_one(tracer: api.Tracer, kept: Kept) -> None:
    parent = tracer.start_span("parent")
    with tracer.start_as_current_span("current"):
        tracer.start_span("child", context=api.set_span_in_context(parent)).end()
    assert kept.spans[0].parent_id == parent.span_id  # type: ignore[attr-defined]


def test_an_exception_is_recorded_once_and_goes_on(tracer: api.Tracer, kept: Kept) -> None:
    with pytest.raises(KeyError):
        with tracer.start_as_current_span("broken"):
            raise KeyError("missing")
    (span,) = kept.spans
    assert span.status is StatusCode.ERROR
    (event,) = span.events
    assert event.attributes["exception.type"] == "KeyError"
    assert "test_recording.py" in event.attributes["exception.stacktrace"]


def test_as_a_plain_context_manager_it_ends_and_records(tracer: api.Tracer, kept: Kept) -> None:
    with pytest.raises(ValueError, match="no"), tracer.start_span("x"):
        raise ValueError("no")
    assert (kept.spans[0].status_message, len(kept.spans[0].events)) == ("ValueError: no", 1)


def test_after_its_end_nothing_changes_a_span(tracer: api.Tracer, kept: Kept) -> None:
    span = tracer.start_span("x", attributes={"a": 1})
    span.end()
    span.end()
    span.set_attribute("b", 2)
    span.add_event("late")
    span.update_name("y")
    span.set_status(StatusCode.ERROR)
    (ended,) = kept.spans
    assert not span.is_recording()
    assert (ended.name, ended.attributes, ended.events, ended.status) == ("x", {"a": 1}, [], StatusCode.UNSET)


def test_attributes_events_and_text_are_bounded(tracer: api.Tracer, kept: Kept) -> None:
    span = tracer.start_span("x")
    for number in range(MAX_ATTRIBUTES + 10):
        span.set_attribute(f"k{number}", number)
        span.add_event("e")
        span.add_link(api.SpanContext(1, 2, is_remote=False))
    span.set_attribute("k0", "long " * 2_000)
    span.set_attribute("k1", {"nested": [1, 2]})
    span.set_attribute("k2", ["a", 1])
    span.set_attribute("k3", None)
    span.end()
    (ended,) = kept.spans
    assert (len(ended.attributes), len(ended.events), len(ended.links)) == (
        MAX_ATTRIBUTES,
        MAX_EVENTS,
        MAX_EVENTS,
    )
    assert len(ended.attributes["k0"]) == 5_000
    assert (ended.attributes["k1"], ended.attributes["k2"]) == ('{"nested":[1,2]}', ("a", 1))
    assert ended.attributes["k3"] == 3


def test_a_status_that_is_ok_stays(tracer: api.Tracer) -> None:
    span = tracer.start_span("x")
    assert isinstance(span, LightSpan)
    span.set_status(Status(StatusCode.ERROR, "first"))
    assert (span.status, span.status_message) == (StatusCode.ERROR, "first")
    span.set_status(StatusCode.OK, "ignored")
    span.set_status(StatusCode.ERROR, "late")
    assert (span.status, span.status_message) == (StatusCode.OK, None)


def test_a_remote_parent_is_adopted_with_its_state(tracer: api.Tracer, kept: Kept) -> None:
    state = api.TraceState([("vendor", "x")])
    remote = api.SpanContext(5, 6, is_remote=True, trace_flags=api.TraceFlags(0), trace_state=state)
    context = api.set_span_in_context(api.NonRecordingSpan(remote))
    span = tracer.start_span("x", context=context)
    told = span.get_span_context()
    assert (told.trace_id, told.trace_state.get("vendor"), told.trace_flags.sampled) == (5, "x", True)
    span.end()
    assert kept.spans[0].parent_id == f"{6:016x}"


def test_session_user_and_tags_of_the_block_are_on_every_span(tracer: api.Tracer, kept: Kept) -> None:
    with labels.session("s", user="u", tags=["a"]), labels.session(tags=["b"]):
        tracer.start_span("x").end()
    tracer.start_span("y").end()
    assert kept.spans[0].attributes == {"session.id": "s", "user.id": "u", "assay.tags": ("a", "b")}
    assert kept.spans[1].attributes == {}
