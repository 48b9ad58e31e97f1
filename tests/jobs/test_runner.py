import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from assay.errors import BadRequest, Conflict, NotFound
from assay.jobs import JobContext, Jobs, Status, list_jobs, runner
from assay.jobs.engine import database_url
from assay.jobs.ledger import log_of
from assay.records import Records

Work = Callable[[JobContext], Awaitable[Any]]


@asynccontextmanager
async def launched(directory: Path, **kinds: Work) -> AsyncIterator[Jobs]:
    records = Records.in_directory(directory)
    records.upgrade()
    jobs = Jobs(database_url(records, directory), records)
    for kind, function in kinds.items():
        jobs.register(kind, function)
    await jobs.launch()
    try:
        yield jobs
    finally:
        await jobs.close()
        records.close()


def test_a_job_runs_on_the_loop_of_the_launch_and_keeps_result_progress_and_log(tmp_path: Path) -> None:
    async def scenario() -> None:
        loops: list[asyncio.AbstractEventLoop] = []

        async def add_up(context: JobContext) -> dict[str, int]:
            loops.append(asyncio.get_running_loop())
            numbers = context.arguments["numbers"]
            for done, number in enumerate(numbers, 1):
                context.log(f"adding {number}")
                context.progress(done, len(numbers), note="adding")
            return {"sum": sum(numbers)}

        async with launched(tmp_path, add_up=add_up) as jobs:
            job_id = await jobs.start("add_up", project="default", arguments={"numbers": [1, 2, 3]})
            job = await jobs.wait("default", job_id)
            assert (job.status, job.result) == (Status.SUCCEEDED, {"sum": 6})
            assert (job.done, job.total, job.note) == (3, 3, "adding")
            assert job.started_at_ns
            assert job.ended_at_ns
            assert loops == [asyncio.get_running_loop()]
            with jobs._records.read() as tx:
                assert [line.text for line in log_of(tx, "default", job_id)] == [
                    "adding 1",
                    "adding 2",
                    "adding 3",
                ]
                assert [found.id for found in list_jobs(tx, "default", status=Status.SUCCEEDED).items] == [
                    job_id
                ]
                assert list_jobs(tx, "default", kind="other").items == []
            with pytest.raises(NotFound):
                jobs.get("another project", job_id)

    asyncio.run(scenario())


