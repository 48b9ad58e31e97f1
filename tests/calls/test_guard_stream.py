"""Streams under guard: whatever the pieces, what goes out is what a guard would make of the whole text."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.calls import Call, CallContext
from assay.calls.guard_stream import BEFORE, MAX_HELD, GuardedEvents
from assay.calls.guards import Guards
from assay.catalog.guards import parse_guards
from assay.detect import find_pii, find_secrets, redacted
from assay.errors import GuardBlocked
from assay.wire.messages import text_message
from assay.wire.openai_chat import chat_request
from assay.wire.responses import StreamEvent

PII = {"check": "pii", "action": "redact", "on": "output"}
TEXT = (
    "Dear Jane. Write to jane.doe@example.com, or call +49 30 1234567! Her card: 4111 1111 1111 1111.\n"
    "IBAN DE89 3704 0044 0532 0130 00; server 8.8.8.8. 请发到wang@example.cn。Bye. And that is all"
)


def guarded(*guards: dict[str, Any], endpoint: str = "chat") -> GuardedEvents:
    """A stream under these guards."""
    request = chat_request("m", (text_message("user", "hi"),))
    call = Call("chat", request, CallContext(project="default"))
    watch = Guards({}, parse_guards("guards", list(guards))).watch(call, trace_id="t", span_id="s")
    assert watch is not None
    made = GuardedEvents(watch, endpoint)
    made.watch = watch  # type: ignore[attr-defined]
    return made


def chunk(delta: dict[str, Any], *, finish: str | None = None, index: int = 0, **more: Any) -> StreamEvent:
    """One chunk of a chat."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    text = delta.get("content") or ""
    return StreamEvent(
        raw=json.dumps({"id": "c", "choices": [choice]}).encode(), is_output=bool(text), text=text
    )


def told(events: Iterable[StreamEvent], field: str = "content", index: int = 0) -> str:
    """What the events say."""
    said = ""
    for event in events:
        assert event.raw is not None
        for choice in json.loads(event.raw)["choices"]:
            if choice["index"] == index:
                said += choice["delta"].get(field) or ""
    return said


def through(stream: GuardedEvents, events: Sequence[StreamEvent]) -> list[StreamEvent]:
    """Everything that goes out."""
    return [out for event in events for out in stream.of(event)] + stream.end()


def cut(text: str, places: Iterable[int]) -> list[str]:
    """The text in pieces."""
    ends = sorted({place % (len(text) + 1) for place in places} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False) if end > start]


@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_pieces_do_not_matter(places: list[int]) -> None:
    out = through(guarded(PII), [chunk({"content": piece}) for piece in cut(TEXT, places)])
    assert told(out) == redacted(TEXT, find_pii(TEXT))


@given(st.text(alphabet="ab1@. \n+49!", max_size=200), st.lists(st.integers(0, 200), max_size=20))
def test_nothing_is_lost_or_told_twice(text: str, places: list[int]) -> None:
    quiet = {"check": "regex", "pattern": "ZZZ", "action": "redact", "on": "output"}
    events = [chunk({"content": piece}) for piece in cut(text, places)]
    assert through(guarded(quiet), events) == events, "the same events, in their order"


def test_a_sentence_goes_out_when_it_is_whole() -> None:
    stream = guarded(PII)
    assert stream.of(chunk({"role": "assistant", "content": ""})) != []
    assert stream.of(chunk({"content": "Hello"})) == []
    assert told(stream.of(chunk({"content": " there. How"}))) == "Hello", (
        "the next event begins another sentence"
    )
    assert told(stream.of(chunk({"content": " are you?\n"}))) == " there. How are you?\n"


def test_events_without_anything_to_redact_go_out_byte_for_byte() -> None:
    odd = StreamEvent(
        raw=b'{ "choices" : [ {"delta":{"content":"All well.\\n"}, "x":1} ] }', text="All well.\n"
    )
    assert guarded(PII).of(odd) == [odd]


def test_the_finish_and_the_usage_come_after_the_words_before_them() -> None:
    stream = guarded(PII)
    finish = chunk({}, finish="stop")
    assert stream.of(chunk({"content": "a@example.com"})) == []
    out = stream.of(finish)
    assert (told(out), out[-1]) == ("[EMAIL]", finish)


