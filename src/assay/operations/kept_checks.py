"""What is kept: records, secrets, spans, the spool, retention, weights and backups."""

import hashlib
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from assay.catalog.local import models_folder
from assay.catalog.weights import receipt_of
from assay.errors import AssayError
from assay.kit.clock import rfc3339
from assay.operations.backup import FOLDER
from assay.operations.findings import Finding, Patient, fail, ok, warn
from assay.records import Records
from assay.records.secrets import KEY_FILE
from assay.records.upgrade import current_revision, revisions
from assay.secrets import PREFIX, Vault
from assay.spans.duckdb import schema
from assay.spans.duckdb.sealed import read_files

_MIB = 2**20
_PIECE = 1 << 20
_NEARLY = 0.9
_MUCH_SPOOL = 64 * _MIB


def check_records(patient: Patient) -> Iterator[Finding]:
    """Whether the records can be read, are whole, and have this release's schema."""
    settings, data = patient.settings, patient.data
    path = data / "records.sqlite"
    if settings.database_url is None:
        if not path.exists():
            yield ok("records", "None yet; the first `assay up` makes them")
            return
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            try:
                problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
            except sqlite3.Error as error:
                problems = [str(error)]
        if problems != ["ok"]:
            yield fail("records", f"records.sqlite is damaged: {problems[0]}", "Restore a backup.")
            return
    try:
        records = Records(settings.database_url or f"sqlite:///{path.resolve()}")
    except AssayError as error:
        yield fail("records", error.message, error.hint)
        return
    try:
        with records.read() as tx:
            tx.execute(text("SELECT 1"))
            found = current_revision(tx)
        yield _revision(found, records.dialect)
        yield from _secrets(patient, records)
    except SQLAlchemyError as error:
        yield fail("records", f"They cannot be read: {error.__cause__ or error}", "Check database_url.")
    finally:
        records.close()


def check_spans(patient: Patient) -> Iterator[Finding]:
    """Whether every sealed day is there; of a server that runs, `/readyz` says how the rest is."""
    path = patient.data / "spans.duckdb"
    if patient.running is not None or not path.exists():
        return
    try:
        with duckdb.connect(str(path)) as connection:
            ((version,),) = connection.execute("SELECT version FROM layout").fetchall()
            files = read_files(connection) if version == schema.VERSION else ()
    except duckdb.Error as error:
        yield fail("spans", f"spans.duckdb cannot be opened: {error}", "Restore a backup.")
        return
    if version > schema.VERSION:
        yield fail(
            "spans", f"A newer release wrote them (layout {version})", "Install that one, or a newer one."
        )
    elif version < schema.VERSION:
        yield warn(
            "spans",
            f"They have layout {version}; this release brings them to {schema.VERSION}",
            "`assay up` does, or assay upgrade.",
        )
    sealed = patient.data / "sealed"
    lost = [file.file for file in files if not (sealed / file.file).exists()]
    changed = [
        file.file
        for file in files
        if file.file not in lost and (sealed / file.file).stat().st_size != file.bytes
    ]
    for name, what in (
        *((name, "missing") for name in lost),
        *((name, "not as it was written") for name in changed),
    ):
        yield fail("spans", f"sealed/{name} is {what}", "Bring it back from a backup.")
    known = {file.file for file in files}
    strays = [path for path in sealed.rglob("*.parquet") if path.relative_to(sealed).as_posix() not in known]
    if strays and version == schema.VERSION:
        yield warn(
            "spans",
            f"{len(strays)} files in sealed/ are not part of the store, e.g. {strays[0].relative_to(patient.data)}",
            "Was spans.duckdb put in from elsewhere? Move them away when nobody needs them.",
        )
    size = path.stat().st_size + sum(file.bytes for file in files)
    yield from _size(patient, size)


def check_spool(patient: Patient) -> Iterator[Finding]:
    """What waits, and what could not be kept."""
    folder = patient.data / "spool"
    waiting = sum(path.stat().st_size for path in folder.glob("*/*.spool"))
    if patient.running is None and waiting > _MUCH_SPOOL:
        yield warn(
            "spool", f"{waiting / _MIB:,.0f} MiB wait to be collected", "The next `assay up` collects them."
        )
    else:
        yield ok("spool", f"{waiting / _MIB:,.1f} MiB")
    torn = list(folder.glob("*/torn/*.bin"))
    if torn:
        yield warn(
            "spool",
            f"{len(torn)} crashes left an unfinished record, e.g. {torn[0]}",
            "Nothing of them had been acknowledged; delete them.",
        )
    if (aside := sum(1 for _ in (patient.data / "quarantine").glob("*.json"))) > 0:
        yield warn(
            "spool", f"{aside} pieces of what came in lie in quarantine", "GET /api/quarantine says why."
        )


