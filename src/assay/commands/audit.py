"""`assay audit`."""

from itertools import islice
from typing import Annotated

import typer

from assay.commands.connection import connect
from assay.commands.printing import minute, print_rows
from assay.kit.json import pretty

app = typer.Typer(help="Who changed what, when, and from where.", no_args_is_help=True)


@app.callback()
def noun() -> None:
    """Who changed what, when, and from where."""


@app.command("list")
def list_all(
    ctx: typer.Context,
    actor: Annotated[str | None, typer.Option(help="Only what this person or key did.")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this, e.g. key.revoked, or key for all about keys.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this one, e.g. polish/production.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time, e.g. 2026-11-24T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="In every project.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many entries.")] = 50,
) -> None:
    """Show the newest entries of the log."""
    wanted = {"actor": actor, "action": action, "subject": subject, "since": since, "until": until}
    entries = list(islice(connect(ctx).pages("/api/audit", **wanted, everywhere=everywhere), limit))
    if ctx.obj.json:
        typer.echo(pretty({"items": entries, "next": None}))
        return
    rows = (
        (
            minute(each["at"]),
            each["actor"],
            each["address"] or each["via"],
            each["action"].replace(".", " ").replace("_", " "),
            each["subject"],
        )
        for each in entries
    )
    print_rows("at", "who", "from", "what", "which", rows=rows)
