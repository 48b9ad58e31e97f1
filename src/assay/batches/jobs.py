"""The job of a batch: check the input, ask for every line that has no answer yet, write the files.

What came of a line is a row before its worker goes on, so a killed batch asks again only for what was in flight. A line that
fails is tried again as long as the reason may pass (limits, an upstream that is down); what stays refused is its answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from assay.batches import store
from assay.batches.asking import Asking, Said, refused
from assay.batches.finishing import finish
from assay.batches.planning import get_batch, moved
from assay.batches.reading import body_of, read_input
from assay.batches.types import Batch, BatchStatus, Line, Outcome, Problem
from assay.calls import CallContext
from assay.calls.plan import is_retried
from assay.errors import AssayError, NotFound, RateLimited, Unavailable, Upstream
from assay.files import Files
from assay.jobs import JobContext
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.records import GroupWriter, Records

log = logging.getLogger(__name__)

MOST_TRIES = 6
LONGEST_WAIT_S = 60.0
GRACE_S = 3.0
"""How long calls in flight may take to end when a batch is to stop."""


class BatchRuns:
    """What runs jobs of the kind `batch`. `ask_to_stop` may be called from any thread."""

    def __init__(self, records: Records, files: Files, asking: Asking, *, clock: Clock = SYSTEM) -> None:
        self._records = records
        self._files = files
        self._asking = asking
        self._clock = clock
        self._stops: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask_to_stop(self, batch_id: str) -> None:
        """A batch is to be cancelled: if it runs here, it hears of it."""
        loop, stop = self._loop, self._stops.get(batch_id)
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: the next launch sees the status
                loop.call_soon_threadsafe(stop.set)

    async def run(self, context: JobContext) -> dict[str, object]:
        """Take a batch from where it is to its end."""
        self._loop = asyncio.get_running_loop()
        batch_id = str(context.arguments["batch_id"])
        stop = self._stops[batch_id] = asyncio.Event()
        try:
            batch = await asyncio.to_thread(self._get, context.project, batch_id)
            if not batch.status.has_ended:
                await self._work(batch, stop, context)
        finally:
            self._stops.pop(batch_id, None)
        return {"batch_id": batch_id}

    async def _work(self, batch: Batch, stop: asyncio.Event, context: JobContext) -> None:
        prepared = await asyncio.to_thread(self._prepare, batch)
        if isinstance(prepared, list):
            context.log(f"{len(prepared)} lines cannot be used; the first: {prepared[0].message}")
            return
        path, lines = prepared
        batch = await asyncio.to_thread(self._get, batch.project, batch.id)
        if batch.status is BatchStatus.CANCELLING:
            stop.set()
        ending = BatchStatus.COMPLETED
        with path.open("rb") as file:
            run = _Run(self._records, self._asking, self._clock, batch, file, context)
            ending = await run.until_the_end(lines, stop)
        await asyncio.to_thread(self._finish, batch, lines, ending)

    def _prepare(self, batch: Batch) -> tuple[Path, list[Line]] | list[Problem]:
        """The lines; or what is wrong with them, which ends the batch."""
        try:
            path = self._files.path(self._files.get(batch.project, batch.input_file_id))
            found = read_input(path, batch.endpoint, lambda model: self._asking.known(batch.project, model))
        except (NotFound, OSError) as error:
            return self._fail(batch, [Problem("input_file_gone", f"The input file cannot be read: {error}")])
        is_new = batch.status is BatchStatus.VALIDATING
        if found.problems and is_new:
            return self._fail(batch, found.problems)
        if is_new:
            model = next(iter(found.models)) if len(found.models) == 1 else None
            with self._records.write() as tx:
                latest = get_batch(tx, batch.project, batch.id)
                if latest.status is BatchStatus.VALIDATING:
                    moved(
                        tx,
                        latest,
                        BatchStatus.IN_PROGRESS,
                        clock=self._clock,
                        total=len(found.lines),
                        model=model,
                    )
                else:
                    store.change(tx, latest, total=len(found.lines), model=model)
        return path, found.lines

    def _fail(self, batch: Batch, problems: list[Problem]) -> list[Problem]:
        with self._records.write() as tx:
            latest = get_batch(tx, batch.project, batch.id)
            moved(tx, latest, BatchStatus.FAILED, clock=self._clock, problems=problems)
        return problems

    def _finish(self, batch: Batch, lines: list[Line], ending: BatchStatus) -> None:
        with self._records.write() as tx:
            latest = get_batch(tx, batch.project, batch.id)
            if latest.status is BatchStatus.CANCELLING:
                ending = BatchStatus.CANCELLED
            else:
                moved(tx, latest, BatchStatus.FINALIZING, clock=self._clock)
        latest = self._get(batch.project, batch.id)
        finish(self._records, self._files, latest, lines, ending, self._clock)

    def _get(self, project: str, batch_id: str) -> Batch:
        with self._records.read() as tx:
            return get_batch(tx, project, batch_id)


class _Run:
    """The lines of one batch, a few at once."""

    def __init__(
        self,
        records: Records,
        asking: Asking,
        clock: Clock,
        batch: Batch,
        file: IO[bytes],
        context: JobContext,
    ) -> None:
        self._records = records
        self._asking = asking
        self._clock = clock
        self._batch = batch
        self._file = file
        self._context = context
        self._reading = asyncio.Lock()
        self._done = 0

    async def until_the_end(self, lines: list[Line], stop: asyncio.Event) -> BatchStatus:
        """Ask for what has no answer yet, until all is done, somebody says stop, or the time is over."""
        done = await asyncio.to_thread(self._done_lines)
        todo = [line for line in lines if line.number not in done]
        self._done = len(lines) - len(todo)
        total = len(lines)
        self._context.log(f"{len(todo)} of {total} lines to ask for at {self._batch.endpoint}")
        self._context.progress(self._done, total)

        def written(outcomes: list[Outcome]) -> None:
            self._done += len(outcomes)
            self._context.progress(self._done, total)

        def put(tx: Connection, outcomes: list[Outcome]) -> None:
            store.put_outcomes(tx, self._batch, outcomes)

        writer = GroupWriter(self._records, put, written)
        if not todo or stop.is_set():
            return BatchStatus.CANCELLED if todo else BatchStatus.COMPLETED
        return await self._ask_all(iter(todo), min(self._batch.concurrency, len(todo)), writer, stop)

    async def _ask_all(
        self, queue: Iterator[Line], at_once: int, writer: GroupWriter[Outcome], stop: asyncio.Event
    ) -> BatchStatus:
        stopping = asyncio.create_task(self._stopped(stop))
        writing = asyncio.create_task(writer.keep_writing())
        workers = [asyncio.create_task(self._worker(queue, writer, stopping)) for _ in range(at_once)]
        working = asyncio.gather(*workers)
        try:
            either: set[asyncio.Future[Any]] = {working, writing, stopping}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and stopping.done():
                await asyncio.wait({working}, timeout=GRACE_S)
            if working.done():
                await working
            if stopping.done():
                return stopping.result()
            return BatchStatus.COMPLETED
        finally:
            stopping.cancel()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, stopping, return_exceptions=True)
            writer.close()
            await writing

    async def _stopped(self, stop: asyncio.Event) -> BatchStatus:
        """Wait until it is to stop; says how the batch ends then."""
        left_s = (self._batch.expires_at_ns - self._clock.now_ns()) / 1e9
        asked = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._context.wait_cancelled())]
        timer = asyncio.ensure_future(self._clock.sleep(max(left_s, 0.0)))
        try:
            await asyncio.wait({*asked, timer}, return_when=asyncio.FIRST_COMPLETED)
            return BatchStatus.CANCELLED if any(each.done() for each in asked) else BatchStatus.EXPIRED
        finally:
            for each in (*asked, timer):
                each.cancel()

    async def _worker(
        self, queue: Iterator[Line], writer: GroupWriter[Outcome], stopping: "asyncio.Task[BatchStatus]"
    ) -> None:
        for line in queue:
            if stopping.done():
                return
            outcome = await self._outcome(line, stopping)
            if outcome is None:
                return
            await writer.keep(outcome)

    async def _outcome(self, line: Line, stopping: "asyncio.Task[BatchStatus]") -> Outcome | None:
        """What comes of a line; None when it was to stop before anything did."""
        trace_id = ids.uuid7_hex()
        body = await self._body(line)
        said: Said | None = None
        for attempt in range(MOST_TRIES):
            try:
                said = await self._asking.ask(self._batch.endpoint, body, self._about(line, trace_id))
                break
            except AssayError as error:
                said = refused(error)
                if attempt + 1 == MOST_TRIES or not _may_pass(error):
                    break
                wait_s = max(getattr(error, "retry_after_s", None) or 0.0, 2.0**attempt)
                if not await self._paused(min(wait_s, LONGEST_WAIT_S), stopping):
                    return None
                trace_id = ids.uuid7_hex()
            except Exception as error:  # a fault of ours: of this line, not of the batch
                log.exception("%s, line %d failed", self._batch.id, line.number)
                said = refused(AssayError(f"Something went wrong in Assay: {type(error).__name__}"))
                break
        assert said is not None
        return Outcome(
            line=line.number,
            custom_id=line.custom_id,
            status_code=said.status_code,
            body=said.body.decode("utf-8", "replace"),
            trace_id=trace_id,
            usage=said.usage,
            cost_usd=said.cost_usd,
        )

    async def _paused(self, seconds: float, stopping: "asyncio.Task[BatchStatus]") -> bool:
        """Wait; False when it is to stop meanwhile."""
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        either: set[asyncio.Future[Any]] = {pause, stopping}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return not stopping.done()
        finally:
            pause.cancel()

    async def _body(self, line: Line) -> bytes:
        async with self._reading:
            return await asyncio.to_thread(body_of, self._file, line)

    def _about(self, line: Line, trace_id: str) -> CallContext:
        return CallContext(
            project=self._batch.project,
            environment=self._batch.environment,
            key_id=self._batch.key_id,
            trace_id=trace_id,
            attributes={"assay.batch.id": self._batch.id, "assay.batch.custom_id": line.custom_id},
        )

    def _done_lines(self) -> set[int]:
        with self._records.read() as tx:
            return store.done_lines(tx, self._batch)


def _may_pass(error: AssayError) -> bool:
    """Whether the same line may succeed a moment later: the pipeline has tried already, and a batch has time."""
    return isinstance(error, RateLimited | Unavailable) or (isinstance(error, Upstream) and is_retried(error))
