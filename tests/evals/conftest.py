"""A small world for runs: real records, jobs and pipeline, and a provider that answers as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from assay.calls import Caller
from assay.catalog.models import ModelConfig, Route
from assay.catalog.prices import PriceBook
from assay.datasets import Case, import_cases
from assay.evals import KIND, EvalRuns, Run, RunOptions, get_run, start_run
from assay.evals.planning import Examples
from assay.jobs import JobContext, Jobs, Status, engine, get_job
from assay.kit import json
from assay.kit.clock import SYSTEM
from assay.providers.registry import Providers
from assay.providers.types import ProviderRequest
from assay.records import Records
from assay.scorers.registry import Specification
from assay.tasks import put_variant
from assay.tasks.definitions import VariantDefinition
from assay.wire.openai_chat import decode_response
from assay.wire.requests import ChatRequest
from assay.wire.responses import Response, StreamEvent
from assay.wire.spans import Event, Span

PROJECT = "default"
Answering = Callable[[str], str]


class Answers:
    """A provider that answers the text of the last message with what `answering` makes of it."""

    name = type = "answers"

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[str] = []
        self.takes_s = 0.0
        self.at_once = self.most_at_once = 0

    async def complete(self, request: ProviderRequest) -> Response:
        assert isinstance(request.request, ChatRequest)
        text = request.request.messages[-1].text
        self.asked.append(text)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.takes_s)
            content = self.answering(text)
        finally:
            self.at_once -= 1
        body = {
            "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
        return decode_response(json.encode(body))

    def stream(self, request: ProviderRequest) -> AsyncIterator[StreamEvent]:
        raise NotImplementedError("runs do not stream")

    async def aclose(self) -> None:
        """Nothing is open."""


class Kept:
    """A sink that remembers the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def admit(self) -> None:
        """Always."""

    def append(self, events: list[Event]) -> bool:
        self.spans += [event for event in events if isinstance(event, Span)]
        return True

    async def keep(self, events: list[Event]) -> bool:
        return self.append(events)


class One:
    """The providers of a test: one."""

    def __init__(self, provider: Answers) -> None:
        self._provider = provider

    def keys(self, name: str) -> int:
        return 1

    def get(self, name: str, key: int = 0) -> Answers:
        return self._provider


class World:
    """What tests of runs hold: use `running` to have jobs run."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.records = Records.in_directory(data)
        self.records.upgrade()
        self.provider = Answers(lambda text: text.upper())
        self.sink = Kept()
        models = {"loud": ModelConfig(name="loud", route=(Route(provider="answers", model="up"),), retries=0)}
        providers = cast("Providers", One(self.provider))
        self.caller = Caller(models=models, providers=providers, prices=PriceBook({}), sink=self.sink)

    def jobs(self) -> Jobs:
        """Jobs that can be added, and run nothing until launched."""
        jobs = Jobs(engine.database_url(self.records, self.data), self.records)
        jobs.register(KIND, EvalRuns(self.records, self.caller).run)
        return jobs

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Jobs]:
        """Jobs on this event loop."""
        jobs = self.jobs()
        await jobs.launch()
        try:
            yield jobs
        finally:
            await jobs.close()

    def variant(self, name: str, prompt: str = "{{ text }}") -> None:
        """A variant of the task `t`."""
        with self.records.write() as tx:
            put_variant(tx, PROJECT, "t", name, VariantDefinition(model="loud", prompt=prompt), actor="ann")

    def dataset(self, cases: list[Case], name: str = "d") -> None:
        """A version of a dataset."""
        with self.records.write() as tx:
            import_cases(tx, PROJECT, name, cases, actor="ann")

    def start(
        self,
        jobs: Jobs,
        variant: str,
        *,
        dataset: str = "d",
        split: str | None = None,
        scorers: list[Specification] | None = None,
        options: RunOptions = RunOptions(),  # noqa: B008  frozen
    ) -> Run:
        """Start a run of the task `t`."""
        with self.records.write() as tx:
            return start_run(
                tx,
                jobs,
                PROJECT,
                task="t",
                variant=variant,
                examples=Examples(dataset, split),
                scorers=scorers or ["exact"],
                options=options,
                models=self.caller.models,
                actor="ann",
            )

    async def done(self, jobs: Jobs, run: Run, *, status: Status = Status.SUCCEEDED) -> Run:
        """The run once its job has ended as it should."""
        job = await jobs.wait(PROJECT, run.job_id, poll_s=0.02)
        assert job.status is status, job.error
        return await asyncio.to_thread(self.get, run.id)

    def get(self, run_id: str) -> Run:
        """The run as it is now."""
        with self.records.read() as tx:
            return get_run(tx, PROJECT, run_id)

    def run(self, variant: str, **options: Any) -> Run:
        """A whole run, without the queue of jobs around it."""

        async def whole() -> None:
            run = self.start(self.jobs(), variant, **options)
            await self.work(run)
            made.append(run.id)

        made: list[str] = []
        asyncio.run(whole())
        return self.get(made[0])

    async def work(self, run: Run) -> None:
        """What the job of a run does."""
        with self.records.read() as tx:
            job = get_job(tx, PROJECT, run.job_id)
        await EvalRuns(self.records, self.caller).run(JobContext(job, self.records, SYSTEM))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Records, a pipeline and a provider that shouts."""
    made = World(tmp_path)
    yield made
    made.records.close()
