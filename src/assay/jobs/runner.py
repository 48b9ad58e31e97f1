"""Running jobs over DBOS.

The row in the records is the truth about a job: it is added in the caller's transaction, and a job whose row has not
ended is handed to DBOS after the commit, and again at every start. DBOS knows a job by its id, so handing it over twice
runs it once. DBOS queues, limits how many run at once, and runs again what a killed process left behind.

A job is one step. When the step runs again, the function runs from its beginning and must skip the items it has kept.
The functions run on the event loop that called `launch`, the one that model calls are bound to.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from assay.errors import AssayError, Conflict, NotFound
from assay.jobs import engine, store
from assay.jobs.context import JobContext
from assay.jobs.ledger import TOUCHED, add_job, cancel_job, resume_job
from assay.jobs.types import Job, Status
from assay.kit.clock import SYSTEM, Clock
from assay.records import Records

log = logging.getLogger(__name__)

JobFunction = Callable[[JobContext], Awaitable[Any]]

CANCEL_GRACE_S = 5.0
"""How long a job that was asked to stop may take to return by itself."""


class Jobs:
    """The background work of one server. Launch it once; only one process may launch on one data directory."""

    def __init__(self, url: str, records: Records, *, clock: Clock = SYSTEM) -> None:
        """`url` is the database of DBOS: `engine.database_url(records, data)`."""
        self._url = url
        self._records = records
        self._clock = clock
        self._functions: dict[str, JobFunction] = {}
        self._pages: dict[str, Callable[[dict[str, Any]], str | None]] = {}
        self._running: dict[str, JobContext] = {}
        self._handed: set[str] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: engine.Queue | None = None
        self._dispatcher: asyncio.Task[None] | None = None

    def register(
        self, kind: str, function: JobFunction, *, page: Callable[[dict[str, Any]], str | None] | None = None
    ) -> None:
        """Say what runs jobs of this kind, before `launch`; and from the arguments, where the page of their subject is."""
        if kind in self._functions:
            raise ValueError(f"{kind!r} is registered already")
        self._functions[kind] = function
        if page is not None:
            self._pages[kind] = page

    async def launch(self) -> None:
        """Start running jobs, first those that an earlier process left unfinished."""
        self._loop = asyncio.get_running_loop()
        self._queue = await engine.launch(self._url, self._run)
        self._records.on_commit(self._committed)
        self._wake.set()
        self._dispatcher = asyncio.create_task(self._dispatch(), name="jobs-dispatcher")

    async def close(self) -> None:
        """Stop running. Jobs in the middle stay `running` in the records and go on at the next launch."""
        self._loop = None
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._dispatcher
        if self._queue is not None:
            await self._queue.close()
            self._queue = None

    def add(self, tx: Connection, kind: str, *, project: str, arguments: dict[str, Any] | None = None) -> str:
        """Add a job in your transaction and return its id; it begins once that commits."""
        if kind not in self._functions:
            raise NotFound(f"There is no kind of job {kind!r}")
        return add_job(tx, kind, project=project, arguments=arguments or {}, clock=self._clock).id

    async def start(self, kind: str, *, project: str, arguments: dict[str, Any] | None = None) -> str:
        """Add a job in a transaction of its own and return its id."""

        def add() -> str:
            with self._records.write() as tx:
                return self.add(tx, kind, project=project, arguments=arguments)

        return await asyncio.to_thread(add)

    def get(self, project: str, job_id: str) -> Job:
        """One job. Raises `NotFound`."""
        with self._records.read() as tx:
            return store.get(tx, project, job_id)

    def is_on_its_way(self, tx: Connection, kind: str) -> bool:
        """Whether a job of this kind has not ended, in any project."""
        return any(job.kind == kind for job in store.unfinished(tx))

    def cancel(self, project: str, job_id: str) -> Job:
        """Ask a job to stop. A running one has `CANCEL_GRACE_S` to return, then it is interrupted."""
        with self._records.write() as tx:
            return cancel_job(tx, project, job_id, clock=self._clock)

    def resume(self, project: str, job_id: str, *, actor: str) -> Job:
        """Have a job go on that failed or was cancelled. Raises `Conflict` for any other, and for one of a kind that this
        release does not know."""
        with self._records.write() as tx:
            job = resume_job(tx, project, job_id, actor=actor, clock=self._clock)
            if job.kind not in self._functions:
                raise Conflict(f"This release has no kind of job {job.kind!r}")
            return job

    def page_of(self, job: Job) -> str | None:
        """The page of what a job is about, if its kind says where that is."""
        page = self._pages.get(job.kind)
        return None if page is None else page(job.arguments)

    async def wait(self, project: str, job_id: str, *, poll_s: float = 0.1) -> Job:
        """Wait until a job has ended."""
        while True:
            job = await asyncio.to_thread(self.get, project, job_id)
            if job.status.has_ended:
                return job
            await asyncio.sleep(poll_s)

    def _committed(self, touched: frozenset[str]) -> None:
        loop = self._loop
        if TOUCHED in touched and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: the next launch sees to it
                loop.call_soon_threadsafe(self._wake.set)

    async def _dispatch(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for job in await asyncio.to_thread(self._unfinished):
                if job.cancel_asked and job.id in self._running:
                    self._running[job.id].ask_to_stop()
                if job.id not in self._handed and self._queue is not None:
                    await self._queue.hand_over(job.project, job.id, resumed=job.resumed)
                    self._handed.add(job.id)

    def _unfinished(self) -> list[Job]:
        with self._records.read() as tx:
            return store.unfinished(tx)

    async def _run(self, project: str, job_id: str) -> None:
        job = await asyncio.to_thread(self._begin, project, job_id)
        if job is None:
            return
        context = JobContext(job, self._records, self._clock)
        self._running[job_id] = context
        writer = asyncio.create_task(context.keep_writing())
        try:
            ending = await self._outcome(job, context)
        finally:
            self._running.pop(job_id, None)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await asyncio.shield(context.write())
        await asyncio.to_thread(self._end, job, ending)
        self._handed.discard(job_id)

    async def _outcome(self, job: Job, context: JobContext) -> dict[str, Any]:
        """Run the function and say how it ended; only a stop of the whole server passes through as an exception."""
        try:
            result = await self._interruptible(job, context)
        except asyncio.CancelledError:
            if not context.cancelled():
                raise
            return {"status": Status.CANCELLED}
        except AssayError as error:
            return {"status": Status.FAILED, "error": error.message, "hint": error.hint}
        except Exception as error:
            log.exception("Job %s (%s) failed", job.id, job.kind)
            return {
                "status": Status.FAILED,
                "error": f"{type(error).__name__}: {error}",
                "hint": "The log has the details.",
            }
        return {"status": Status.CANCELLED if context.cancelled() else Status.SUCCEEDED, "result": result}

    async def _interruptible(self, job: Job, context: JobContext) -> Any:
        function = self._functions.get(job.kind)
        if function is None:
            raise NotFound(
                f"This release has no kind of job {job.kind!r}", hint="Was it started by another release?"
            )
        work = asyncio.ensure_future(function(context))
        asked = asyncio.ensure_future(context.wait_cancelled())
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait({work}, timeout=CANCEL_GRACE_S)
                work.cancel()
            return await work
        finally:
            asked.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=CANCEL_GRACE_S)

    def _begin(self, project: str, job_id: str) -> Job | None:
        with self._records.write() as tx:
            job = store.get(tx, project, job_id)
            if job.status.has_ended:
                return None
            store.change(
                tx,
                project,
                job_id,
                status=Status.RUNNING,
                started_at_ns=job.started_at_ns or self._clock.now_ns(),
            )
            return store.get(tx, project, job_id)

    def _end(self, job: Job, ending: dict[str, Any]) -> None:
        with self._records.write() as tx:
            store.change(tx, job.project, job.id, **ending, ended_at_ns=self._clock.now_ns())
