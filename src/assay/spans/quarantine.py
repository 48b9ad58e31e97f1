"""Events that could not be kept as they came: each a file with the reason, so that a person can look and send it again."""

import base64
import contextlib
import os
from pathlib import Path

import msgspec

from assay.kit import hashing


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `payload` is what came, in base64: MessagePack of events, or bytes that are no record."""

    id: str
    reason: str
    at_ns: int
    source: str
    payload: str


class Quarantine:
    """A directory of them. The same bytes from the same place are one file, so that a replay adds nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, payload: bytes, *, reason: str, source: str, at_ns: int) -> str:
        """Keep it and answer its id. Raises `OSError`."""
        name = hashing.content_hash(source.encode() + b"\0" + payload)[:32]
        entry = Quarantined(
            id=name, reason=reason, at_ns=at_ns, source=source, payload=base64.b64encode(payload).decode()
        )
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._directory / f"{name}.part"
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(entry))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._directory / f"{name}.json")
        return name

    def __len__(self) -> int:
        return sum(1 for _ in self._directory.glob("*.json"))

    def list(self, *, limit: int = 100) -> list[Quarantined]:
        """The newest first."""
        entries = []
        for path in self._directory.glob("*.json"):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                entries.append(msgspec.json.decode(path.read_bytes(), type=Quarantined))
        return sorted(entries, key=lambda entry: entry.at_ns, reverse=True)[:limit]
