"""Batches in this process, with a clock that can be turned and models that answer when they are told to."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.batches import Batch, Batches, BatchRuns, BatchStatus, finishing
from assay.batches.asking import Asking, Said
from assay.batches.planning import Wanted
from assay.calls import CallContext
from assay.errors import AssayError, BadRequest, Conflict, RateLimited, TooLarge
from assay.files import Files
from assay.jobs import JobContext, Jobs, get_job
from assay.jobs import engine as jobs_engine
from assay.records import Records
from assay.testing import FakeClock

DAY_S = 86_400
Answer = Callable[[str], Said | AssayError | None]


class Model(Asking):
    """Says what `answer` makes of a body; None is a call that never ends."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.waiting = 0

    def known(self, project: str, model: str) -> str | None:
        return None

    async def ask(self, endpoint: str, body: bytes, context: CallContext) -> Said:
        text = str(json.loads(body)["messages"][0]["content"])
        self.asked.append(text)
        said = self.answer(text)
        if isinstance(said, AssayError):
            raise said
        if said is None:
            self.waiting += 1
            await asyncio.Event().wait()
        assert said is not None
        return said


def ok(text: str) -> Said:
    return Said(status_code=200, body=json.dumps({"said": text}).encode())


class Room:
    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        self.clock = FakeClock()
        self.files = Files(
            directory / "files", self.records, max_file_mb=1, max_project_mb=1, clock=self.clock
        )
        self.jobs = Jobs(jobs_engine.database_url(self.records, directory), self.records)
        self.batches = Batches(self.records, self.jobs, self.files, concurrency=2, clock=self.clock)
        self.model = Model(ok)
        self.runs = BatchRuns(self.records, self.files, self.model, clock=self.clock)
        self.jobs.register("batch", self.runs.run)
        self.batches.on_stop(self.runs.ask_to_stop)

    def start(self, *texts: str) -> Batch:
        lines = [
            {
                "custom_id": text,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "m", "messages": [{"role": "user", "content": text}]},
            }
            for text in texts
        ]
        incoming = self.files.begin()
        incoming.write("\n".join(map(json.dumps, lines)).encode())
        file = self.files.keep(incoming, "default", filename="in", purpose="batch", actor="me")
        wanted = Wanted(project="default", endpoint="/v1/chat/completions", input_file_id=file.id, actor="me")
        return self.batches.create(wanted)

    def context(self, batch: Batch) -> JobContext:
        with self.records.read() as tx:
            return JobContext(get_job(tx, "default", batch.job_id), self.records, self.clock)

    def run(self, batch: Batch) -> Batch:
        asyncio.run(self.runs.run(self.context(batch)))
        return self.batches.get("default", batch.id)

    def read(self, file_id: str | None) -> list[Any]:
        if file_id is None:
            return []
        content = b"".join(self.files.pieces(self.files.get("default", file_id)))
        return [json.loads(line) for line in content.splitlines()]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.records.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - it may be anything
            await asyncio.sleep(0.002)


def test_what_is_not_done_in_a_day_has_expired(room: Room) -> None:
    room.model.answer = lambda text: None if text == "slow" else ok(text)
    batch = room.start("slow", "a", "b", "never-ending")
    room.model.answer = lambda text: ok(text) if text in "ab" else None

    async def wait_a_day() -> None:
        run = asyncio.create_task(room.runs.run(room.context(batch)))
        await until(lambda: room.model.waiting == 2)
        room.clock.advance(DAY_S + 1)
        await run

    asyncio.run(wait_a_day())
    done = room.batches.get("default", batch.id)
    assert (done.status, done.completed, done.failed) == (BatchStatus.EXPIRED, 2, 2)
    assert [each["custom_id"] for each in room.read(done.output_file_id)] == ["a", "b"]
    errors = room.read(done.error_file_id)
    assert [(each["custom_id"], each["error"]["code"]) for each in errors] == [
        ("slow", "batch_expired"),
        ("never-ending", "batch_expired"),
    ]


def test_a_batch_that_was_cancelled_before_it_began_asks_nothing(room: Room) -> None:
    batch = room.start("a", "b")
    assert room.batches.cancel("default", batch.id).status is BatchStatus.CANCELLING
    done = room.run(batch)
    assert (done.status, done.failed, room.model.asked) == (BatchStatus.CANCELLED, 2, [])
    with pytest.raises(Conflict):
        room.batches.cancel("default", batch.id)


def test_a_limit_is_waited_for_and_what_stays_refused_is_the_answer(room: Room) -> None:
    refusals = {"limited": 2, "always": 99}

    def answer(text: str) -> Said | AssayError:
        if text == "wrong":
            return BadRequest("That will not do", param="messages")
        if refusals.get(text, 0):
            refusals[text] -= 1
            return RateLimited("Too many", retry_after_s=7)
        return ok(text)

    room.model.answer = answer
    batch = room.start("limited", "always", "wrong")

    async def let_time_pass() -> None:
        run = asyncio.create_task(room.runs.run(room.context(batch)))
        while not run.done():
            await asyncio.sleep(0.005)
            room.clock.advance(10)
        await run

    asyncio.run(let_time_pass())
    done = room.batches.get("default", batch.id)
    assert [each["custom_id"] for each in room.read(done.output_file_id)] == ["limited"]
    always, wrong = room.read(done.error_file_id)
    assert (always["response"]["status_code"], wrong["response"]["status_code"]) == (429, 400)
    assert wrong["response"]["body"]["error"]["param"] == "messages"
    assert room.model.asked.count("always") == 6
    assert room.model.asked.count("wrong") == 1


def test_an_end_that_fails_is_made_again_from_the_rows(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = room.start("a", "b", "c")

    def full(*_: object, **__: object) -> None:
        raise TooLarge("No room")

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "_kept", full)
        with pytest.raises(TooLarge):
            asyncio.run(room.runs.run(room.context(batch)))
    stuck = room.batches.get("default", batch.id)
    assert (stuck.status, stuck.completed) == (BatchStatus.FINALIZING, 3)
    done = room.run(batch)
    assert (done.status, len(room.read(done.output_file_id))) == (BatchStatus.COMPLETED, 3)
    assert sorted(room.model.asked) == ["a", "b", "c"], "nothing was asked twice"
    assert room.run(batch) == done, "and a batch that has ended stays as it is"


def test_an_input_that_is_gone_fails_its_batch(room: Room) -> None:
    batch = room.start("a")
    room.files.remove("default", batch.input_file_id)
    done = room.run(batch)
    assert done.status is BatchStatus.FAILED
    assert [problem.code for problem in done.problems] == ["input_file_gone"]
