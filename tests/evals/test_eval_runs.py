"""Runs: every case durable, what is there already not asked again, errors counted apart."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from assay.catalog.guards import parse_guards
from assay.datasets import Case
from assay.errors import BadRequest, NotFound, UpstreamDown
from assay.evals import Run, RunOptions, start_outputs_run
from assay.evals.planning import Examples, list_results, list_runs
from assay.evals.types import Result
from assay.jobs import Status
from assay.kit.paging import Page

PROJECT = "default"


def cases(count: int) -> list[Case]:
    """Inputs whose shout is the reference, except for every third."""
    return [
        Case(
            id=f"c{at}",
            input=f"word {at}",
            reference=f"WORD {at}" if at % 3 else "another",
            split="odd" if at % 2 else "even",
        )
        for at in range(count)
    ]


def results(world: Any, run: Run, **options: Any) -> Page[Result]:
    with world.records.read() as tx:
        return list_results(tx, run, **options)


def test_a_run_asks_every_case_and_sums_up(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(9))
    run = world.run("v1", scorers=["exact", {"name": "contains", "text": "WORD"}])
    assert run.ended_at_ns is not None
    assert run.summary is not None
    assert (run.summary.results, run.summary.n_errors, run.summary.n_cached) == (9, 0, 0)
    assert (run.summary.input_tokens, run.summary.output_tokens) == (63, 18)
    exact, contains = run.summary.metrics
    assert exact.estimate == pytest.approx(6 / 9)
    assert exact.interval is not None
    assert exact.interval.lo < 6 / 9 < exact.interval.hi
    assert contains.estimate == 1
    page = results(world, run)
    assert [each.case_id for each in page.items] == [f"c{at}" for at in range(9)]
    assert page.items[1].output == "WORD 1"


def test_every_call_is_a_span_that_says_which_case_it_was(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(3))
    run = world.run("v1")
    models = [span for span in world.sink.spans if span.parent_id is None]
    assert {(span.run_id, span.case_id, span.task, span.variant, span.environment) for span in models} == {
        (run.id, f"c{at}", "t", "v1", "evaluation") for at in range(3)
    }
    assert {each.span_id for each in results(world, run).items} == {span.span_id for span in models}


def test_a_second_run_answers_from_the_cache_and_pays_nothing(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(5))
    world.run("v1")
    again = world.run("v1")
    assert again.summary.n_cached == 5
    assert again.summary.cost_usd == Decimal(0)
    assert len(world.provider.asked) == 5
    for options in (RunOptions(use_cache=False), RunOptions(salt="2")):
        assert world.run("v1", options=options).summary.n_cached == 0
    assert len(world.provider.asked) == 15


def test_an_unknown_price_is_unknown_and_not_zero(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(2))
    assert world.run("v1").summary.cost_usd is None


def test_a_case_that_fails_is_an_error_and_not_a_zero(world: Any) -> None:
    def answering(text: str) -> str:
        if text == "word 2":
            raise UpstreamDown("nobody there")
        return text.upper()

    world.provider.answering = answering
    world.variant("v1")
    world.dataset([*cases(6), Case(id="odd", input="x", reference={"not": "text"})])
    run = world.run("v1")
    assert (run.summary.results, run.summary.n_errors) == (7, 1)
    (metric,) = run.summary.metrics
    assert (metric.n, metric.n_errors) == (5, 2)
    (failed,) = results(world, run, which="errors").items
    assert (failed.case_id, failed.error_type, failed.output) == ("c2", "UpstreamDown", None)
    odd = results(world, run).items[-1]
    assert odd.scores["exact"].value is None
    assert "needs a text" in (odd.scores["exact"].error or "")


def test_a_case_that_a_guard_blocks_is_a_failed_case_and_not_the_end_of_the_run(world: Any) -> None:
    guards = parse_guards("guards", [{"check": "regex", "pattern": "B", "action": "block"}])
    loud = world.caller.models["loud"]
    world.caller.models["loud"] = msgspec.structs.replace(loud, guards=guards)
    world.variant("v1")
    world.dataset([Case(id="c1", input="a", reference="A"), Case(id="c2", input="b", reference="B")])
    run = world.run("v1")
    assert (run.summary.results, run.summary.n_errors) == (2, 1)
    (failed,) = results(world, run, which="errors").items
    assert (failed.case_id, failed.error_type, failed.cost_usd) == ("c2", "GuardBlocked", None)


def test_a_run_that_is_interrupted_goes_on_where_it_stopped(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(30))

    async def interrupted() -> Any:
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def answering(text: str) -> str:
            if len(world.provider.asked) >= 12 and not reached.is_set():
                loop.call_soon(reached.set)
            return text.upper()

        world.provider.answering = answering
        async with world.running() as jobs:
            run = await asyncio.to_thread(world.start, jobs, "v1")
            await reached.wait()
        return run

    run = asyncio.run(interrupted())
    kept = {each.case_id for each in results(world, run).items}
    before = len(world.provider.asked)
    assert 0 < len(kept) < 30
    assert before - len(kept) <= run.options.concurrency

    async def resumed() -> Any:
        async with world.running() as jobs:
            return await world.done(jobs, run)

    ended = asyncio.run(resumed())
    assert ended.summary.results == 30
    asked_again = world.provider.asked[before:]
    assert len(asked_again) == 30 - len(kept)
    assert not {f"c{text.removeprefix('word ')}" for text in asked_again} & kept


def test_a_cancelled_run_keeps_what_it_has_and_has_not_ended(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(40))

    async def cancelled() -> Any:
        async with world.running() as jobs:

            def answering(text: str) -> str:
                if len(world.provider.asked) == 10:
                    loop.run_in_executor(None, jobs.cancel, PROJECT, run.job_id)
                return text.upper()

            loop = asyncio.get_running_loop()
            world.provider.answering = answering
            world.provider.takes_s = 0.05
            run = await asyncio.to_thread(world.start, jobs, "v1", options=RunOptions(concurrency=1))
            return await world.done(jobs, run, status=Status.CANCELLED)

    run = asyncio.run(cancelled())
    assert run.ended_at_ns is None
    assert 0 < len(results(world, run).items) < 40


def test_no_more_cases_are_in_flight_than_asked_for(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(20))
    world.run("v1", options=RunOptions(concurrency=3))
    assert world.provider.most_at_once <= 3


def test_a_split_is_run_alone(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(6))
    run = world.run("v1", split="odd")
    assert (run.cases, [each.case_id for each in results(world, run).items]) == (3, ["c1", "c3", "c5"])


def test_outputs_made_elsewhere_are_scored_like_any_other(world: Any) -> None:
    world.dataset(cases(4))

    async def whole() -> Any:
        with world.records.write() as tx:
            run = start_outputs_run(
                tx,
                world.jobs(),
                PROJECT,
                outputs=[("c1", "WORD 1"), ("c2", "wrong"), ("c0", "another")],
                label="old-system",
                task=None,
                examples=Examples("d"),
                scorers=["exact"],
                actor="ann",
            )
        await world.work(run)
        return world.get(run.id)

    run = asyncio.run(whole())
    assert run.title == "old-system"
    (metric,) = run.summary.metrics
    assert (metric.estimate, metric.n, metric.n_errors) == (pytest.approx(2 / 3), 3, 1)
    assert world.provider.asked == []


def test_what_is_wrong_with_a_run_is_said_before_its_first_call(world: Any) -> None:
    world.variant("v1")
    world.variant("two", "{{ a }} {{ b }}")
    world.dataset(cases(3))

    async def refused() -> None:
        for wrong, kind in (
            ({"variant": "v9"}, NotFound),
            ({"variant": "v1", "dataset": "nowhere"}, NotFound),
            ({"variant": "v1", "dataset": "d@7"}, NotFound),
            ({"variant": "v1", "split": "dev"}, BadRequest),
            ({"variant": "v1", "scorers": ["exakt"]}, BadRequest),
            ({"variant": "v1", "options": RunOptions(concurrency=0)}, BadRequest),
            ({"variant": "two"}, BadRequest),
        ):
            with pytest.raises(kind):
                world.start(world.jobs(), **wrong)

    asyncio.run(refused())
    with world.records.read() as tx:
        assert list_runs(tx, PROJECT).items == []
    assert world.provider.asked == []


def test_runs_are_listed_newest_first_by_what_they_ran(world: Any) -> None:
    for name in ("v1", "v2"):
        world.variant(name, f"{name} {{{{ text }}}}")
    world.dataset(cases(2))
    made = [world.run(name).id for name in ("v1", "v2", "v1")]
    with world.records.read() as tx:
        assert [run.id for run in list_runs(tx, PROJECT, variant="v1").items] == [made[2], made[0]]
        first = list_runs(tx, PROJECT, limit=2)
        second = list_runs(tx, PROJECT, limit=2, cursor=first.next)
    assert [run.id for run in (*first.items, *second.items)] == made[::-1]
