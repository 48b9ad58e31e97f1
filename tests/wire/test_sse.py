"""Server-sent events, cut anywhere."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.wire import sse
from assay.wire.sse import SseDecoder, encode_event

data = st.binary(min_size=1, max_size=40).filter(lambda line: not {10, 13} & set(line))
STREAM = b': hello\n\ndata: {"a": 1}\r\n\r\nevent: x\nid: 7\ndata: one\ndata:two\n\n\n\nretry: 5\n\ndata: [DONE]\n\n'
EVENTS = [b'{"a": 1}', b"one\ntwo", b"[DONE]"]


def test_every_cut_gives_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        decoder = SseDecoder()
        assert decoder.feed(STREAM[:cut]) + decoder.feed(STREAM[cut:]) + decoder.finish() == EVENTS, cut


def test_byte_by_byte_gives_the_same_events() -> None:
    decoder = SseDecoder()
    assert [event for at in range(len(STREAM)) for event in decoder.feed(STREAM[at : at + 1])] == EVENTS


@given(st.lists(data, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_what_is_encoded_is_decoded_however_it_is_cut(events: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode_event, events))
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    decoder = SseDecoder()
    found = [event for start, end in pairwise(edges) for event in decoder.feed(stream[start:end])]
    assert found == events
    assert decoder.finish() == []


def test_an_event_without_its_closing_line_is_given_out_at_the_end() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: [DONE]") == []
    assert decoder.finish() == [b"[DONE]"]


@pytest.mark.parametrize("piece", [b"data: xxxx", b"data: xxxx\n"])
def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    decoder = SseDecoder()
    assert [decoder.feed(piece) for _ in range(10)] == [[]] * 10
    with pytest.raises(ValueError, match="more than 100 bytes"):
        decoder.feed(piece * 10)
