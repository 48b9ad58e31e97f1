"""`assay upgrade`."""

from typing import Annotated

import typer

from assay.commands.connection import Invocation, room
from assay.kit.json import pretty


def upgrade(
    ctx: typer.Context,
    no_copy: Annotated[
        bool, typer.Option("--no-copy", help="Do not copy what was before: you have a backup.")
    ] = False,
) -> None:
    """Bring a data directory of an earlier release to this one's form. A server that starts does it by itself.

    Records in PostgreSQL are only upgraded by this command.
    """
    call = ctx.ensure_object(Invocation)
    done = room("assay.operations.upgrading", "Upgrading").upgrade(call.data, with_copy=not no_copy)
    if call.json:
        about = {
            "records": done.records,
            "spans": done.spans,
            "copy": None if done.copy is None else str(done.copy),
        }
        typer.echo(pretty(about))
        return
    if not done:
        typer.echo("Everything is in this release's form already.")
        return
    for what, step in (("records, revision", done.records), ("spans, layout", done.spans)):
        if step is not None:
            typer.echo(f"{what} {step[0]} → {step[1]}")
    if done.copy is not None:
        typer.echo(f"What was before is in {done.copy}.")
