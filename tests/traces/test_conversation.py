"""Whatever was kept can be shown as messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.traces.conversation import MOST_MESSAGES, tools, turns


@pytest.mark.parametrize(
    ("kept", "role", "text"),
    [
        (b'{"role":"user","content":"hi"}', "user", "hi"),
        (b'"a prompt"', "assistant", "a prompt"),
        (b'{"text":"a completion","index":0}', "assistant", "a completion"),
        (b'{"role":"assistant","content":42}', "assistant", '{\n  "role": "assistant",\n  "content": 42\n}'),
        (b"\xff broken", "assistant", "� broken"),
        (b"[1]", "assistant", "[\n  1\n]"),
    ],
)
def test_each_kind_of_kept_text_is_a_message(kept: bytes, role: str, text: str) -> None:
    (message,) = turns([kept], speaker="assistant").messages

    assert (message.role, message.text) == (role, text)


@given(st.lists(st.binary(max_size=60)))
def test_no_bytes_break_the_page(kept: list[bytes]) -> None:
    assert len(turns(kept, speaker="user").messages) == len(kept)
    tools(kept)


def test_of_a_long_conversation_the_newest_are_shown() -> None:
    shown = turns([b'"x"'] * (MOST_MESSAGES + 5), speaker="user")

    assert (len(shown.messages), shown.left_out) == (MOST_MESSAGES, 5)


def test_tools_are_listed_by_name() -> None:
    kept = [
        b'{"type":"function","function":{"name":"add","description":"Adds."}}',
        b'{"name":"plain"}',
        b"broken",
        b"7",
    ]

    assert [(tool.name, tool.description) for tool in tools(kept)] == [("add", "Adds."), ("plain", None)]
