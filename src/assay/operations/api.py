"""`/api/backup` and `/api/doctor`."""

import asyncio
from collections.abc import AsyncIterator

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream

from assay.access.guards import requires
from assay.access.types import Right
from assay.operations.backup import Backups, Options, Pieces


@get("/api/backup", guards=[requires(Right.OPERATE)])
async def make_backup(
    backups: NamedDependency[Backups],
    models: FromQuery[bool] = False,
    key: FromQuery[bool] = False,
) -> Stream:
    """A backup of the whole server as a tar, as of the moment of asking; `manifest.json` at its end has the checksums.

    `models` adds the weights, `key` the key that opens the secrets: who has both can read them.
    """
    pieces = await asyncio.to_thread(backups.pieces, Options(models=models, key=key))
    return Stream(_sent(pieces), media_type="application/x-tar")


async def _sent(pieces: Pieces) -> AsyncIterator[bytes]:
    """The pieces, each read in a thread; whoever goes away ends the backup."""
    try:
        while piece := await asyncio.to_thread(pieces.next):
            yield piece
    finally:
        await asyncio.to_thread(pieces.close)


handlers = [make_backup]
