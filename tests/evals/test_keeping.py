"""What makes a run fail as a whole, before and after something was paid."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from assay.catalog.models import ModelConfig, Route
from assay.datasets import Case
from assay.errors import BadRequest, Conflict, Unavailable, UpstreamDown
from assay.evals import KIND, Run, store
from assay.evals.planning import list_results
from assay.providers.types import ProviderRequest
from assay.scorers import registry
from assay.wire.responses import Response

PROJECT = "default"


def cases(count: int) -> list[Case]:
    return [Case(id=f"c{at}", input=f"word {at}", reference=f"WORD {at}") for at in range(count)]


def started(world: Any, **options: Any) -> Run:
    run: Run = world.start(world.jobs(), "v1", **options)
    return run


def test_one_case_that_does_not_fit_fails_the_run_before_anything_is_paid(world: Any) -> None:
    world.variant("v1", "{{ text }} {{ style }}")
    inputs = [{"text": "a", "style": "short"}, {"text": "b", "style": "long"}, {"text": "c"}]
    world.dataset([Case(id=f"c{at}", input=each) for at, each in enumerate(inputs)])
    run = started(world, scorers=[{"name": "contains", "text": "A"}])
    with pytest.raises(BadRequest, match=r"'c2' cannot be asked.*style"):
        asyncio.run(world.work(run))
    assert world.provider.asked == []


def test_a_disk_that_is_full_fails_the_run_and_what_is_written_stays(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(20))
    run = started(world)

    def answering(text: str) -> str:
        if text == "word 10":
            raise Unavailable("Nothing can be kept")
        return text.upper()

    world.provider.answering = answering
    with pytest.raises(Unavailable, match="Nothing can be kept"):
        asyncio.run(world.work(run))
    with world.records.read() as tx:
        kept = list_results(tx, run).items
    assert 6 <= len(kept) <= 13
    assert all(each.output is not None for each in kept)
    assert world.get(run.id).ended_at_ns is None


def test_records_that_cannot_be_written_stop_the_calls(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.variant("v1")
    world.dataset(cases(200))
    run = started(world)

    def broken(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(store, "put_results", broken)
    with pytest.raises(OperationalError):
        asyncio.run(world.work(run))
    assert len(world.provider.asked) <= 2 * run.options.concurrency


def test_what_a_fallback_answered_is_not_remembered_as_the_models_own(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.variant("v1")
    world.dataset(cases(3))
    route = (Route(provider="answers", model="spare"),)
    world.caller.models["spare"] = ModelConfig(name="spare", route=route, retries=0)
    world.caller.models["loud"] = msgspec.structs.replace(world.caller.models["loud"], fallback=("spare",))
    complete = world.provider.complete

    async def in_an_outage(request: ProviderRequest) -> Response:
        if request.model == "up":
            raise UpstreamDown("away")
        answer: Response = await complete(request)
        return answer

    with monkeypatch.context() as outage:
        outage.setattr(world.provider, "complete", in_an_outage)
        assert world.run("v1").summary.n_errors == 0
    assert world.run("v1").summary.n_cached == 0
    assert world.run("v1").summary.n_cached == 3


def test_a_scorer_that_changed_in_the_meantime_fails_the_run(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.variant("v1")
    world.dataset(cases(3))
    run = started(world)
    monkeypatch.setattr(registry, "_code", lambda factory: "another")
    with pytest.raises(Conflict, match="'exact' has changed"):
        asyncio.run(world.work(run))
    assert world.provider.asked == []


def test_the_job_of_a_run_says_how_far_it_is_and_which_cases_failed(world: Any) -> None:
    world.variant("v1")
    world.dataset(cases(5))

    async def whole() -> tuple[int, int | None]:
        async with world.running() as jobs:
            run = await asyncio.to_thread(world.start, jobs, "v1")
            await world.done(jobs, run)
            job = jobs.get(PROJECT, run.job_id)
            assert job.kind == KIND
            return job.done, job.total

    assert asyncio.run(whole()) == (5, 5)
