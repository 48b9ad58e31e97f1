"""What the spool asks of the file system, behind a small interface so that a test can be a full or broken disk."""

import contextlib
import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """Every method may raise `OSError`."""

    def open_append(self, path: Path) -> int:
        """Open or make a file whose writes go to its end."""

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        """Write to the page cache; may take only a part."""

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file back."""

    def sync(self, fd: int) -> None:
        """Return when what was written is on the medium."""

    def sync_directory(self, path: Path) -> None:
        """Return when the directory's entries are on the medium."""

    def free_bytes(self, path: Path) -> int:
        """What an ordinary user may still write to the file system."""


class SystemDisk:
    """The real one. On macOS `fsync` does not reach the medium, `F_FULLFSYNC` does."""

    def open_append(self, path: Path) -> int:
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        return os.write(fd, data)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(PermissionError):
                os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path) -> int:
        return shutil.disk_usage(path).free
