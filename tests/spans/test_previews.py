"""Previews show what a person would look for."""

import pytest

from assay.spans import previews


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b'{"role":"user","content":"How\\n are  you?"}', "How are you?"),
        (
            b'{"role":"user","content":[{"type":"text","text":"See"},{"type":"image_url","image_url":{"url":"x"}}]}',
            "See [image_url]",
        ),
        (
            b'{"role":"assistant","content":[{"type":"reasoning","text":"hm"},{"type":"text","text":"Yes"}]}',
            "Yes",
        ),
        (b'"a prompt"', "a prompt"),
        (
            b'{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{\\"x\\":1}"}}]}',
            'f({"x":1})',
        ),
        (b'{"refusal":"I cannot."}', "I cannot."),
        (b'{"role":"assistant","content":null}', ""),
        (b'{"city": "Oslo",\n "days": 3}', '{"city": "Oslo", "days": 3}'),
        (b'{"type":"ai","data":{"content":"hi"}}', '{"type":"ai","data":{"content":"hi"}}'),
        (b"not json \xff", "not json �"),
        (b"[" * 100_000, "[" * (previews.LENGTH - 1) + "…"),
        (b"7", ""),
    ],
)
def test_the_words_of_a_message(message: bytes, shown: str) -> None:
    assert previews.of_output((message,)) == shown


def test_the_last_question_and_the_first_answer_are_shown() -> None:
    messages = (b'{"content":"first"}', b'{"content":"last"}')

    assert previews.of_input(messages) == "last"
    assert previews.of_output(messages) == "first"
    assert previews.of_input(()) == ""


def test_a_long_text_is_cut() -> None:
    shown = previews.of_output((b'{"content":"' + b"word " * 1000 + b'"}',))

    assert len(shown) == previews.LENGTH
    assert shown.endswith("…")
