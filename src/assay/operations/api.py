"""`/api/backup`, `/api/doctor` and `/api/reload`."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Stream

from assay.access.guards import requires
from assay.access.types import Right
from assay.catalog.local import Catalog
from assay.operations.backup import Backups, Options, Pieces
from assay.operations.doctor import examine_running, worst
from assay.operations.findings import Finding, Patient, State, warn
from assay.operations.reloading import Reloaded, Reloading
from assay.secrets import Vault

Troubles = Callable[[], list[tuple[str, str]]]
"""What keeps the server from doing all of its work, as `/readyz` says it."""


class DoctorAnswer(msgspec.Struct):
    """Every finding, and the gravest state among them."""

    state: State
    findings: list[Finding]


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


@get("/api/doctor", guards=[requires(Right.OPERATE)], sync_to_thread=True)
def run_doctor(
    patient: NamedDependency[Patient],
    catalog: NamedDependency[Catalog],
    vault: NamedDependency[Vault],
    troubles: NamedDependency[Troubles],
) -> DoctorAnswer:
    """Examine the server: disk, permissions, clock, records, spans, weights, and every provider with its key."""
    findings = [
        *(warn("server", message, hint) for message, hint in troubles()),
        *examine_running(patient, catalog.providers, vault.reveal),
    ]
    return DoctorAnswer(worst(findings), findings)


@post("/api/reload", guards=[requires(Right.OPERATE)], status_code=200)
async def reload(reloading: NamedDependency[Reloading]) -> Reloaded:
    """Read `assay.toml` anew: providers, models, guards and tasks, from the next call on. Calls that run end as they began. A
    file with a mistake changes nothing, and the answer says what is wrong."""
    return await reloading.reload()


handlers = [make_backup, run_doctor, reload]
