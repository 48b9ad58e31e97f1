"""`assay cache`."""

from typing import Annotated

import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.printing import print_rows
from assay.errors import BadRequest
from assay.kit.json import pretty

app = typer.Typer(help="Answers that are told again instead of being paid again.", no_args_is_help=True)


@app.command()
def show(
    ctx: typer.Context,
    days: Annotated[int, typer.Option(help="How far back to count what it saved.", min=1, max=400)] = 7,
) -> None:
    """Show what lies in the cache, and what it saved."""
    found = connect(ctx).get("/api/cache", days=days)
    if ctx.obj.json:
        typer.echo(pretty(found))
        return
    rows = (
        (
            each["model"],
            f"{each['hits']:,}",
            f"{each['misses']:,}",
            f"{each['saved_usd']:.6f}"
            if each["hits"] > each["unpriced"]
            else "unknown"
            if each["hits"]
            else "",
            f"{each['saved_input_tokens'] + each['saved_output_tokens']:,}",
        )
        for each in found["models"]
    )
    print_rows("model", "hits", "misses", "saved USD", "saved tokens", rows=rows)
    text = f"{found['entries']:,} answers lie there, {found['bytes'] / 2**20:.1f} MiB; figures of the last {days} days."
    Console(stderr=True).print(f"[dim]{text}[/dim]")


@app.command()
def clear(
    ctx: typer.Context, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Forget every answer of the project."""
    if not yes:
        if ctx.obj.json:
            raise BadRequest("Clearing the cache is asked about", hint="Say --yes.")
        typer.confirm("Forget every answer of this project? The next calls are paid again.", abort=True)
    done = connect(ctx).delete("/api/cache")
    typer.echo(pretty(done) if ctx.obj.json else f"{done['removed']:,} answers are forgotten.")
