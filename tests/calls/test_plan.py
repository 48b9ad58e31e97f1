"""Where a call may go, and when it is tried again: pure functions."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from assay.calls.plan import LONGEST_WAIT_S, backoff_s, for_client, is_retried, moves_on, plan
from assay.catalog.models import ModelConfig, parse_model
from assay.errors import NotFound, Upstream, UpstreamCut, UpstreamDown, UpstreamRefused, UpstreamTimeout


def models(**tables: dict[str, Any]) -> dict[str, ModelConfig]:
    return {name: parse_model(name, table) for name, table in tables.items()}


def route(**weights: float) -> list[dict[str, Any]]:
    return [{"provider": name, "model": "x", "weight": weight} for name, weight in weights.items()]


def refused(status: int) -> UpstreamRefused:
    return UpstreamRefused("no", status=status, body=b"")


def test_targets_are_drawn_by_weight() -> None:
    known, chance = models(m={"route": route(a=3, b=1, c=0)}), Random(1)
    plans = [[target.route.provider for target in plan(known, "m", chance.random)] for _ in range(4000)]
    first = Counter(providers[0] for providers in plans)
    assert first["c"] == 0
    assert abs(first["a"] / 4000 - 0.75) < 0.03, "three standard errors are 0.02"
    assert {providers[2] for providers in plans} == {"c"}, "a weight of 0 comes last, and comes"


def test_after_the_first_the_rest_keeps_its_proportions() -> None:
    known, chance = models(m={"route": route(a=2, b=1, c=1)}), Random(2)
    plans = [[target.route.provider for target in plan(known, "m", chance.random)] for _ in range(4000)]
    second = Counter(providers[1] for providers in plans if providers[0] == "b")
    assert abs(second["a"] / second.total() - 2 / 3) < 0.05


def test_fallbacks_come_after_the_route_each_once_and_circles_end() -> None:
    known = models(
        a={"route": route(pa=1), "fallback": ["b", "c", "b"]},
        b={"route": route(pb=1), "fallback": ["a", "c"]},
        c={"route": route(pc=1), "fallback": ["a"]},
    )
    assert [target.route.provider for target in plan(known, "a", Random(0).random)] == ["pa", "pb", "pc"]
    assert [target.model.name for target in plan(known, "c", Random(0).random)] == ["c", "a", "b"]


def test_by_priority_the_route_stands_as_written_and_by_latency_as_the_load_says() -> None:
    routes, chance = route(a=1, b=9, c=0, d=5), Random(3)
    known = models(p={"route": routes, "strategy": "priority"}, q={"route": routes, "strategy": "latency"})
    assert [target.route.provider for target in plan(known, "p", chance.random)] == ["a", "b", "c", "d"]
    by_load = plan(known, "q", chance.random, least_loaded=lambda targets: list(reversed(targets)))
    assert [target.route.provider for target in by_load] == ["d", "b", "a", "c"], "a weight of 0 comes last"


def test_the_keys_of_a_provider_take_turns_beginning_anywhere() -> None:
    known = models(m={"route": route(a=1), "fallback": ["n"]}, n={"route": route(b=1)})
    targets = plan(known, "m", lambda: 0.5, keys={"a": 3, "b": 1}.__getitem__)
    assert [(each.route.provider, each.key, each.spare_keys) for each in targets] == [
        ("a", 1, 2),
        ("a", 2, 1),
        ("a", 0, 0),
        ("b", 0, 0),
    ]


def test_an_unknown_model_is_not_found_and_the_known_are_named() -> None:
    with pytest.raises(NotFound) as caught:
        plan(models(fast={"route": route(a=1)}), "fats", Random(0).random)
    assert caught.value.param == "model"
    assert "fast" in (caught.value.hint or "")
    with pytest.raises(NotFound) as caught:
        plan({}, "fast", Random(0).random)
    assert "assay models pull" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("error", "again", "elsewhere"),
    [
        (UpstreamDown("x"), True, True),
        (UpstreamCut("x"), True, True),
        (UpstreamTimeout("x"), True, True),
        (Upstream("x"), True, True),
        (refused(429), True, True),
        (refused(500), True, True),
        (refused(529), True, True),
        (refused(408), True, True),
        (refused(401), False, True),
        (refused(403), False, True),
        (refused(404), False, True),
        (refused(400), False, False),
        (refused(422), False, False),
        (refused(302), False, False),
    ],
)
def test_what_is_tried_again_and_what_goes_elsewhere(error: Upstream, again: bool, elsewhere: bool) -> None:
    assert (is_retried(error), moves_on(error)) == (again, elsewhere)


def test_waits_grow_with_jitter_and_have_an_end() -> None:
    waits = [backoff_s(retry, UpstreamDown("x"), lambda: 1.0) for retry in range(8)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert backoff_s(3, UpstreamDown("x"), lambda: 0.0) == 0.0


def test_what_the_upstream_asks_for_is_waited_if_a_client_can_be_kept_that_long() -> None:
    error = refused(429)
    error.retry_after_s = 3.0
    assert backoff_s(0, error, lambda: 0.0) == 3.0
    error.retry_after_s = LONGEST_WAIT_S + 1
    assert backoff_s(0, error, lambda: 0.0) is None


def test_a_refused_key_of_ours_is_no_401_for_the_client() -> None:
    shown = for_client(refused(401))
    assert shown.status == 502
    assert "api_key" in (shown.hint or "")
    same = refused(429)
    assert for_client(same) is same