def check_retention(patient: Patient) -> Iterator[Finding]:
    """Whether what is kept has an end."""
    settings = patient.settings
    content = f"{settings.content_days} days" if settings.content_days else "for ever"
    rows = f"{settings.row_days} days" if settings.row_days else "for ever"
    limit = f"at most {settings.max_store_mb:,.0f} MiB" if settings.max_store_mb else "no limit of disk"
    said = f"content {content}, rows {rows}, {limit}"
    if not settings.row_days and not settings.max_store_mb:
        yield warn("retention", said, "Nothing ever goes: set row_days or max_store_mb.")
    else:
        yield ok("retention", said)


def check_weights(patient: Patient) -> Iterator[Finding]:
    """Whether weights are what was pulled."""
    for path in sorted(models_folder(patient.data).glob("*.gguf")):
        receipt = receipt_of(path)
        if receipt is None:
            yield ok("models", f"{path.name}: put there by hand, no checksum to compare with")
        elif path.stat().st_size != receipt.size_bytes or _sha256(path) != receipt.sha256:
            yield fail(
                "models",
                f"{path.name} is not what was pulled from {receipt.source}",
                f"assay models pull {receipt.name}",
            )
        else:
            yield ok("models", f"{path.name} has its checksum")


def check_copies(patient: Patient) -> Iterator[Finding]:
    """What upgrades left behind."""
    copies = list((patient.data / FOLDER).glob("before-upgrade-*"))
    if copies:
        size = sum(path.stat().st_size for copy in copies for path in copy.iterdir())
        yield ok(
            "backups",
            f"{len(copies)} copies from before upgrades take {size / _MIB:,.0f} MiB in {patient.data / FOLDER}",
        )


def _revision(found: str | None, dialect: str) -> Finding:
    head = revisions()[-1]
    if found is None:
        return ok("records", f"{dialect}, empty")
    if found > head:
        return fail(
            "records", f"A newer release wrote them (revision {found})", "Install that one, or a newer one."
        )
    if found < head:
        by = "assay upgrade" if dialect != "sqlite" else "`assay up` does, or assay upgrade."
        return warn("records", f"They are at revision {found}; this release brings them to {head}", by)
    return ok("records", f"{dialect}, revision {found}")


def _secrets(patient: Patient, records: Records) -> Iterator[Finding]:
    with records.read() as tx:
        if (current_revision(tx) or "") < "0011":
            return
    vault = Vault(records, patient.data, secret_key=patient.settings.secret_key)
    kept = {secret.name for secret in vault.list()}
    wanted = {
        (name, key.removeprefix(PREFIX))
        for name, provider in patient.config.providers.items()
        for key in provider.keys
        if key is not None and key.startswith(PREFIX)
    }
    for provider, name in sorted(wanted):
        if name not in kept:
            yield fail(
                "secrets",
                f"providers.{provider} refers to the secret {name!r}, which is not set",
                f"assay secrets set {name}",
            )
    try:
        lost = sorted(vault.unreadable())
    except AssayError as error:
        yield fail("secrets", error.message, error.hint)
        return
    if lost:
        yield fail(
            "secrets",
            f"{', '.join(lost)}: cannot be decrypted with the key that is here",
            f"Bring back the {KEY_FILE} that belongs to these records, or set them again.",
        )
    path = patient.data / KEY_FILE
    if path.exists() and path.stat().st_mode & 0o077:
        yield fail(
            "secrets",
            f"{path} can be read by others (mode {stat.S_IMODE(path.stat().st_mode):o})",
            f"chmod 600 {path}",
        )
    if kept and not lost:
        yield ok("secrets", f"{len(kept)}, all readable")


def _size(patient: Patient, size: int) -> Iterator[Finding]:
    limit = patient.settings.max_store_mb
    said = f"{size / _MIB:,.0f} MiB"
    if limit and size > limit * _MIB * _NEARLY:
        yield warn(
            "spans",
            f"{said} of {limit:,.0f} MiB (max_store_mb)",
            "The oldest content goes first. Raise it, or shorten the retention.",
        )
    else:
        yield ok("spans", f"{said}, as of {rfc3339(patient.clock.now_ns())[:16]}Z")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


CHECKS = (check_records, check_spans, check_spool, check_retention, check_weights, check_copies)
