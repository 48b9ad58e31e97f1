"""Chunks put together again say what the whole answer would have said."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assay.wire.openai_stream import assemble

text = st.text(max_size=30)


def chunk(delta: dict[str, Any], index: int = 0) -> bytes:
    return json.dumps({"choices": [{"index": index, "delta": delta}]}).encode()


def pieces(whole: str, size: int) -> list[str]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@given(st.dictionaries(st.integers(0, 3), text, max_size=4), st.integers(1, 5))
def test_each_choice_is_put_together_from_its_own_chunks(said: dict[int, str], size: int) -> None:
    cut = {index: pieces(whole, size) for index, whole in said.items()}
    chunks = [chunk({"role": "assistant"}, index) for index in said]
    for at in range(max(map(len, cut.values()), default=0)):
        chunks += [chunk({"content": parts[at]}, index) for index, parts in cut.items() if at < len(parts)]
    made = [json.loads(message) for message in assemble(chunks)]
    assert made == [{"role": "assistant", "content": said[index] or None} for index in sorted(said)]


@given(st.lists(st.tuples(text, text), min_size=1, max_size=3), st.integers(1, 5))
def test_tool_calls_are_put_together_by_their_index(calls: list[tuple[str, str]], size: int) -> None:
    chunks = [
        chunk(
            {
                "tool_calls": [
                    {
                        "index": at,
                        "id": f"call_{at}",
                        "type": "function",
                        "function": {"name": name, "arguments": ""},
                    }
                ]
            }
        )
        for at, (name, _) in enumerate(calls)
    ]
    for at, (_, arguments) in enumerate(calls):
        chunks += [
            chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
            for piece in pieces(arguments, size)
        ]
    (message,) = map(json.loads, assemble(chunks))
    assert message["tool_calls"] == [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(calls)
    ]


def test_refusals_reasoning_and_completions_are_kept() -> None:
    (message,) = map(json.loads, assemble([chunk({"reasoning": "hm"}), chunk({"refusal": "no"})]))
    assert message == {"role": "assistant", "content": None, "refusal": "no", "reasoning_content": "hm"}
    texts = [json.dumps({"choices": [{"text": piece}]}).encode() for piece in ("one", " two")]
    assert json.loads(assemble(texts)[0])["content"] == "one two"


def test_a_chunk_of_a_strange_shape_is_passed_over() -> None:
    strange = [
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"choices":5}',
        chunk({"tool_calls": [{"function": {"name": 5}}]}),
        chunk({"tool_calls": [{"function": {"arguments": {"a": 1}}}]}),
    ]
    assert [json.loads(each)["content"] for each in assemble([*strange, chunk({"content": "x"})])] == ["x"]
    assert assemble([]) == []