def test_what_is_longer_than_any_key_does_not_wait_for_a_sentence() -> None:
    stream = guarded(PII)
    out: list[StreamEvent] = []
    words = "word " * ((MAX_HELD + 2_000) // 5)
    for piece in cut(words, range(0, len(words), 50)):
        out += stream.of(chunk({"content": piece}))
    assert len(told(out)) > 1_000
    assert told(out + stream.end()) == words


def test_a_key_over_many_lines_is_taken_out_as_one() -> None:
    key = (
        "-----BEGIN PRIVATE KEY-----\n"
        + "MIIEpAIBAAKCAQEA04up8hoqzS1abcd\n" * 40
        + "-----END PRIVATE KEY-----"
    )
    text = f"Here it is:\n{key}\nKeep it. Bye."
    stream = guarded({"check": "secrets", "action": "redact"})
    out = through(stream, [chunk({"content": piece}) for piece in cut(text, range(0, len(text), 7))])
    assert told(out) == "Here it is:\n[PRIVATE_KEY]\nKeep it. Bye." == redacted(text, find_secrets(text))


def test_a_key_that_is_longer_than_what_is_held_is_not_told_either() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA04up8hoqzS1abcd\n" * (2 * MAX_HELD // 30)
    stream = guarded({"check": "secrets", "action": "redact"})
    out = through(stream, [chunk({"content": piece}) for piece in cut(f"So:\n{key}", range(0, len(key), 11))])
    assert told(out).strip() == "So:\n[PRIVATE_KEY]"


def test_a_pattern_may_begin_in_a_sentence_that_has_gone_out() -> None:
    stream = guarded({"check": "regex", "pattern": r"(?s)one\. two", "action": "block"})
    assert told(stream.of(chunk({"content": "one. "}))) == "one. "
    stream.of(chunk({"content": "two"}))
    with pytest.raises(GuardBlocked):
        stream.of(chunk({"content": ".\n"}))
    assert len("one. two") < BEFORE


def test_a_block_keeps_back_its_sentence_and_what_follows() -> None:
    stream = guarded({"check": "secrets", "action": "block"})
    out = stream.of(chunk({"content": "Sure. "}))
    stream.of(chunk({"content": "It is AKIAQWERTY"}))
    with pytest.raises(GuardBlocked, match="'secrets' blocks the model's answer"):
        stream.of(chunk({"content": "UIOPASDFGH. Bye. "}))
    assert told(out) == "Sure. "
    assert told(stream.rest()) == "It is [AWS_ACCESS_KEY]. Bye. ", "for the span"


def test_probabilities_do_not_spell_what_is_taken_out() -> None:
    spelled = {"content": [{"token": "a@example.com"}]}
    (out,) = guarded(PII).of(chunk({"content": "a@example.com.\n"}, logprobs=spelled))
    assert b"a@example" not in (out.raw or b"")
    plain = chunk({"content": "All well.\n"}, logprobs=spelled)
    assert guarded(PII).of(plain) == [plain]


def test_choices_are_told_apart() -> None:
    stream = guarded(PII)
    events = [
        chunk({"content": "a@exa"}, index=0),
        chunk({"content": "+49 30 "}, index=1),
        chunk({"content": "mple.com"}, index=0),
        chunk({"content": "1234567"}, index=1),
        chunk({}, finish="stop", index=1),
        chunk({}, finish="stop", index=0),
    ]
    out = through(stream, events)
    assert (told(out, index=0), told(out, index=1)) == ("[EMAIL]", "[PHONE]")


def test_texts_that_are_completed_side_by_side_are_told_apart() -> None:
    def piece(text: str, index: int, finish: str | None = None) -> StreamEvent:
        choice = {"index": index, "text": text, "finish_reason": finish}
        return StreamEvent(raw=json.dumps({"choices": [choice]}).encode(), text=text)

    events = [piece("a@exa", 0), piece("b@exa", 1), piece("mple.com", 0), piece("mple.com", 1)]
    out = through(guarded(PII, endpoint="completions"), [*events, piece("", 0, "stop"), piece("", 1, "stop")])
    said = {0: "", 1: ""}
    for event in out:
        (choice,) = json.loads(event.raw or b"")["choices"]
        said[choice["index"]] += choice["text"]
    assert said == {0: "[EMAIL]", 1: "[EMAIL]"}


NAMES = (
    *(
        "choices",
        "delta",
        "content",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "index",
        "type",
        "finish_reason",
    ),
    *("content_block", "partial_json", "thinking_blocks", "thinking", "output_index"),
)
LEAVES = st.sampled_from(
    [None, True, 0, 1, "a@example.com", "content", "response.done", "content_block_delta"]
)
ODD = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["choices", "type", "delta", "index", "content_block"]), ODD),
        max_size=4,
    ),
    st.sampled_from(["chat", "completions", "messages", "responses"]),
)
def test_no_event_is_too_odd(bodies: list[dict[str, Any]], endpoint: str) -> None:
    events = [StreamEvent(raw=json.dumps(body).encode()) for body in bodies]
    assert len(through(guarded(PII, endpoint=endpoint), events)) == len(events), "and none is lost"


