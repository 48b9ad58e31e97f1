"""The choice of a variant: by weight, and the same for the same unit."""

from collections import Counter
from typing import Any

import pytest

from assay.access import PROJECT
from assay.errors import NotFound
from assay.releases import ReleaseChooser

CHOOSER = ReleaseChooser()


def chosen(house: Any, unit: str, environment: str = "production") -> str:
    return CHOOSER.choose(house.snapshot.current, PROJECT, "polish", environment, unit).variant


def test_units_are_spread_by_weight(house: Any) -> None:
    house.release({"v1": 7, "v2": 2, "v3": 1})
    counts = Counter(chosen(house, f"user {number}") for number in range(4000))
    assert counts["v1"] / 4000 == pytest.approx(0.7, abs=0.03)
    assert counts["v2"] / 4000 == pytest.approx(0.2, abs=0.03)


def test_a_unit_keeps_its_variant(house: Any) -> None:
    house.release({"v1": 1, "v2": 1})
    first = {unit: chosen(house, unit) for unit in map(str, range(200))}
    assert first == {unit: chosen(house, unit) for unit in map(str, range(200))}
    assert set(first.values()) == {"v1", "v2"}


def test_a_growing_canary_takes_units_over_and_gives_none_back(house: Any) -> None:
    units = list(map(str, range(500)))
    house.release({"v1": 9, "v2": 1})
    early = {unit for unit in units if chosen(house, unit) == "v2"}
    house.release({"v2": 1, "v1": 1})
    assert early < {unit for unit in units if chosen(house, unit) == "v2"}


def test_the_choice_names_the_release_and_follows_a_new_one_at_once(house: Any) -> None:
    made = house.release({"v1": 1})
    choice = CHOOSER.choose(house.snapshot.current, PROJECT, "polish", "production", "u")
    assert (choice.variant, choice.release_id) == ("v1", made.id)
    house.release({"v2": 1})
    assert chosen(house, "u") == "v2"


def test_what_is_not_released_is_not_found(house: Any) -> None:
    house.release({"v1": 1})
    with pytest.raises(NotFound, match="staging"):
        chosen(house, "u", "staging")
