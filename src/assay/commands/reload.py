"""`assay reload`."""

import typer

from assay.commands.connection import connect
from assay.kit.json import pretty


def reload(ctx: typer.Context) -> None:
    """Read assay.toml anew on a server that runs: providers, models, guards and tasks. No call is lost by it."""
    done = connect(ctx).post("/api/reload")
    if ctx.obj.json:
        typer.echo(pretty(done))
        return
    said = [
        f"{what} {how}: {', '.join(done[what][how])}"
        for what in ("providers", "models", "tasks")
        for how in ("added", "changed", "removed")
        if done[what][how]
    ]
    typer.echo("\n".join(said) or "Nothing has changed.")
    if done["needs_restart"]:
        typer.echo(f"[server] holds from the next start on: {', '.join(done['needs_restart'])}", err=True)