def test_reasoning_is_looked_at_too_and_what_repeats_it() -> None:
    events = [
        chunk({"reasoning_content": "She is a@exam"}),
        chunk({"reasoning_content": "ple.com"}),
        chunk(
            {"thinking_blocks": [{"type": "thinking", "thinking": "She is a@example.com", "signature": "s"}]}
        ),
        chunk({"content": "Yes."}),
        chunk({}, finish="stop"),
    ]
    out = through(guarded(PII), events)
    assert told(out, "reasoning_content") == "She is [EMAIL]"
    assert all(b"a@exam" not in (event.raw or b"") for event in out)


def test_the_arguments_of_a_tool_are_looked_at_when_they_are_complete() -> None:
    def part(arguments: str, at: int = 0, **more: Any) -> StreamEvent:
        return chunk({"tool_calls": [{"index": at, **more, "function": {"arguments": arguments}}]})

    stream = guarded(PII)
    assert stream.of(part('{"to": "a@exam', id="1")) == []
    assert stream.of(part('ple.com", "n": 4111111111111111, "x": "fine"}')) == []
    assert stream.of(part('{"y": ', at=1, id="2")) == []
    assert stream.of(part('"\\u0061@example.com"}', at=1)) == []
    out = stream.of(chunk({}, finish="tool_calls"))
    said: dict[int, str] = {}
    for event in out:
        for call in json.loads(event.raw or b"")["choices"][0]["delta"].get("tool_calls") or ():
            said[call["index"]] = said.get(call["index"], "") + call["function"]["arguments"]
    assert json.loads(said[0]) == {"to": "[EMAIL]", "n": "[CREDIT_CARD]", "x": "fine"}
    assert json.loads(said[1]) == {"y": "[EMAIL]"}, "an escape in the JSON hides nothing"


def test_a_schema_needs_the_whole_answer() -> None:
    rule = {"check": "schema", "action": "block", "schema": {"type": "object", "required": ["a"]}}
    stream = guarded(rule)
    pieces = [chunk({"content": '{"a":'}), chunk({"content": " 1}\n"}), chunk({}, finish="stop")]
    assert [out for event in pieces for out in stream.of(event)] == []
    assert stream.end() == pieces
    for wrong in ('{"b": 1}\n', "Sorry. No.", ""):
        with pytest.raises(GuardBlocked, match="'schema'"):
            through(guarded(rule), [chunk({"content": wrong}), chunk({}, finish="stop")])


def test_messages_of_anthropics_format() -> None:
    def event(**body: Any) -> StreamEvent:
        return StreamEvent(raw=json.dumps(body).encode())

    events = [
        event(type="message_start", message={"content": []}),
        event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "To a@exam"}),
        event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "ple.com"}),
        event(type="content_block_stop", index=0),
        event(
            type="content_block_start", index=1, content_block={"type": "tool_use", "id": "1", "input": {}}
        ),
        event(
            type="content_block_delta",
            index=1,
            delta={"type": "input_json_delta", "partial_json": '{"to": "a@ex'},
        ),
        event(
            type="content_block_delta",
            index=1,
            delta={"type": "input_json_delta", "partial_json": 'ample.com"}'},
        ),
        event(type="content_block_stop", index=1),
        event(type="message_delta", delta={"stop_reason": "tool_use"}),
        event(type="message_stop"),
    ]
    out = through(guarded(PII, endpoint="messages"), events)
    bodies = [json.loads(each.raw or b"") for each in out]
    assert [body["type"] for body in bodies] == [json.loads(each.raw or b"")["type"] for each in events]
    deltas = [body["delta"] for body in bodies if body["type"] == "content_block_delta"]
    assert "".join(each.get("text", "") for each in deltas) == "To [EMAIL]"
    assert json.loads("".join(each.get("partial_json", "") for each in deltas)) == {"to": "[EMAIL]"}


def test_events_of_the_responses_api_that_tell_again_tell_the_same() -> None:
    def event(kind: str, **body: Any) -> StreamEvent:
        return StreamEvent(raw=json.dumps({"type": f"response.{kind}", **body}).encode())

    said = "To a@example.com. "
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]}
    events = [
        event("output_text.delta", output_index=0, content_index=0, delta="To a@exam"),
        event("output_text.delta", output_index=0, content_index=0, delta="ple.com. "),
        event("output_text.done", output_index=0, content_index=0, text=said),
        event("output_item.done", output_index=0, item=item),
        event("completed", response={"output": [item]}),
    ]
    out = through(guarded(PII, endpoint="responses"), events)
    assert len(out) == len(events)
    assert all(b"a@example.com" not in (each.raw or b"") for each in out)
    assert sum(b"[EMAIL]" in (each.raw or b"") for each in out) == 4