def test_a_job_added_in_a_transaction_begins_with_its_commit_and_not_without(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def nothing(context: JobContext) -> None:
            return None

        async with launched(tmp_path, nothing=nothing) as jobs:

            def add_and_fail() -> None:
                with jobs._records.write() as tx:
                    jobs.add(tx, "nothing", project="default")
                    raise RuntimeError("changed my mind")

            with pytest.raises(RuntimeError):
                add_and_fail()
            with jobs._records.write() as tx:
                job_id = jobs.add(tx, "nothing", project="default")
            assert (await jobs.wait("default", job_id)).status is Status.SUCCEEDED
            with jobs._records.read() as tx:
                assert len(list_jobs(tx, "default").items) == 1
            with pytest.raises(NotFound, match="kind"):
                await jobs.start("unheard_of", project="default")

    asyncio.run(scenario())


def test_a_failed_job_says_why_in_words_for_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async def refuse(context: JobContext) -> None:
            raise BadRequest("The dataset is empty", hint="Import some cases.")

        async def break_down(context: JobContext) -> None:
            raise ZeroDivisionError("division by zero")

        async with launched(tmp_path, refuse=refuse, break_down=break_down) as jobs:
            refused = await jobs.wait("default", await jobs.start("refuse", project="default"))
            assert (refused.status, refused.error, refused.hint) == (
                Status.FAILED,
                "The dataset is empty",
                "Import some cases.",
            )
            broken = await jobs.wait("default", await jobs.start("break_down", project="default"))
            assert (broken.status, broken.error) == (Status.FAILED, "ZeroDivisionError: division by zero")

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert "Traceback" in caplog.text


def test_a_running_job_that_looks_stops_between_items_and_keeps_what_it_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        started = asyncio.Event()

        async def polite(context: JobContext) -> str:
            started.set()
            await context.wait_cancelled()
            assert context.cancelled()
            return "so far"

        async with launched(tmp_path, polite=polite) as jobs:
            job_id = await jobs.start("polite", project="default")
            await started.wait()
            asked = await asyncio.to_thread(jobs.cancel, "default", job_id)
            assert (asked.status, asked.cancel_asked) == (Status.RUNNING, True)
            ended = await jobs.wait("default", job_id)
            assert (ended.status, ended.result) == (Status.CANCELLED, "so far")
            assert (await asyncio.to_thread(jobs.cancel, "default", job_id)) == ended

    asyncio.run(scenario())


def test_a_running_job_that_does_not_look_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CANCEL_GRACE_S", 0.05)

    async def scenario() -> None:
        started = asyncio.Event()

        async def deaf(context: JobContext) -> None:
            started.set()
            await asyncio.Event().wait()

        async with launched(tmp_path, deaf=deaf) as jobs:
            job_id = await jobs.start("deaf", project="default")
            await started.wait()
            await asyncio.to_thread(jobs.cancel, "default", job_id)
            assert (await jobs.wait("default", job_id)).status is Status.CANCELLED

    asyncio.run(scenario())


def test_jobs_beyond_the_limit_wait_and_a_waiting_one_can_be_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        release, four_run = asyncio.Event(), asyncio.Event()
        running: list[str] = []

        async def hold(context: JobContext) -> None:
            running.append(context.job_id)
            if len(running) == 4:
                four_run.set()
            await release.wait()

        async with launched(tmp_path, hold=hold) as jobs:
            ids = [await jobs.start("hold", project="default") for _ in range(6)]
            async with asyncio.timeout(20):
                await four_run.wait()
            waiting = [job_id for job_id in ids if job_id not in running]
            cancelled = await asyncio.to_thread(jobs.cancel, "default", waiting[0])
            assert cancelled.status is Status.CANCELLED
            release.set()
            ended = [await jobs.wait("default", job_id) for job_id in ids if job_id != waiting[0]]
            assert {job.status for job in ended} == {Status.SUCCEEDED}
            assert waiting[0] not in running

    asyncio.run(scenario())


def test_a_job_interrupted_by_a_shutdown_goes_on_at_the_next_launch(tmp_path: Path) -> None:
    async def first() -> str:
        started = asyncio.Event()

        async def hold(context: JobContext) -> None:
            started.set()
            await asyncio.Event().wait()

        async with launched(tmp_path, work=hold) as jobs:
            job_id = await jobs.start("work", project="default")
            await started.wait()
        return job_id

    async def second(job_id: str) -> None:
        async def finish(context: JobContext) -> str:
            return "done"

        async with launched(tmp_path, work=finish) as jobs:
            assert jobs.get("default", job_id).status in (Status.RUNNING, Status.SUCCEEDED)
            async with asyncio.timeout(20):
                job = await jobs.wait("default", job_id)
            assert (job.status, job.result) == (Status.SUCCEEDED, "done")

    asyncio.run(second(asyncio.run(first())))


def test_a_job_committed_just_before_a_kill_begins_at_the_next_launch_even_with_an_empty_queue(
    tmp_path: Path,
) -> None:
    async def nothing(context: JobContext) -> str:
        return "ran"

    records = Records.in_directory(tmp_path)
    records.upgrade()
    unlaunched = Jobs(database_url(records, tmp_path), records)
    unlaunched.register("nothing", nothing)
    with records.write() as tx:
        job_id = unlaunched.add(tx, "nothing", project="default")
    records.close()

    async def scenario() -> None:
        async with launched(tmp_path, nothing=nothing) as jobs:
            assert (await jobs.wait("default", job_id)).result == "ran"

    asyncio.run(scenario())


def test_the_log_keeps_its_newest_thousand_lines(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def chatter(context: JobContext) -> None:
            for number in range(1, 1501):
                context.log(str(number))

        async with launched(tmp_path, chatter=chatter) as jobs:
            job_id = await jobs.start("chatter", project="default")
            await jobs.wait("default", job_id)
            with jobs._records.read() as tx:
                lines = log_of(tx, "default", job_id)
                assert [lines[0].text, lines[-1].text, len(lines)] == ["501", "1500", 1000]
                assert [line.number for line in log_of(tx, "default", job_id, after=1498)] == [1499, 1500]

    asyncio.run(scenario())


def test_a_job_that_failed_goes_on_where_it_stopped_also_after_a_restart(tmp_path: Path) -> None:
    kept: list[int] = []
    breaks = {"at": 2}

    async def count(context: JobContext) -> dict[str, int]:
        for number in range(len(kept), 5):
            if number == breaks["at"]:
                raise BadRequest("It broke", hint="Mend it.")
            kept.append(number)
            context.log(f"kept {number}")
            context.progress(len(kept), 5)
        return {"kept": len(kept)}

    async def first() -> str:
        async with launched(tmp_path, count=count) as jobs:
            job_id = await jobs.start("count", project="default")
            assert (await jobs.wait("default", job_id)).status is Status.FAILED
            breaks["at"] = 3
            await asyncio.to_thread(jobs.resume, "default", job_id, actor="ann")
            job = await jobs.wait("default", job_id)
            assert (job.status, job.resumed, job.done, job.error) == (Status.FAILED, 1, 3, "It broke")
            breaks["at"] = -1
            jobs._queue, queue = None, jobs._queue  # the process ends before the job is handed over
            await asyncio.to_thread(jobs.resume, "default", job_id, actor="ann")
            jobs._queue = queue
            return job_id

    async def second(job_id: str) -> None:
        async with launched(tmp_path, count=count) as jobs:
            job = await jobs.wait("default", job_id)
            assert (job.status, job.result, job.resumed) == (Status.SUCCEEDED, {"kept": 5}, 2)
            with pytest.raises(Conflict):
                jobs.resume("default", job_id, actor="ann")
            with jobs._records.read() as tx:
                said = [line.text for line in log_of(tx, "default", job_id)]
            assert said.count("Resumed by ann") == 2
            assert [line for line in said if line.startswith("kept")] == [
                f"kept {number}" for number in range(5)
            ]

    asyncio.run(second(asyncio.run(first())))


def test_a_job_that_was_stopped_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        begun = asyncio.Event()
        rounds: list[bool] = []

        async def wait(context: JobContext) -> str:
            rounds.append(context.cancelled())
            begun.set()
            if len(rounds) == 1:
                await context.wait_cancelled()
            return "done"

        async with launched(tmp_path, wait=wait) as jobs:
            job_id = await jobs.start("wait", project="default")
            await begun.wait()
            await asyncio.to_thread(jobs.cancel, "default", job_id)
            assert (await jobs.wait("default", job_id)).status is Status.CANCELLED
            await asyncio.to_thread(jobs.resume, "default", job_id, actor="ann")
            job = await jobs.wait("default", job_id)
            assert (job.status, job.result, rounds) == (Status.SUCCEEDED, "done", [False, False])

    asyncio.run(scenario())
