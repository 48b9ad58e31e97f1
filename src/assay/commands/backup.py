"""`assay backup` and `assay restore`."""

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer
from rich.console import Console

from assay.commands.connection import Invocation, connect, room
from assay.errors import Unusable
from assay.kit.json import pretty

_PIECE = 1 << 20


def backup(
    ctx: typer.Context,
    target: Annotated[
        Path, typer.Argument(help="A file that ends with .tar, or a directory that is not there or empty.")
    ],
    with_models: Annotated[
        bool, typer.Option("--with-models", help="Weights too; else `assay models pull` brings them again.")
    ] = False,
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="The key of the secrets too: keep such a backup as safe as them."),
    ] = False,
) -> None:
    """Make a backup of a server, running or not, and check it."""
    restoring = room("assay.operations.restoring", "Checking a backup")
    part = _fresh(target)
    try:
        with connect(ctx).download("/api/backup", models=with_models, key=with_key) as pieces:
            _write(pieces, part, as_file=target.suffix == ".tar")
        manifest = restoring.verify(part)
        part.replace(target)
    except BaseException:
        _remove(part)
        raise
    _report(ctx, f"{target} holds", manifest)


def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(help="What `assay backup` made.")],
    check: Annotated[bool, typer.Option("--check", help="Only compare it with its checksums.")] = False,
) -> None:
    """Make the data directory (`--data`) from a backup. One that is not empty is refused."""
    call = ctx.ensure_object(Invocation)
    restoring = room("assay.operations.restoring", "Restoring a backup")
    if check:
        _report(ctx, f"{source} is whole:", restoring.verify(source))
        return
    manifest = restoring.restore(source, call.data)
    _report(ctx, f"{call.data} holds", manifest)


def _fresh(target: Path) -> Path:
    """Where to write until it is whole."""
    if target.exists() and (not target.is_dir() or target.suffix == ".tar" or any(target.iterdir())):
        raise Unusable(
            f"{str(target)!r} is there already", hint="Choose another name; nothing is written over."
        )
    part = target.with_name(f"{target.name}.part")
    _remove(part)
    return part


def _write(pieces: Iterator[bytes], part: Path, *, as_file: bool) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    if as_file:
        with part.open("xb") as file:
            part.chmod(0o600)
            for piece in pieces:
                file.write(piece)
        return
    part.mkdir(mode=0o700)
    with tarfile.open(fileobj=cast("IO[bytes]", _Read(pieces)), mode="r|") as archive:
        archive.extractall(part, filter="data")


class _Read:
    """Pieces as a file that is read from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        while len(self._left) < size and (piece := next(self._pieces, b"")):
            self._left += piece
        found, self._left = self._left[:size], self._left[size:]
        return found


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part)
    with suppress(FileNotFoundError):
        part.unlink()


def _report(ctx: typer.Context, head: str, manifest: Any) -> None:
    size = sum(entry.bytes for entry in manifest.files.values())
    if ctx.obj.json:
        about = {
            "made": manifest.made,
            "version": manifest.version,
            "files": len(manifest.files),
            "bytes": size,
            "records": manifest.records,
            "has_key": manifest.has_key,
        }
        typer.echo(pretty(about))
        return
    typer.echo(f"{head} {len(manifest.files)} files, {size / 2**20:,.1f} MiB, as of {manifest.made}.")
    hints = Console(stderr=True, highlight=False)
    if manifest.records != "sqlite":
        hints.print("[yellow]The records are in PostgreSQL and not in it: back them up with pg_dump.[/]")
    if manifest.key is not None and not manifest.has_key:
        hints.print(
            f"[dim]The key of its secrets ({manifest.key}) is not in it: keep secret.key or ASSAY_SECRET_KEY.[/]"
        )
