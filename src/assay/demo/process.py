"""A server for the demo: the one that serves the data directory already, else one started for it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from assay.access.keys import new_secret
from assay.directory import holder
from assay.errors import Unavailable, Unusable
from assay.sdk.client import Client

READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 30.0
POLL_S = 0.05

Process = subprocess.Popen[bytes]


class Running(msgspec.Struct, frozen=True):
    """A server that answers, and a client of its control socket."""

    url: str
    client: Client
    process: Process | None
    """None when somebody else started it."""
    admin_key: str | None = None
    """The directory's first admin key, if it was made here: to be shown once."""

    def wait(self) -> None:
        """Until the server that was started here ends, or Ctrl-C."""
        if self.process is not None:
            with suppress(KeyboardInterrupt):
                self.process.wait()


@contextmanager
def serving(data: Path, *, port: int) -> Iterator[Running]:
    """A server of the data directory; one that was started here ends with the block."""
    found = _running(data)
    if found is not None:
        yield found
        found.client.close()
        return
    environment, admin_key = _with_admin_key(data)
    with tempfile.TemporaryFile() as said:
        command = [sys.executable, "-m", "assay", "up", "--data", str(data), "--port", str(port)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment
        )
        try:
            started = msgspec.structs.replace(_wait(process, data, said), admin_key=admin_key)
            yield started
            started.client.close()
        except Unavailable as error:
            if process.poll() is None:
                raise
            raise _ended(said) from error
        finally:
            _end(process)


def _with_admin_key(data: Path) -> tuple[dict[str, str], str | None]:
    """The server's environment. It would print a new directory's first key to nobody, so the key is chosen here."""
    environment = dict(os.environ)
    if (
        environment.get("ASSAY_ADMIN_KEY")
        or environment.get("ASSAY_DATABASE_URL")
        or (data / "records.sqlite").exists()
    ):
        return environment, None
    key = new_secret()
    return {**environment, "ASSAY_ADMIN_KEY": key}, key


def _wait(process: Process, data: Path, said: IO[bytes]) -> Running:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        found = _running(data)
        if found is not None:
            return msgspec.structs.replace(found, process=process)
        time.sleep(POLL_S)
    raise _ended(said)


def _ended(said: IO[bytes]) -> Unusable:
    said.seek(0)
    text = said.read().decode(errors="replace").strip()
    return Unusable(
        f"The demo's server ended. It said: {text or 'nothing'}", hint="Try `assay up` by itself."
    )


def _running(data: Path) -> Running | None:
    """The server that says it holds the directory, if it answers: a killed one leaves its word behind."""
    about = holder(data)
    if about is None or not about.get("url"):
        return None
    client = Client("http://assay", socket=Path(about["socket"]))
    try:
        client.get("/healthz")
    except Unavailable:
        client.close()
        return None
    return Running(about["url"], client, None)


def _end(process: Process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
