"""The seam to DBOS: one queue, one workflow of one step. Nothing else in Assay knows of DBOS.

DBOS is imported when jobs are launched: it takes a quarter of a second. Its console output is the log's, its admin
server and telemetry stay off, and it keeps to its own database file (a schema of its own on PostgreSQL).
"""

import asyncio
import importlib
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from assay.records import Records

EXECUTOR = "assay"
"""One launcher per database: unfinished work is its own to run again."""

FORMAT = "assay-jobs-1"
"""What DBOS calls the application version: work of another format is left alone. It is not the release's number."""

SCHEMA = "assay_jobs"
AT_ONCE = 4
"""Jobs that run at the same time; the rest wait."""

_POLL_S = 0.2
_QUEUE = "jobs"


class Queue:
    """A launched DBOS."""

    def __init__(self, dbos: Any, workflow: Any) -> None:
        self._dbos = dbos
        self._workflow = workflow

    async def hand_over(self, project: str, job_id: str, *, resumed: int = 0) -> None:
        """Have a job run. Handing one over that is there already changes nothing; each time that it is resumed it is another
        piece of work for DBOS, which never runs again what has ended."""
        with self._dbos.SetWorkflowID(f"{job_id}-{resumed}" if resumed else job_id):
            await self._dbos.DBOS.enqueue_workflow_async(_QUEUE, self._workflow, project, job_id)

    async def close(self) -> None:
        """Interrupt what runs and let go of the database; interrupted work stays to be run again."""
        mine = asyncio.current_task()
        running = [task for task in asyncio.all_tasks() if task is not mine and _is_workflow(task)]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.to_thread(self._dbos.DBOS.destroy, destroy_registry=True)
        # DBOS made its own pool of threads the loop's, and has just shut it down; who closes after us needs threads too.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def database_url(records: Records, data: Path) -> str:
    """Where DBOS keeps its queue: a file of its own in the data directory, or beside the records on PostgreSQL."""
    if records.dialect == "sqlite":
        return f"sqlite:///{(data / 'jobs.sqlite').resolve()}"
    return records.url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


async def launch(url: str, run: Callable[[str, str], Awaitable[None]]) -> Queue:
    """Start DBOS on this event loop, so that `run(project, job_id)` runs on it too."""
    dbos = await asyncio.to_thread(importlib.import_module, "dbos")
    if url.startswith("sqlite:///"):
        os.close(os.open(url.removeprefix("sqlite:///"), os.O_RDWR | os.O_CREAT, 0o600))
    _quieten()
    dbos.DBOS(
        config={
            "name": "assay",
            "system_database_url": url,
            "dbos_system_schema": SCHEMA,
            "application_version": FORMAT,
            "executor_id": EXECUTOR,
            "log_level": "WARNING",
            "enable_otlp": False,
        }
    )
    workflow = _workflow(dbos, run)
    dbos.DBOS.launch()
    await dbos.DBOS.register_queue_async(_QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=_POLL_S)
    return Queue(dbos, workflow)


def _workflow(dbos: Any, run: Callable[[str, str], Awaitable[None]]) -> Any:
    async def run_job(project: str, job_id: str) -> None:
        await run(project, job_id)

    step = dbos.DBOS.step(name="run")(run_job)

    async def work(project: str, job_id: str) -> None:
        await step(project, job_id)

    return dbos.DBOS.workflow(name="job", max_recovery_attempts=None)(work)


def _is_workflow(task: "asyncio.Task[Any]") -> bool:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", "") == "_execute_workflow_async"


def _quieten() -> None:
    """DBOS brings a console handler of its own; its warnings belong in the server's log."""
    logger = logging.getLogger("dbos")
    logger.handlers.clear()
    logger.addHandler(logging.NullHandler())
    logger.propagate = True
    logger.addFilter(lambda record: not record.getMessage().startswith("Asyncio task cancelled"))
