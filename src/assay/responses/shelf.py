"""Keeping responses and finding them again.

One writer for the process: answers that end together share a transaction, and while one batch is being committed the next
gathers. When the records cannot be written the answer goes out all the same, and says that it is not kept.
"""

import asyncio
import logging
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from assay.errors import AssayError, BadRequest, NotFound
from assay.records import Records
from assay.responses import store
from assay.responses.types import StoredResponse

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long an answer waits until it is kept."""
MOST_TURNS = 1_000
"""Of one conversation that is followed back."""

_Waiting = tuple[StoredResponse, "asyncio.Future[bool]"]


class ResponseShelf:
    """The kept responses of every project."""

    def __init__(self, records: Records, *, keeps: bool = True) -> None:
        """With `keeps` off, for a server that keeps no content, nothing is ever there."""
        self._records = records
        self._keeps = keeps
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, response: StoredResponse) -> bool:
        """Have it written, and wait until it is; False when it cannot be, or not in time."""
        if not self._keeps:
            return False
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((response, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="responses-writer")
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await written
        except TimeoutError:
            return False

    async def get(self, project: str, id: str) -> StoredResponse:
        """Raises `NotFound`."""
        return await asyncio.to_thread(self._get, project, id)

    async def conversation(self, project: str, id: str) -> list[StoredResponse]:
        """The response and all before it, oldest first. Raises `NotFound`."""
        return await asyncio.to_thread(self._conversation, project, id)

    async def remove(self, project: str, id: str) -> None:
        """Raises `NotFound`."""

        def remove() -> None:
            with self._records.write() as tx:
                if not store.remove(tx, project, id):
                    raise _unknown(id)

        await asyncio.to_thread(remove)

    def oldest(self) -> Mapping[str, int]:
        """Project to when its oldest response was made."""
        with self._records.read() as tx:
            return store.oldest(tx)

    def purge(self, project: str, *, user_id: str | None = None, before_ns: int | None = None) -> int:
        """Let go of a project's responses; how many there were."""
        with self._records.write() as tx:
            return store.remove_of(tx, project, user_id=user_id, before_ns=before_ns)

    def _get(self, project: str, id: str) -> StoredResponse:
        with self._records.read() as tx:
            found = store.find(tx, project, id)
        if found is None:
            raise _unknown(id)
        return found

    def _conversation(self, project: str, id: str) -> list[StoredResponse]:
        made: list[StoredResponse] = []
        wanted: str | None = id
        with self._records.read() as tx:
            while wanted is not None:
                found = store.find(tx, project, wanted)
                if found is None:
                    raise _unknown(wanted)
                made.append(found)
                if len(made) > MOST_TURNS:
                    raise BadRequest(
                        f"The conversation has more than {MOST_TURNS:,} turns", param="previous_response_id"
                    )
                wanted = found.previous_id
        return made[::-1]

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            is_kept = await asyncio.to_thread(self._write, [response for response, _ in batch])
            for _, written in batch:
                if not written.done():
                    written.set_result(is_kept)

    def _write(self, batch: list[StoredResponse]) -> bool:
        try:
            with self._records.write() as tx:
                store.put(tx, batch)
        except (SQLAlchemyError, AssayError) as error:
            log.warning("%d responses could not be kept: %s", len(batch), error)
            return False
        return True


def _unknown(id: str) -> NotFound:
    return NotFound(
        f"Response with id {id!r} not found",
        param="previous_response_id",
        hint="It was not stored, was deleted, or is older than this project keeps content.",
    )
