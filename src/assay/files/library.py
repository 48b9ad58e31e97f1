"""Taking files in, finding them, letting go of them.

Content comes into a file beside its place and is moved there when it is whole and on the disk; then the row is written. So a
row always has its content, and a kill leaves at most content without a row, which the next file of the same content takes
over or the next start sweeps away.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from assay.errors import BadRequest, NotFound, TooLarge, Unusable
from assay.files import store
from assay.files.types import StoredFile
from assay.kit import ids
from assay.kit.clock import SYSTEM, Clock
from assay.records import Records

UNFINISHED = ".part"
PIECE = 1 << 18
LONGEST_NAME = 255
_MIB = 2**20


class Incoming:
    """Content on its way in. Close it in every case: what was not kept is gone then."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("xb")
        self._digest = hashlib.sha256()
        self._max_bytes = max_bytes
        self.bytes = 0

    def write(self, piece: bytes) -> None:
        """The next piece. Raises `TooLarge`."""
        self.bytes += len(piece)
        if self.bytes > self._max_bytes:
            raise TooLarge(
                f"The file is larger than {self._max_bytes / _MIB:g} MiB",
                param="file",
                hint="Send it in parts, or raise the setting max_file_mb.",
            )
        self._digest.update(piece)
        self._file.write(piece)

    def finish(self) -> str:
        """It is whole: on the disk, and this is its hash."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()

    def move(self, target: Path) -> None:
        """To its place."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Let go of it, wherever it is."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Files:
    """The files of every project. Every method is for a thread, not for the event loop."""

    def __init__(
        self,
        directory: Path,
        records: Records,
        *,
        max_file_mb: float,
        max_project_mb: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self._directory = directory
        self._records = records
        self._max_bytes = int(max_file_mb * _MIB)
        self._max_project_bytes = int(max_project_mb * _MIB)
        self._clock = clock
        self._one = threading.Lock()

    def begin(self) -> Incoming:
        """Room for content. Raises `Unusable` for a disk that has none."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Incoming(self._directory / f"{ids.uuid7()}{UNFINISHED}", max_bytes=self._max_bytes)
        except OSError as error:
            raise Unusable(f"No file can be taken in: {error}", hint="Check the data directory.") from error

    def keep(
        self,
        incoming: Incoming,
        project: str,
        *,
        filename: str,
        purpose: str,
        actor: str,
        expires_after_s: int | None = None,
    ) -> StoredFile:
        """Keep what came. Raises `BadRequest` for an empty file, `TooLarge` when the project has no room left."""
        if not incoming.bytes:
            raise BadRequest("The file is empty", param="file")
        now_ns = self._clock.now_ns()
        file = StoredFile(
            project=project,
            id=f"file-{ids.uuid7_hex()}",
            purpose=purpose,
            filename=filename[:LONGEST_NAME],
            bytes=incoming.bytes,
            sha256=incoming.finish(),
            actor=actor,
            created_at_ns=now_ns,
            expires_at_ns=None if expires_after_s is None else now_ns + expires_after_s * 1_000_000_000,
        )
        with self._one:
            self._check_room(file)
            incoming.move(self._place(project, file.sha256))
            with self._records.write() as tx:
                store.add(tx, file)
        return file

    def get(self, project: str, id: str) -> StoredFile:
        """One file. Raises `NotFound`, also for one whose time is over."""
        with self._records.read() as tx:
            found = store.find(tx, project, id)
        if found is None or (found.expires_at_ns is not None and found.expires_at_ns <= self._clock.now_ns()):
            raise NotFound(f"No such file: {id!r}", param="file_id", hint="GET /v1/files lists them.")
        return found

    def page(
        self,
        project: str,
        *,
        purpose: str | None = None,
        after: str | None = None,
        oldest_first: bool = False,
        limit: int = 100,
    ) -> list[StoredFile]:
        """A project's files, newest first unless said otherwise, and those behind the id `after`."""
        now_ns = self._clock.now_ns()
        with self._records.read() as tx:
            found = store.list_files(
                tx, project, purpose=purpose, after=after, oldest_first=oldest_first, limit=limit
            )
        return [each for each in found if each.expires_at_ns is None or each.expires_at_ns > now_ns]

    def path(self, file: StoredFile) -> Path:
        """Where its content lies. It may go when the file does: open it at once."""
        return self._place(file.project, file.sha256)

    def pieces(self, file: StoredFile) -> Iterator[bytes]:
        """Its content. Raises `NotFound` when that has gone meanwhile."""
        try:
            opened = self.path(file).open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"The content of {file.id!r} is gone", param="file_id") from error
        with opened:
            while piece := opened.read(PIECE):
                yield piece

    def remove(self, project: str, id: str) -> None:
        """Let go of a file. Raises `NotFound`."""
        self._remove([self.get(project, id)])

    def has_expired(self) -> bool:
        """Whether a sweep would find something."""
        with self._records.read() as tx:
            return bool(store.expired(tx, self._clock.now_ns()))

    def sweep(self) -> int:
        """Let go of files whose time is over, and of what an earlier process left unfinished; how many files went."""
        with self._records.read() as tx:
            found = store.expired(tx, self._clock.now_ns())
        self._remove(found)
        for path in self._directory.glob(f"*{UNFINISHED}"):
            if path.stat().st_mtime_ns < self._clock.now_ns() - 86_400_000_000_000:
                path.unlink(missing_ok=True)
        return len(found)

    def oldest(self) -> Mapping[str, int]:
        """Project to when its oldest file with questions and answers was made."""
        with self._records.read() as tx:
            return store.oldest_content(tx)

    def purge(self, project: str, *, user_id: str | None = None, before_ns: int | None = None) -> int:
        """Let go of a project's files with questions and answers, or of those before a moment. None of them belongs to one
        person alone: a purge of a person leaves them, and they go with their age."""
        if user_id is not None:
            return 0
        with self._records.read() as tx:
            found = store.content_before(tx, project, before_ns)
        self._remove(found)
        return len(found)

    def _check_room(self, file: StoredFile) -> None:
        with self._records.read() as tx:
            if store.has_content(tx, file.project, file.sha256):
                return
            taken = store.total_bytes(tx, file.project)
        if taken + file.bytes > self._max_project_bytes:
            raise TooLarge(
                f"The project's files would take more than {self._max_project_bytes / _MIB:g} MiB",
                hint="Delete some, or raise the setting max_project_files_mb.",
            )

    def _remove(self, gone: Sequence[StoredFile]) -> None:
        with self._one:
            for file in gone:
                with self._records.write() as tx:
                    store.remove(tx, file.project, [file.id])
                    is_shared = store.has_content(tx, file.project, file.sha256)
                if not is_shared:
                    self.path(file).unlink(missing_ok=True)

    def _place(self, project: str, sha256: str) -> Path:
        return self._directory / project / sha256[:2] / sha256
