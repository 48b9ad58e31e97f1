"""`assay batches`."""

import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from assay.commands.connection import connect
from assay.commands.printing import print_rows
from assay.errors import BadRequest
from assay.kit.json import pretty

app = typer.Typer(help="Files of calls that are made in the background.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The batch's id.")]
POLL_S = 0.5
ENDED = ("completed", "failed", "expired", "cancelled")


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every batch, newest first."""
    items = list(connect(ctx).pages("/api/batches"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = ((item["id"], item["status"], _progress(item), _short(item["endpoint"])) for item in items)
    print_rows("batch", "status", "done", "endpoint", rows=rows)


@app.command()
def show(ctx: typer.Context, batch: Id) -> None:
    """Show how far a batch is, or what is wrong with its input."""
    _print(ctx, connect(ctx).get(f"/api/batches/{batch}"))


@app.command()
def create(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A .jsonl file: custom_id, method, url and body a line.")],
    endpoint: Annotated[str, typer.Option(help="What its lines ask for.")] = "/v1/chat/completions",
    concurrency: Annotated[int | None, typer.Option(help="How many calls run at once.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the answers; implies --wait.")
    ] = None,
) -> None:
    """Start a batch. With --wait, one that does not complete ends with exit code 1."""
    try:
        body = file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}") from error
    asked: dict[str, Any] = {"endpoint": endpoint, "name": file.name}
    if concurrency is not None:
        asked["concurrency"] = concurrency
    client = connect(ctx)
    made = client.post(
        f"/api/batches?{urlencode(asked)}", body, headers={"content-type": "application/x-ndjson"}
    )
    while (wait or output is not None) and made["status"] not in ENDED:
        time.sleep(POLL_S)
        made = client.get(f"/api/batches/{made['id']}")
    if output is not None and made["output_file_id"] is not None:
        with client.download(f"/api/batches/{made['id']}/output") as pieces, output.open("wb") as target:
            target.writelines(pieces)
    _print(ctx, made)
    if (wait or output is not None) and made["status"] != "completed":
        raise typer.Exit(1)


@app.command()
def cancel(ctx: typer.Context, batch: Id) -> None:
    """Stop a batch; what is answered is kept."""
    _print(ctx, connect(ctx).post(f"/api/batches/{batch}/cancel"))


@app.command()
def answers(
    ctx: typer.Context,
    batch: Id,
    errors: Annotated[bool, typer.Option("--errors", help="The lines without an answer instead.")] = False,
) -> None:
    """Write the answers of a batch that has ended, as JSONL."""
    with connect(ctx).download(f"/api/batches/{batch}/{'errors' if errors else 'output'}") as pieces:
        sys.stdout.buffer.writelines(pieces)


def _print(ctx: typer.Context, batch: dict[str, Any]) -> None:
    if ctx.obj.json:
        typer.echo(pretty(batch))
        return
    cost = "" if batch["cost_usd"] is None else f", {Decimal(str(batch['cost_usd'])):f} USD"
    typer.echo(f"{batch['id']}: {batch['status']}, {_progress(batch)} at {batch['endpoint']}{cost}")
    for problem in batch["problems"]:
        place = "" if problem["line"] is None else f"line {problem['line']}: "
        typer.echo(f"  {place}{problem['message']}")


def _short(endpoint: str) -> str:
    return endpoint.removeprefix("/v1/")


def _progress(batch: dict[str, Any]) -> str:
    failed = f", {batch['failed']} failed" if batch["failed"] else ""
    return f"{batch['completed'] + batch['failed']} of {batch['total']}{failed}"
