"""Starting batches, finding them, stopping them."""

from collections.abc import Callable, Mapping

import msgspec
from sqlalchemy import Connection

from assay.batches import store
from assay.batches.types import ENDPOINTS, MOST_AT_ONCE, WINDOW, Batch, BatchStatus
from assay.errors import BadRequest, Conflict, NotFound
from assay.files import Files
from assay.jobs import Jobs
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.records import Records

KIND = "batch"
WINDOW_NS = 86_400_000_000_000
_MOST_METADATA = 16


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whose batch it is, and what of."""

    project: str
    endpoint: str
    input_file_id: str
    actor: str
    window: str = WINDOW
    metadata: Mapping[str, str] | None = None
    concurrency: int | None = None
    environment: str = "production"
    key_id: str | None = None


class Batches:
    """The batches of every project. Every method is for a thread, not for the event loop."""

    def __init__(
        self, records: Records, jobs: Jobs, files: Files, *, concurrency: int, clock: Clock = SYSTEM
    ) -> None:
        """`concurrency` is how many calls of a batch run at once, unless it says otherwise."""
        self._records = records
        self._jobs = jobs
        self._files = files
        self._concurrency = concurrency
        self._clock = clock
        self._listeners: list[Callable[[str], None]] = []

    def on_stop(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the id of a batch that was asked to stop, in the thread that asked."""
        self._listeners.append(listener)

    def create(self, wanted: Wanted) -> Batch:
        """Start one. Raises `BadRequest` and `NotFound` for what cannot be started."""
        _check(wanted)
        file = self._files.get(wanted.project, wanted.input_file_id)
        if file.purpose != "batch":
            raise BadRequest(
                f"The file {file.id!r} was uploaded for {file.purpose!r}",
                param="input_file_id",
                hint="Upload it with the purpose batch.",
            )
        now_ns = self._clock.now_ns()
        with self._records.write() as tx:
            id = f"batch_{ids.uuid7_hex()}"
            batch = Batch(
                project=wanted.project,
                id=id,
                job_id=self._jobs.add(tx, KIND, project=wanted.project, arguments={"batch_id": id}),
                endpoint=wanted.endpoint,
                input_file_id=file.id,
                status=BatchStatus.VALIDATING,
                concurrency=wanted.concurrency or self._concurrency,
                environment=wanted.environment,
                key_id=wanted.key_id,
                actor=wanted.actor,
                metadata=None if wanted.metadata is None else dict(wanted.metadata),
                created_at_ns=now_ns,
                expires_at_ns=now_ns + WINDOW_NS,
            )
            store.add(tx, batch)
        return batch

    def get(self, project: str, id: str) -> Batch:
        """One batch, with how far it is. Raises `NotFound`."""
        with self._records.read() as tx:
            return counted(tx, get_batch(tx, project, id))

    def page(self, project: str, *, after: str | None = None, limit: int = 20) -> list[Batch]:
        """A project's batches, newest first, and those older than the id `after`."""
        with self._records.read() as tx:
            found = store.list_batches(tx, project, after=after, limit=limit)
            return [counted(tx, batch) for batch in found]

    def cancel(self, project: str, id: str) -> Batch:
        """Ask a batch to stop; what is done is kept. Raises `Conflict` for one that has ended."""
        with self._records.write() as tx:
            batch = get_batch(tx, project, id)
            if batch.status.has_ended or batch.status is BatchStatus.FINALIZING:
                raise Conflict(
                    f"Cannot cancel a batch with the status {batch.status.value!r}",
                    hint="It is as done as it will ever be.",
                )
            if batch.status is not BatchStatus.CANCELLING:
                moved(tx, batch, BatchStatus.CANCELLING, clock=self._clock)
        for listener in self._listeners:
            listener(batch.id)
        return self.get(project, id)


def get_batch(tx: Connection, project: str, id: str) -> Batch:
    """One batch. Raises `NotFound`."""
    found = store.find(tx, project, id)
    if found is None:
        raise NotFound(f"No such batch: {id!r}", param="batch_id", hint="GET /v1/batches lists them.")
    return found


def counted(tx: Connection, batch: Batch) -> Batch:
    """While it runs, its lines are counted where they are written."""
    if batch.status.has_ended:
        return batch
    completed, failed = store.count_outcomes(tx, batch)
    return msgspec.structs.replace(batch, completed=completed, failed=failed)


def moved(tx: Connection, batch: Batch, status: BatchStatus, *, clock: Clock, **values: object) -> None:
    """It comes to another status, now."""
    times = {**batch.times, status.value: clock.now_ns()}
    store.change(tx, batch, status=status.value, times=times, **values)


def _check(wanted: Wanted) -> None:
    if wanted.endpoint not in ENDPOINTS:
        raise BadRequest(
            f"endpoint is {wanted.endpoint!r}", param="endpoint", hint=f"It is one of {', '.join(ENDPOINTS)}."
        )
    if wanted.window != WINDOW:
        raise BadRequest(
            f"completion_window is {wanted.window!r}", param="completion_window", hint=f"It is {WINDOW}."
        )
    if wanted.concurrency is not None and not 1 <= wanted.concurrency <= MOST_AT_ONCE:
        raise BadRequest(
            f"concurrency is {wanted.concurrency}: it must be 1 to {MOST_AT_ONCE}", param="assay.concurrency"
        )
    if wanted.metadata is not None and len(wanted.metadata) > _MOST_METADATA:
        raise BadRequest(f"metadata has more than {_MOST_METADATA} entries", param="metadata")
