"""A data directory has one holder at a time, and says who it is.

A command that finds a server there talks to it; this module is all that such a command has to import of the server's.
"""

import contextlib
import fcntl
import json
import os
import socket
import tempfile
from pathlib import Path
from typing import IO, Any

from assay.errors import Unusable
from assay.kit.clock import SYSTEM, rfc3339

LONGEST_SOCKET_PATH = 100
"""The kernel takes 108 bytes on Linux and 104 on macOS."""


class Directory:
    """A data directory held by this process until `release`; `<data>/lock` says by whom, for people and for clients."""

    def __init__(self, path: Path) -> None:
        """Take it. Raises `Unusable` naming the holder when another process has it, or when it cannot be written."""
        self.path = path
        os.umask(0o077)  # whatever this process makes is its owner's alone
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not (path / "lock").exists():
                path.chmod(0o700)
            self._file: IO[str] = (path / "lock").open("a+")
        except OSError as error:
            raise Unusable(
                f"The data directory {str(path)!r} cannot be used: {error}", hint="Choose one with --data."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Unusable(
                f"The data directory {str(path)!r} is held by {_describe(holder(path))}",
                hint="Stop that server, or choose another directory with --data.",
            ) from error
        self.socket = _socket_path(path)

    def announce(self, url: str | None) -> None:
        """Write down who holds it and how to reach them."""
        about = {
            "pid": os.getpid(),
            "since": rfc3339(SYSTEM.now_ns()),
            "url": url,
            "socket": str(self.socket),
        }
        self._file.truncate(0)
        self._file.write(json.dumps(about))
        self._file.flush()

    def release(self) -> None:
        """Let go; the lock itself ends with the process in any case."""
        self._file.truncate(0)
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()
        self._file.close()


def holder(path: Path) -> dict[str, Any] | None:
    """Who says that it holds the directory; None when nobody does."""
    try:
        about = json.loads((path / "lock").read_text())
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def find_socket(path: Path) -> Path | None:
    """The socket of the server that runs on the directory now; None when none does."""
    about = holder(path)
    if about is None or not _answers(Path(about["socket"])):
        return None
    return Path(about["socket"])


def _socket_path(data: Path) -> Path:
    path = data.resolve() / "control.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="assay-")) / "control.sock"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _describe(about: dict[str, Any] | None) -> str:
    if about is None:
        return "another process"
    where = f", at {about['url']}" if about.get("url") else ""
    return f"process {about.get('pid')} since {about.get('since')}{where}"
