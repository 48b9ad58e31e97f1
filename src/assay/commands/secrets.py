"""`assay secrets`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.printing import minute, print_rows
from assay.errors import BadRequest
from assay.kit.json import pretty

app = typer.Typer(
    help="Secrets of the server, such as keys of providers: encrypted, never shown again.",
    no_args_is_help=True,
)


@app.command("set")
def set_value(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it; the configuration says secret:NAME.")],
    file: Annotated[Path | None, typer.Option(help="Read the value from a file.")] = None,
) -> None:
    """Keep a secret. The value is asked for, or read from standard input or a file: never from the command line."""
    value = _read(file)
    kept = connect(ctx).put(f"/api/secrets/{name}", {"value": value})
    typer.echo(pretty(kept) if ctx.obj.json else f'Kept. Refer to it as "secret:{kept["name"]}".')


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show which secrets there are, without their values."""
    kept = connect(ctx).get("/api/secrets")
    if ctx.obj.json:
        typer.echo(pretty(kept))
        return
    rows = ((item["name"], minute(item["created"]), minute(item["changed"])) for item in kept["items"])
    print_rows("name", "set", "changed", rows=rows)


@app.command()
def remove(
    ctx: typer.Context, name: Annotated[str, typer.Argument(help="See `assay secrets list`.")]
) -> None:
    """Forget a secret for good."""
    connect(ctx).delete(f"/api/secrets/{name}")
    if not ctx.obj.json:
        typer.echo(f"Forgotten: {name}.")


@app.command()
def rotate(ctx: typer.Context) -> None:
    """Seal every secret with a new key. With ASSAY_SECRET_KEY="new,old" that is the first of them."""
    done = connect(ctx).post("/api/secrets/rotate")
    typer.echo(pretty(done) if ctx.obj.json else f"{done['secrets']} secrets are sealed with the new key.")
    if not ctx.obj.json:
        Console(stderr=True).print("[dim]Backups made before need the old key.[/dim]")


def _read(file: Path | None) -> str:
    try:
        if file is not None:
            return file.read_text(encoding="utf-8")
        if sys.stdin.isatty():
            return str(typer.prompt("Value", hide_input=True))
        return sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"The value cannot be read: {error}", param="file") from error
