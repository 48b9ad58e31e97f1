"""AWS's event streams: whatever a network does to the pieces, the messages are the same, and damage is seen."""

import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.providers.eventstream import MAX_MESSAGE_BYTES, EventMessage, EventStreamDecoder

Header = tuple[str, int, Any]


_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}


def encoded_header(name: str, kind: int, value: Any) -> bytes:
    made = bytes([len(name.encode())]) + name.encode() + bytes([kind])
    if kind in _FIXED:
        return made + struct.pack(_FIXED[kind], value)
    octets = value.encode() if isinstance(value, str) else b"" if isinstance(value, bool) else bytes(value)
    return made + (struct.pack(">H", len(octets)) if kind in (6, 7) else b"") + octets


def encoded(headers: list[Header], payload: bytes) -> bytes:
    head = b"".join(encoded_header(*header) for header in headers)
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    begun = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def feed_all(pieces: list[bytes]) -> tuple[list[EventMessage], EventStreamDecoder]:
    decoder = EventStreamDecoder()
    return [message for piece in pieces for message in decoder.feed(piece)], decoder


headers = st.lists(
    st.tuples(st.text(min_size=1, max_size=6), st.just(7), st.text(max_size=8))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(6), st.binary(max_size=8))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(9), st.binary(min_size=16, max_size=16))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(2), st.integers(-128, 127))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(3), st.integers(-(2**15), 2**15 - 1))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(4), st.integers(-(2**31), 2**31 - 1))
    | st.tuples(st.text(min_size=1, max_size=6), st.sampled_from([5, 8]), st.integers(-(2**63), 2**63 - 1))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(0), st.just(True))
    | st.tuples(st.text(min_size=1, max_size=6), st.just(1), st.just(False)),
    max_size=4,
    unique_by=lambda header: header[0],
)
messages = st.lists(st.tuples(headers, st.binary(max_size=40)), min_size=1, max_size=4)


@given(messages, st.data())
def test_messages_come_whole_however_the_network_cuts_them(
    sent: list[tuple[list[Header], bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encoded(*message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    got, decoder = feed_all(pieces)
    assert got == [
        EventMessage({name: value for name, _, value in headers}, payload) for headers, payload in sent
    ]
    assert decoder.is_between


SAMPLE = encoded([(":message-type", 7, "event"), (":event-type", 7, "messageStart")], b'{"role":"assistant"}')


def test_a_stream_cut_at_any_byte_gives_only_what_is_whole() -> None:
    for cut in range(1, len(SAMPLE)):
        got, decoder = feed_all([SAMPLE + SAMPLE[:cut]])
        assert len(got) == 1
        assert not decoder.is_between
        assert decoder.feed(SAMPLE[cut:]) == got
        assert decoder.is_between
    single, decoder = feed_all([SAMPLE[at : at + 1] for at in range(len(SAMPLE))])
    assert single == feed_all([SAMPLE])[0]


def test_a_flipped_bit_anywhere_is_seen_and_the_rest_is_read_where_it_can_be() -> None:
    for at in range(len(SAMPLE)):
        for bit in (0, 7):
            spoiled = bytearray(SAMPLE)
            spoiled[at] ^= 1 << bit
            if at < 12:
                with pytest.raises(ValueError, match="wrong checksum"):
                    feed_all([bytes(spoiled) + SAMPLE])
                continue
            damaged, whole = feed_all([bytes(spoiled) + SAMPLE])[0]
            assert damaged.is_damaged
            assert not whole.is_damaged


@pytest.mark.parametrize("total", [15, MAX_MESSAGE_BYTES + 1])
def test_a_length_that_no_message_has_is_an_error(total: int) -> None:
    prelude = struct.pack(">II", total, 0)
    with pytest.raises(ValueError, match=str(total)):
        feed_all([prelude + struct.pack(">I", zlib.crc32(prelude))])


def test_headers_that_are_longer_than_the_message_are_an_error() -> None:
    prelude = struct.pack(">II", 20, 9)
    with pytest.raises(ValueError, match="9 of headers"):
        feed_all([prelude + struct.pack(">I", zlib.crc32(prelude))])


@pytest.mark.parametrize(
    "head", [b"\x05ab", b"\x01a\x0a", b"\x01a\x07\x00\x09x", b"\x01a\x05\x00", b"\x01\xff\x00", b"\x01"]
)
def test_headers_that_cannot_be_read_are_damage(head: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(head), len(head))
    begun = prelude + struct.pack(">I", zlib.crc32(prelude)) + head
    (message,) = feed_all([begun + struct.pack(">I", zlib.crc32(begun))])[0]
    assert message.is_damaged


@given(st.binary(max_size=200))
def test_noise_is_never_a_message(noise: bytes) -> None:
    try:
        got, _ = feed_all([noise])
    except ValueError:
        return
    assert all(message.is_damaged for message in got)


@pytest.mark.peers
@given(messages)
def test_botocore_reads_the_same_messages(sent: list[tuple[list[Header], bytes]]) -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="needs botocore")
    buffer = eventstream.EventStreamBuffer()
    stream = b"".join(encoded(*message) for message in sent)
    buffer.add_data(stream)
    theirs = [message.payload for message in buffer]
    assert theirs == [message.payload for message in feed_all([stream])[0]]
