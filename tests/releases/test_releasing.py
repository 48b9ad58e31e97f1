"""Releases: append-only, checked, with a way back and a decision for each."""

from typing import Any

import pytest

from assay.access import PROJECT
from assay.decisions.ledger import list_decisions
from assay.errors import BadRequest, Conflict, NotFound
from assay.releases import apply_releases, rollback


def rolled_back(house: Any) -> dict[str, float]:
    with house.records.write() as tx:
        variants: dict[str, float] = rollback(tx, PROJECT, "polish", "production", actor="bob").variants
    return variants


def test_the_newest_release_serves_and_the_old_ones_are_kept(house: Any) -> None:
    assert house.serving() is None
    house.release({"v1": 1})
    house.release({"v1": 9, "v2": 1})
    assert house.serving() == {"v1": 9, "v2": 1}
    assert [each.variants for each in house.history()] == [{"v1": 9, "v2": 1}, {"v1": 1}]
    assert house.history()[0].shares == {"v1": 0.9, "v2": 0.1}


def test_environments_do_not_see_each_other(house: Any) -> None:
    house.release({"v1": 1})
    house.release({"v2": 1}, "staging")
    assert (house.serving(), house.serving("staging")) == ({"v1": 1}, {"v2": 1})


@pytest.mark.parametrize(
    ("variants", "kind"),
    [
        ({}, BadRequest),
        ({"v9": 1}, NotFound),
        ({"v1": 0}, BadRequest),
        ({"v1": 1, "v2": -0.5}, BadRequest),
        ({"v1": float("nan")}, BadRequest),
        ({"v1": float("inf")}, BadRequest),
    ],
)
def test_a_release_that_cannot_serve_is_refused(
    house: Any, variants: dict[str, float], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        house.release(variants)
    assert house.serving() is None


def test_going_back_twice_goes_back_two_steps(house: Any) -> None:
    for name in ("v1", "v2", "v3"):
        house.release({name: 1})
    assert rolled_back(house) == {"v2": 1}
    assert rolled_back(house) == {"v1": 1}
    with pytest.raises(Conflict, match="before this"):
        rolled_back(house)
    assert len(house.history()) == 5


def test_after_a_rollback_a_new_release_can_be_rolled_back_again(house: Any) -> None:
    house.release({"v1": 1})
    house.release({"v2": 1})
    rolled_back(house)
    house.release({"v3": 1})
    before = rolled_back(house)
    assert before in ({"v1": 1}, {"v2": 1})
    assert before != {"v3": 1}


def test_each_change_is_a_decision(house: Any) -> None:
    house.release({"v1": 1})
    house.release({"v2": 3, "v1": 1})
    rolled_back(house)
    with house.records.read() as tx:
        kept = list_decisions(tx, PROJECT).items
    assert [(each.kind.value, each.actor) for each in kept] == [
        ("rolled_back", "bob"),
        ("released", "ann"),
        ("released", "ann"),
    ]
    assert kept[1].note == "v1 25%, v2 75%"


def test_a_file_that_says_the_same_again_does_not_undo_a_rollback(house: Any) -> None:
    def applied(weights: dict[str, float]) -> dict[str, float] | None:
        with house.records.write() as tx:
            apply_releases(tx, PROJECT, {"polish": {"release": weights}})
        serving: dict[str, float] | None = house.serving()
        return serving

    assert applied({"v1": 1.0}) == {"v1": 1.0}
    assert applied({"v2": 1.0}) == {"v2": 1.0}
    assert rolled_back(house) == {"v1": 1.0}
    assert applied({"v2": 1.0}) == {"v1": 1.0}
    assert applied({"v3": 1.0}) == {"v3": 1.0}


def test_a_file_that_says_nonsense_is_named(house: Any) -> None:
    with house.records.write() as tx, pytest.raises(BadRequest) as caught:
        apply_releases(tx, PROJECT, {"polish": {"release": {"v1": "all"}}})
    assert caught.value.param == "tasks.polish.release"
