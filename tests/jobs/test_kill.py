"""A server that is killed in the middle of a job, for real."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.jobs import Jobs, Status
from assay.jobs.engine import database_url
from assay.records import Records

PROGRAM = """
import asyncio, sys
from pathlib import Path
from sqlalchemy import text
from assay.jobs import Jobs
from assay.jobs.engine import database_url
from assay.records import Records

directory, command = Path(sys.argv[1]), sys.argv[2]
records = Records.in_directory(directory)
records.upgrade()
with records.write() as tx:
    tx.execute(text("CREATE TABLE IF NOT EXISTS items (item INTEGER PRIMARY KEY)"))

async def work(context):
    with records.read() as tx:
        kept = set(tx.execute(text("SELECT item FROM items")).scalars())
    for item in range(40):
        if item in kept:
            continue
        with (directory / "calls").open("a") as calls:
            calls.write(f"{item}\\n")
        await asyncio.sleep(0.02)
        with records.write() as tx:
            tx.execute(text("INSERT INTO items VALUES (:item)"), {"item": item})
        context.progress(item + 1, 40)
    return "all"

async def main():
    jobs = Jobs(database_url(records, directory), records)
    jobs.register("work", work)
    await jobs.launch()
    if command == "start":
        print(await jobs.start("work", project="default"), flush=True)
        await asyncio.Event().wait()
    print((await jobs.wait("default", command)).status, flush=True)
    await jobs.close()

asyncio.run(main())
"""


def calls(directory: Path) -> list[int]:
    file = directory / "calls"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a thing of POSIX")
def test_a_job_killed_in_the_middle_goes_on_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "start"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    job_id = process.stdout.readline().strip()
    deadline = time.monotonic() + 30
    while len(calls(tmp_path)) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    before = calls(tmp_path)
    assert 10 <= len(before) < 40

    again = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), job_id],
        capture_output=True,
        text=True,
        check=True,
        timeout=40,
    )
    assert again.stdout.strip() == "succeeded"
    assert again.stderr == ""
    after = calls(tmp_path)
    assert sorted(set(after)) == list(range(40))
    assert len(after) - 40 <= 1
    records = Records.in_directory(tmp_path)
    job = Jobs(database_url(records, tmp_path), records).get("default", job_id)
    assert (job.status, job.result, job.done, job.total) == (Status.SUCCEEDED, "all", 40, 40)
    records.close()


def test_dbos_keeps_to_its_own_private_file_and_opens_no_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        records = Records.in_directory(tmp_path)
        records.upgrade()
        jobs = Jobs(database_url(records, tmp_path), records)
        await jobs.launch()
        mode = (tmp_path / "jobs.sqlite").stat().st_mode & 0o777
        await jobs.close()
        records.close()
        assert mode == 0o600

    asyncio.run(scenario())
