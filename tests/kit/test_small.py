"""Ids, money, pages and time: what must hold for every value."""

import subprocess
import sys
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadRequest
from assay.kit import ids, money
from assay.kit.clock import from_rfc3339, rfc3339
from assay.kit.paging import from_cursor, to_cursor

AMOUNTS = st.decimals(min_value=0, max_value=10**12, places=12, allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5
)


def test_ids_sort_by_the_millisecond_in_which_they_were_made() -> None:
    made = [ids.uuid7_hex() for _ in range(2000)]
    assert [text[:12] for text in made] == sorted(text[:12] for text in made)
    assert len(set(made)) == len(made)


def test_an_id_says_its_version_and_variant() -> None:
    for _ in range(200):
        text = ids.uuid7()
        assert text[14] == "7"
        assert text[19] in "89ab"
        assert text.replace("-", "").isalnum()
        assert len(text) == 36


def test_a_forked_child_does_not_repeat_the_ids_of_its_parent() -> None:
    program = """
import os
from assay.kit.ids import span_id
child = os.fork()
os.write(1, f"{span_id()} ".encode())
if child:
    os.waitpid(child, 0)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(set(ran.stdout.split())) == 2


def test_a_span_id_is_never_zero_and_has_16_digits() -> None:
    for _ in range(200):
        assert len(ids.span_id()) == 16
        assert int(ids.span_id(), 16) != 0


@given(AMOUNTS)
def test_money_survives_its_text(amount: Decimal) -> None:
    assert money.usd(money.text(amount)) == amount
    assert "E" not in money.text(amount)


@given(st.lists(AMOUNTS, max_size=20))
def test_a_sum_is_exact_in_any_order(amounts: list[Decimal]) -> None:
    whole = money.total(list(amounts))
    assert whole == money.total(list(reversed(amounts)))
    assert whole is not None
    assert whole * 10**12 == sum(int(amount * 10**12) for amount in amounts)


@given(st.lists(st.none() | AMOUNTS, min_size=1, max_size=8).filter(lambda amounts: None in amounts))
def test_a_sum_with_an_unknown_amount_is_unknown(amounts: list[Decimal | None]) -> None:
    assert money.total(amounts) is None


@given(st.lists(JSON, max_size=4))
def test_a_cursor_brings_its_position_back(position: list[object]) -> None:
    assert from_cursor(to_cursor(*position), list[object]) == position


@given(st.text(max_size=60))
def test_no_text_as_a_cursor_fails_otherwise_than_as_a_bad_request(text: str) -> None:
    with suppress(BadRequest):
        assert isinstance(from_cursor(text, list[object]), list)


@pytest.mark.parametrize(
    "packed", ["[]", '["a", "b"]', "[1]", "[null]", '[["a"]]', "5", '{"a": 1}', "[" * 9000 + "]" * 9000]
)
def test_a_cursor_of_another_list_is_a_bad_request(packed: str) -> None:
    with pytest.raises(BadRequest) as refused:
        from_cursor(urlsafe_b64encode(packed.encode()).decode(), tuple[str])
    assert refused.value.param == "cursor"


@given(st.integers(0, 4_102_444_800_000_000))
def test_a_time_survives_its_text_to_the_microsecond(microseconds: int) -> None:
    assert from_rfc3339(rfc3339(microseconds * 1000)) == microseconds * 1000


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.timezones()))
def test_every_offset_is_read_as_the_same_moment(moment: datetime) -> None:
    text = moment.astimezone(UTC).isoformat()
    assert from_rfc3339(moment.astimezone(moment.tzinfo).isoformat()) == from_rfc3339(text)


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        from_rfc3339("2026-11-24T05:50:48")
