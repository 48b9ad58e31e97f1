"""Records survive whatever is around them, and nothing else passes for one."""

from hypothesis import given
from hypothesis import strategies as st

from assay.spans import framing
from assay.spans.framing import Flaw, Record


def _frame(payload: bytes, sequence: int = 1, at_ns: int = 2) -> bytes:
    buffer = framing.reserve()
    buffer += payload
    framing.seal(buffer, sequence, at_ns)
    return bytes(buffer)


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_a_sealed_record_is_read_back_wherever_it_lies(
    payload: bytes, sequence: int, at_ns: int, before: bytes
) -> None:
    data = before + _frame(payload, sequence, at_ns)

    found = framing.read(data, len(before))

    assert found == Record(sequence, at_ns, payload, len(data))


@given(st.binary(max_size=100), st.data())
def test_a_cut_record_is_short_at_every_length(payload: bytes, data: st.DataObject) -> None:
    whole = _frame(payload)
    cut = data.draw(st.integers(0, len(whole) - 1))

    assert framing.read(whole[:cut], 0) is Flaw.SHORT


@given(st.binary(max_size=100), st.data())
def test_one_flipped_bit_is_never_taken_for_a_record(payload: bytes, data: st.DataObject) -> None:
    damaged = bytearray(_frame(payload))
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8

    assert isinstance(framing.read(bytes(damaged), 0), Flaw)


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=60))
def test_the_next_whole_record_is_found_behind_rubbish(rubbish: bytes, payload: bytes) -> None:
    data = rubbish + _frame(payload)

    at = framing.resync(data, -1)

    assert at is not None
    assert isinstance(framing.read(data, at), Record)
    assert at <= len(rubbish)


def test_no_text_looks_like_the_start_of_a_record() -> None:
    text = "".join(chr(code) for code in range(0x11000) if not 0xD800 <= code < 0xE000).encode()

    assert framing.MAGIC not in text
    assert framing.MAGIC[:1] not in text
