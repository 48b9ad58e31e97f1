"""Bringing a backup back: into a directory that is not there or empty, whole and checked, or not at all.

Everything is unpacked beside the place where it belongs, compared with the manifest and brought to the medium; then the
directory gets its name. A restore that was killed leaves `NAME.restoring`, which the next one begins anew.
"""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from assay.errors import BadRequest, Unusable
from assay.operations.manifest import NAME, Entry, Manifest, check, check_name, read_manifest

_PIECE = 1 << 20
_LONGEST_MANIFEST = 256 << 20


def verify(source: Path) -> Manifest:
    """Compare a backup, a tar or a directory, with its manifest. Raises `Unusable` naming what is wrong."""
    return _read(source, None)


def restore(source: Path, data: Path) -> Manifest:
    """Make a data directory from a backup. Raises `Unusable` when the directory is in use or the backup is damaged."""
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise Unusable(
            f"The data directory {str(data)!r} is not empty",
            hint="Choose another one with --data, or move it away.",
        )
    unpacked = data.with_name(f"{data.name}.restoring")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        unpacked.mkdir(parents=True, mode=0o700)
        manifest = _read(source, unpacked)
        for path in (*unpacked.rglob("*"), unpacked):
            _sync(path)
        if data.exists():
            data.rmdir()
        unpacked.rename(data)
        _sync(data.resolve().parent)
    except OSError as error:
        raise Unusable(
            f"The backup cannot be restored: {error}", hint="Is there room on the disk?"
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return manifest


def _read(source: Path, target: Path | None) -> Manifest:
    """Go through a backup, into a directory if one is given."""
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    try:
        for name, file in _members(source):
            if check_name(name) == NAME:
                manifest = read_manifest(file.read(_LONGEST_MANIFEST))
            else:
                found[name] = _take(file, None if target is None else target / name)
    except (tarfile.TarError, EOFError) as error:
        raise Unusable(
            f"{str(source)!r} is not a whole backup: {error}", hint="Choose another backup."
        ) from error
    if manifest is None:
        raise Unusable(
            f"{str(source)!r} has no {NAME} at its end: it is not a whole backup",
            hint="Choose another backup.",
        )
    check(manifest, found)
    return manifest


def _members(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                yield path.relative_to(source).as_posix(), file
        return
    if not source.exists():
        raise BadRequest(f"There is no backup {str(source)!r}", param="source")
    with tarfile.open(source, "r:") as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isreg() else None
            if opened is None:
                raise Unusable(f"The backup holds {member.name!r}, which is no plain file")
            yield member.name, opened


def _take(file: IO[bytes], into: Path | None) -> Entry:
    digest, size = hashlib.sha256(), 0
    if into is not None:
        into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        written: IO[bytes] | None = os.fdopen(
            os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        )
    else:
        written = None
    try:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            if written is not None:
                written.write(piece)
    finally:
        if written is not None:
            written.close()
    return Entry(size, digest.hexdigest())


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
