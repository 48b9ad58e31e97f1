"""A span, a prompt or a variant opens as a form from which the same request is made again."""

import json
from typing import Any

from assay.kit import ids
from assay.playground.drafting import MOST_MESSAGES, Draft, DraftMessage, of_span, with_targets
from assay.spans.types import StoredSpan
from assay.wire.spans import Span, SpanKind


def stored(*messages: Any, **fields: Any) -> StoredSpan:
    given: dict[str, Any] = {
        "trace_id": ids.uuid7_hex(), "span_id": ids.span_id(), "project": "default", "name": "chat fast", "kind": SpanKind.MODEL,
        "start_ns": 1, "end_ns": 2, "model": "fast", "input": tuple(json.dumps(message).encode() for message in messages),
    }  # fmt: skip
    return StoredSpan(span=Span(**given | fields), received_at_ns=1, missing=0)


def test_texts_are_rows_and_everything_else_is_whole_json() -> None:
    tool = {"role": "tool", "tool_call_id": "c1", "content": "24"}
    image = {"role": "user", "content": [{"type": "text", "text": "What?"}]}
    named = {"role": "user", "content": "hi", "name": "ann"}

    draft = of_span(stored({"role": "system", "content": "Be kind."}, image, tool, named, "a prompt"))

    assert draft.messages[0] == DraftMessage("system", "Be kind.")
    assert [message.role for message in draft.messages[1:4]] == ["raw", "raw", "raw"]
    assert [json.loads(message.content) for message in draft.messages[1:4]] == [image, tool, named]
    assert draft.messages[4] == DraftMessage("user", "a prompt")


def test_parameters_go_to_their_fields_and_the_rest_stays_json() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
    sent = {
        "temperature": 0.2,
        "max_tokens": 300,
        "stop": ["x"],
        "stream": True,
        "response_format": shape,
        "seed": 7,
    }
    tool = {"type": "function", "function": {"name": "look"}}

    draft = of_span(stored(request=json.dumps(sent).encode(), tools=(json.dumps(tool).encode(),)))

    assert draft.numbers == {"temperature": "0.2", "max_tokens": "300", "seed": "7"}
    assert json.loads(draft.more) == {"stop": ["x"]}
    assert json.loads(draft.schema) == shape
    assert json.loads(draft.tools) == [tool]
    assert draft.targets == ["fast"]


def test_what_cannot_be_read_does_not_break_the_form() -> None:
    draft = of_span(stored(request=b"[1]", input=(b"\xff{", b'{"role":1}')))

    assert draft.messages[0].role == "user"
    assert draft.messages[1].role == "raw"
    assert draft.more == ""


def test_of_very_many_messages_the_last_are_taken_and_the_others_counted() -> None:
    messages = [{"role": "user", "content": str(number)} for number in range(MOST_MESSAGES + 12)]

    draft = of_span(stored(*messages))

    assert (len(draft.messages), draft.left_out) == (MOST_MESSAGES, 12)
    assert draft.messages[-1].content == str(MOST_MESSAGES + 11)


def test_targets_are_those_asked_for_that_exist_and_never_more_than_fit() -> None:
    known = ["a", "b", "c", "d", "e", "task:t/v1"]

    assert with_targets(Draft(targets=["b"]), [], known).targets == ["b"]
    assert with_targets(Draft(targets=["b"]), ["task:t/v1", "x", "a", "a"], known).targets == [
        "task:t/v1",
        "a",
    ]
    assert with_targets(Draft(), ["a", "b", "c", "d", "e"], known).targets == ["a", "b", "c", "d"]
    assert with_targets(Draft(targets=["gone"]), [], known).targets == ["a"]
    assert [message.role for message in with_targets(Draft(), [], []).messages] == ["system", "user"]
