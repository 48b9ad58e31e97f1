"""Trouble with keeping spans is told in words, the gravest first."""

from decimal import Decimal
from typing import Any

import pytest

from assay.spans.types import StoreDown
from assay.traces.health import troubles


def test_all_is_well(house: Any, make_span: Any) -> None:
    house.keep(make_span())

    assert troubles(house.spool, house.collector) == []


def test_a_refusal_of_telemetry_comes_first(house: Any) -> None:
    house.spool.hold_telemetry("no room")
    house.spool.lost_calls = 2

    first, second = troubles(house.spool, house.collector)

    assert "no room" in first[0]
    assert second[0].startswith("2 calls")


def test_a_store_that_is_down_is_told_before_the_collector_counts_as_stuck(
    house: Any, make_span: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise StoreDown("no room in the store")

    house.spool.append([make_span()])
    house.spool.flush()
    monkeypatch.setattr(house.store, "write", refuse)
    house.collector.collect()

    assert troubles(house.spool, house.collector) == [
        ("New spans do not show yet: no room in the store", "They are safe in the spool.")
    ]


def test_quarantined_pieces_are_counted(house: Any, make_span: Any) -> None:
    house.keep(make_span(cost_usd=Decimal("1e30")))

    assert "1 pieces" in troubles(house.spool, house.collector)[0][0]
