from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, create_mock_engine, delete, insert, select
from sqlalchemy.exc import StatementError

from assay.records import Json, Money, Records


class Point(msgspec.Struct, frozen=True):
    x: int
    price: Decimal


values = Table(
    "column_values",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("amount", Money),
    Column("tree", Json()),
    Column("point", Json(Point)),
)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    records = Records.in_directory(tmp_path_factory.mktemp("types"))
    with records.write() as tx:
        values.create(tx)
    yield records
    records.close()


def kept(records: Records, **row: Any) -> Any:
    with records.write() as tx:
        tx.execute(delete(values))
        tx.execute(insert(values).values(id=1, **row))
        return tx.execute(select(values.c[next(iter(row))])).scalar_one()


amounts = st.decimals(min_value=-(10**17), max_value=10**17, places=20)
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(amount=amounts)
def test_money_comes_back_to_the_last_digit(records: Records, amount: Decimal) -> None:
    assert kept(records, amount=amount) == amount


@quick
@given(tree=trees)
def test_json_comes_back_equal(records: Records, tree: Any) -> None:
    assert kept(records, tree=tree) == tree


def test_the_order_of_json_keys_is_kept(records: Records) -> None:
    assert list(kept(records, tree={"b": 1, "a": 2})) == ["b", "a"]


def test_typed_json_comes_back_as_its_type_with_exact_decimals(records: Records) -> None:
    point = Point(1, Decimal("0.10000000000000000001"))
    assert kept(records, point=point) == point


def test_unknown_money_stays_unknown(records: Records) -> None:
    assert kept(records, amount=None) is None


def test_digits_beyond_the_twentieth_round_half_to_even_on_both_databases() -> None:
    half = Decimal("0.000000000000000000005")
    assert Money().process_bind_param(half, create_mock_engine("postgresql+psycopg://", print).dialect) == 0
    assert Money().process_bind_param(half, create_mock_engine("sqlite://", print).dialect) == "0"


@pytest.mark.parametrize("bad", [0.1, Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 18])
def test_what_is_no_exact_amount_is_refused(records: Records, bad: Any) -> None:
    with pytest.raises(StatementError):
        kept(records, amount=bad)
