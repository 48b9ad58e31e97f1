"""`assay keys`."""

from typing import Annotated, Any

import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.limits import Concurrent, Period, Requests, Tokens, Usd, allowed
from assay.commands.printing import day, print_rows
from assay.kit.json import pretty

app = typer.Typer(help="Keys that applications and people use.", no_args_is_help=True)


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[str, typer.Option(help="app, viewer, editor or admin.")] = "app",
    environment: Annotated[str | None, typer.Option(help="Bind the key to one environment.")] = None,
    requests: Requests = None,
    tokens: Tokens = None,
    concurrent: Concurrent = None,
    usd: Usd = None,
    period: Period = None,
) -> None:
    """Make a key and print its secret, this once. Its limits and budget can be changed with `assay limits`."""
    body: dict[str, Any] = {"name": name, "role": role}
    if environment is not None:
        body["environment"] = environment
    limits = allowed(requests, tokens, concurrent, usd, period)
    body |= {"budget": limits.pop("budget", None)}
    if any(value is not None for value in limits.values()):
        body["limits"] = limits
    made = connect(ctx).post("/api/keys", body)
    if ctx.obj.json:
        typer.echo(pretty(made))
        return
    typer.echo(made["key"])
    Console(stderr=True).print(
        f"[dim]{made['role']} key, id {made['id']}. Keep it now: it is not shown again.[/dim]"
    )


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every key, without the secrets."""
    items = list(connect(ctx).pages("/api/keys"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (
            key["id"],
            key["name"],
            f"{key['role']} in {key['environment']}" if key["environment"] else key["role"],
            key["prefix"],
            f"revoked {day(key['revoked'])}" if key["revoked"] else day(key["created"]),
        )
        for key in items
    )
    print_rows("id", "name", "role", "begins with", "created", rows=rows)


@app.command()
def revoke(
    ctx: typer.Context, key_id: Annotated[str, typer.Argument(help="The key's id; see `assay keys list`.")]
) -> None:
    """End a key for good; it is refused at once."""
    gone = connect(ctx).delete(f"/api/keys/{key_id}")
    typer.echo(pretty(gone) if ctx.obj.json else f"Revoked {gone['name']} ({gone['id']}).")
