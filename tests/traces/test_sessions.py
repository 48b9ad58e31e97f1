"""A conversation is told once, however often each call repeats what came before."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.spans.types import StoredSpan, TraceRow
from assay.traces.sessions import Turn, lay_out, overlap
from assay.wire.messages import Message
from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import Span, SpanKind

SYSTEM = {"role": "system", "content": "Be kind."}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


class Talk:
    """A session as calls: each `call` is a trace unless it says which."""

    def __init__(self) -> None:
        self.traces: list[TraceRow] = []
        self.spans: list[StoredSpan] = []

    def call(self, asked: list[Any], said: Any, *, trace: str | None = None, **fields: Any) -> str:
        number = len(self.spans)
        trace_id = trace or f"t{number}"
        given: dict[str, Any] = {"kind": SpanKind.MODEL, "name": "chat", "model": "fast"}
        span = Span(
            trace_id=trace_id, span_id=f"s{number}", project="default", start_ns=number, end_ns=number + 1,
            input=tuple(json.dumps(message).encode() for message in asked), output=(json.dumps(said).encode(),), **given | fields,
        )  # fmt: skip
        is_counted = span.kind is SpanKind.MODEL
        self.spans.append(StoredSpan(span=span, received_at_ns=1, missing=0, is_counted=is_counted))
        if trace is None:
            self.traces.append(
                TraceRow(
                    trace_id=trace_id, name="chat", kind=SpanKind.MODEL, start_ns=number, end_ns=number + 1, spans=1, errors=0, calls=1,
                    cost_usd=Decimal(0), cost_unknown=0, total_tokens=0, model="fast", task=None, variant=None, user_id=None, session_id="s",
                    input_preview="", output_preview="",
                )
            )  # fmt: skip
        return trace_id

    def told(self, *, is_beginning: bool = True, scores: Any = ()) -> list[Turn]:
        return lay_out(self.traces, self.spans, scores, is_beginning=is_beginning)


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def asked(turns: list[Turn]) -> list[list[str]]:
    return [[text for step in turn.steps for text in texts(step.asked)] for turn in turns]


def test_each_turn_shows_what_is_new_with_it() -> None:
    talk = Talk()
    history = [SYSTEM, user("one")]
    for number, text in enumerate(("two", "yes", "yes", "bye")):
        answer = {**bot(f"answer {number}"), "refusal": None, "annotations": []}
        talk.call(history, answer)
        history = [*history, bot(f" answer {number}\n"), user(text)]
    talk.call(history, bot("so long"))

    turns = talk.told()

    assert asked(turns) == [["one"], ["two"], ["yes"], ["yes"], ["bye"]]
    assert [texts(turn.steps[0].said) for turn in turns][-1] == ["so long"]
    assert [texts(turn.steps[0].instructions) for turn in turns] == [["Be kind."], [], [], [], []]
    assert not any(step.earlier for turn in turns for step in turn.steps)


def test_a_client_that_sends_only_the_end_of_the_history_is_understood() -> None:
    talk = Talk()
    talk.call([user("one")], bot("1"))
    talk.call([user("one"), bot("1"), user("two")], bot("2"))
    talk.call([bot("1"), user("two"), bot("2"), user("three")], bot("3"))

    assert asked(talk.told()) == [["one"], ["two"], ["three"]]


def test_a_loop_of_tools_is_one_turn_whose_steps_follow_each_other() -> None:
    talk = Talk()
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    wants = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "24 degrees"}
    trace = talk.call([user("Weather in Rome?")], wants)
    talk.call([], bot(""), trace=trace, kind=SpanKind.TOOL, name="weather")
    talk.call([user("Weather in Rome?"), wants, result], bot("It is warm."), trace=trace)

    (turn,) = talk.told()

    assert [texts(step.asked) for step in turn.steps] == [["Weather in Rome?"], ["24 degrees"]]
    assert turn.steps[0].said[0].tool_calls[0].name == "weather"
    assert [span.name for span in turn.others] == ["weather"]


def test_calls_with_prompts_of_their_own_do_not_disturb_the_conversation() -> None:
    talk = Talk()
    trace = talk.call([user("Which department? one")], bot("sales"))
    talk.call([user("one")], bot("1"), trace=trace)
    trace = talk.call([user("Which department? two")], bot("sales"))
    talk.call([user("one"), bot("1"), user("two")], bot("2"), trace=trace)

    assert asked(talk.told()) == [["Which department? one", "one"], ["Which department? two", "two"]]


def test_a_page_that_begins_in_the_middle_folds_the_history() -> None:
    talk = Talk()
    talk.call([user("one"), bot("1"), user("two"), bot("2"), user("three")], bot("3"))
    talk.call([user("one"), bot("1"), user("two"), bot("2"), user("three"), bot("3"), user("four")], bot("4"))

    first, second = talk.told(is_beginning=False)

    assert texts(first.steps[0].earlier) == ["one", "1", "two", "2"]
    assert asked([first, second]) == [["three"], ["four"]]
    assert asked(talk.told())[0] == ["one", "1", "two", "2", "three"], "a beginning has no earlier"


def test_a_trace_without_calls_of_models_shows_what_its_span_says() -> None:
    talk = Talk()
    talk.call([user("a question")], bot("an answer"), kind=SpanKind.AGENT)

    (turn,) = talk.told()

    assert asked([turn]) == [["a question"]]
    assert texts(turn.steps[0].said) == ["an answer"]


def test_scores_stand_with_their_turn() -> None:
    talk = Talk()
    first, second = (
        talk.call([user("one")], bot("1")),
        talk.call([user("one"), bot("1"), user("two")], bot("2")),
    )
    given: dict[str, Any] = {
        "project": "default",
        "name": "thumbs",
        "value": True,
        "source": ScoreSource.USER,
        "at_ns": 1,
    }
    scores = [Score(score_id="a", trace_id=first, **given), Score(score_id="b", span_id="s1", **given)]

    turns = talk.told(scores=scores)

    assert [[score.score_id for score in turn.scores] for turn in turns] == [["a"], ["b"]]
    assert second == "t1"


@given(st.lists(st.integers(0, 2), max_size=12), st.lists(st.integers(0, 2), max_size=12))
def test_the_overlap_is_the_longest_there_is(thread: list[int], messages: list[int]) -> None:
    length = overlap(thread, messages)

    assert thread[len(thread) - length :] == messages[:length]
    for longer in range(length + 1, min(len(thread), len(messages)) + 1):
        assert thread[-longer:] != messages[:longer]


@pytest.mark.parametrize("turns", [60])
def test_a_long_conversation_is_told_in_no_time(turns: int) -> None:
    talk = Talk()
    history: list[Any] = []
    for number in range(turns):
        history = [*history, user(f"question {number}")]
        talk.call(history, bot(f"answer {number}"))
        history = [*history, bot(f"answer {number}")]

    assert asked(talk.told()) == [[f"question {number}"] for number in range(turns)]
