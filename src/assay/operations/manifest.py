"""What a backup holds: a list of files with their checksums, which comes last, so that a backup cut short has none."""

from pathlib import PurePosixPath

import msgspec

from assay.errors import Unusable
from assay.kit import json

NAME = "manifest.json"
FORMAT = 1


class Entry(msgspec.Struct, frozen=True):
    """One file."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole backup. `records` says where the records are: in it (`sqlite`) or elsewhere (`postgresql`); `key` is the
    fingerprint of the key that opens the secrets in it, and `has_key` whether it lies in the backup too."""

    format: int
    version: str
    made: str
    records: str
    last_span: int
    key: str | None
    has_key: bool
    files: dict[str, Entry]


def read_manifest(text: bytes) -> Manifest:
    """The manifest of a backup. Raises `Unusable` for one that this release cannot read."""
    try:
        found = json.decode(text)
        if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > FORMAT:
            raise Unusable(
                f"The backup has format {found['format']}, this Assay knows {FORMAT}",
                hint="Restore it with the release that made it, or a newer one.",
            )
        return msgspec.convert(found, Manifest)
    except msgspec.MsgspecError as error:
        raise Unusable(f"{NAME} is not a backup's: {error}", hint="Choose another backup.") from error


def check_name(name: str) -> str:
    """The same name, if it stays inside the directory that it is unpacked into. Raises `Unusable`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise Unusable(f"The backup holds a file {name!r}, which would lie outside of the data directory")
    return name


def check(manifest: Manifest, found: dict[str, Entry]) -> None:
    """Raise `Unusable` naming what is missing, changed or too much."""
    problems = [
        f"{name} is {'missing' if name not in found else 'damaged'}"
        for name, entry in sorted(manifest.files.items())
        if found.get(name) != entry
    ]
    problems += [f"{name} is not in the manifest" for name in sorted(found.keys() - manifest.files.keys())]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise Unusable(
            f"The backup is not as it was made: {'; '.join(problems[:3])}{more}",
            hint="Choose another backup.",
        )
