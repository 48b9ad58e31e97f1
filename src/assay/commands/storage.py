"""`assay storage` and `assay traces purge`: what is kept, for how long, and taking it out."""

import time
from typing import Annotated, Any

import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.printing import print_rows
from assay.commands.traces import app as traces
from assay.errors import AssayError, BadRequest
from assay.kit.json import pretty
from assay.sdk.client import Client

app = typer.Typer(help="What is kept of calls and traces, and for how long.", no_args_is_help=True)

_FOREVER = "forever"
_DAYS = f"A number of days, or {_FOREVER!r}."
_POLL_S = 0.2


@app.command()
def show(ctx: typer.Context) -> None:
    """Show what is kept, day by day, and the disk that it takes."""
    kept = connect(ctx).get("/api/storage")
    if ctx.obj.json:
        typer.echo(pretty(kept))
        return
    rows = (
        (
            f"{line['day']}{' imported' if line['imported'] else ''}",
            f"{line['spans']:,}",
            _mib(line["bytes"]) if line["is_sealed"] else "",
            _mib(line["content_bytes"]) if line["is_sealed"] else "",
            "open" if not line["is_sealed"] else "whole" if line["has_content"] else "figures only",
        )
        for line in kept["days"]
    )
    print_rows("arrived", "spans", "rows MiB", "content MiB", "state", rows=rows)
    if (server := kept["server"]) is not None:
        used = server["hot_bytes"] + server["sealed_bytes"] + server["content_bytes"]
        limit = f" of {_mib(server['limit_bytes'])}" if server["limit_bytes"] else ""
        Console(stderr=True).print(f"[dim]All projects: {_mib(used)}{limit} MiB.[/dim]")


@app.command()
def retention(
    ctx: typer.Context,
    content_days: Annotated[str | None, typer.Option(help=f"How long messages stay. {_DAYS}")] = None,
    row_days: Annotated[
        str | None, typer.Option(help=f"How long rows with their figures stay. {_DAYS}")
    ] = None,
    imports: Annotated[
        bool | None, typer.Option("--imports/--no-imports", help="Whether imported traces are treated alike.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Leave it to the server's settings.")] = False,
) -> None:
    """Show how long the project keeps what it is told, or choose it."""
    client = connect(ctx)
    given = [content_days, row_days, imports]
    if default:
        if any(each is not None for each in given):
            raise BadRequest("--default goes alone", param="default")
        chosen = client.delete("/api/retention")
    else:
        chosen = client.get("/api/retention")
        if any(each is not None for each in given):
            body = {
                "content_days": _days("--content-days", content_days, chosen["content_days"]),
                "row_days": _days("--row-days", row_days, chosen["row_days"]),
                "imports": chosen["imports"] if imports is None else imports,
            }
            chosen = client.put("/api/retention", body)
    if ctx.obj.json:
        typer.echo(pretty(chosen))
        return
    source = "the server's default" if chosen["is_default"] else "chosen by the project"
    typer.echo(f"content: {_said(chosen['content_days'])}; rows: {_said(chosen['row_days'])} ({source}).")
    typer.echo("Imported traces are treated alike." if chosen["imports"] else "Imported traces stay.")


@traces.command()
def purge(
    ctx: typer.Context,
    older_than: Annotated[
        int | None, typer.Option(metavar="DAYS", help="What arrived more than so many days ago.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DAY", help="What arrived before this day (UTC).")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Every trace in which this user appears.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All of the project.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only counted.")] = False,
) -> None:
    """Take traces, their messages and scores out for good. Counts first; --yes does it."""
    client = connect(ctx)
    body: dict[str, Any] = {"everything": everything, "confirm": yes}
    named = {"older_than_days": older_than, "before": before, "user": user}
    body |= {name: value for name, value in named.items() if value is not None}
    counted = client.post("/api/traces/purge", body)
    if yes:
        _wait(client, counted["job_id"])
    if ctx.obj.json:
        typer.echo(pretty(counted))
        return
    what = (
        f"{counted['traces']:,} traces with {counted['spans']:,} spans, {counted['scores']:,} scores, "
        f"{counted['messages']:,} messages ({_mib(counted['message_bytes'])} MiB)"
    )
    typer.echo(f"Gone: {what}." if yes else f"Would go: {what}.")
    if not yes:
        Console(stderr=True).print("[dim]Nothing was taken. Add --yes to do it.[/dim]")


def _wait(client: Client, job_id: str) -> None:
    while True:
        job = client.get(f"/api/jobs/{job_id}")
        if job["status"] == "succeeded":
            return
        if job["status"] in ("failed", "cancelled"):
            said = (job["error"] or {}).get("message", "")
            raise AssayError(f"The purge {job['status']}. {said}", hint=f"See the job {job_id}.")
        time.sleep(_POLL_S)


def _days(option: str, given: str | None, before: int | None) -> int | None:
    if given is None:
        return before
    if given == _FOREVER:
        return None
    try:
        return int(given)
    except ValueError as error:
        raise BadRequest(f"{option} is {given!r}", param=option, hint=_DAYS) from error


def _said(days: int | None) -> str:
    return "for ever" if days is None else "1 day" if days == 1 else f"{days} days"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f}"
