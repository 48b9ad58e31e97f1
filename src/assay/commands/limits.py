"""`assay limits`."""

from typing import Annotated, Any

import typer

from assay.commands.connection import connect
from assay.commands.printing import print_rows
from assay.kit.json import pretty

app = typer.Typer(help="Limits and budgets of the project, its keys, users and tags.", no_args_is_help=True)

Requests = Annotated[int | None, typer.Option("--requests", help="Requests a minute.")]
Tokens = Annotated[int | None, typer.Option("--tokens", help="Tokens a minute, in and out.")]
Concurrent = Annotated[int | None, typer.Option(help="Calls at once.")]
Usd = Annotated[str | None, typer.Option(help="A budget in dollars, with --period.")]
Period = Annotated[str | None, typer.Option(help="day, month or total.")]


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every limit and how much of it is used just now."""
    items = list(connect(ctx).pages("/api/limits"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    print_rows(
        "id",
        "whose",
        "allowed",
        "used most",
        rows=((one["id"], _whose(one), _allowed(one), _used(one)) for one in items),
    )


@app.command("set")
def set_limit(
    ctx: typer.Context,
    per: Annotated[str, typer.Argument(help="project, key, user or tag.")],
    name: Annotated[
        str | None, typer.Argument(help="The key's id, the user or the tag. Without one: each of them.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Count only calls of this model.")] = None,
    requests: Requests = None,
    tokens: Tokens = None,
    concurrent: Concurrent = None,
    usd: Usd = None,
    period: Period = None,
) -> None:
    """Set a limit; it holds from the next call on."""
    body = {"per": per, "name": name, "model": model, **allowed(requests, tokens, concurrent, usd, period)}
    made = connect(ctx).post("/api/limits", body)
    typer.echo(pretty(made) if ctx.obj.json else f"{_whose(made)}: {_allowed(made)} ({made['id']}).")


@app.command()
def change(
    ctx: typer.Context,
    limit_id: Annotated[str, typer.Argument(help="See `assay limits list`.")],
    requests: Requests = None,
    tokens: Tokens = None,
    concurrent: Concurrent = None,
    usd: Usd = None,
    period: Period = None,
) -> None:
    """Allow more or less: what is said here replaces all that was allowed."""
    changed = connect(ctx).put(f"/api/limits/{limit_id}", allowed(requests, tokens, concurrent, usd, period))
    typer.echo(pretty(changed) if ctx.obj.json else f"{_whose(changed)}: {_allowed(changed)}.")


@app.command()
def remove(
    ctx: typer.Context, limit_id: Annotated[str, typer.Argument(help="See `assay limits list`.")]
) -> None:
    """Take a limit away."""
    gone = connect(ctx).delete(f"/api/limits/{limit_id}")
    typer.echo(pretty(gone) if ctx.obj.json else f"Removed: {_whose(gone)}, {_allowed(gone)}.")


def allowed(
    requests: int | None, tokens: int | None, concurrent: int | None, usd: str | None, period: str | None
) -> dict[str, Any]:
    """The fields of a body."""
    body: dict[str, Any] = {
        "requests_per_minute": requests,
        "tokens_per_minute": tokens,
        "concurrent": concurrent,
    }
    if usd is not None or period is not None:
        body["budget"] = {"usd": usd or "0", "period": period or "month"}
    return body


def _whose(limit: dict[str, Any]) -> str:
    per, name = limit["per"], limit["name"]
    whose = "project" if per == "project" else f"{per} {name}" if name else f"each {per}"
    return f"{whose}, model {limit['model']}" if limit["model"] else whose


def _allowed(limit: dict[str, Any]) -> str:
    said = [
        f"{limit[name]} {words}"
        for name, words in (
            ("requests_per_minute", "requests/min"),
            ("tokens_per_minute", "tokens/min"),
            ("concurrent", "at once"),
        )
        if limit[name] is not None
    ]
    if limit["budget"]:
        said.append(
            f"${limit['budget']['usd']} {'in all' if limit['budget']['period'] == 'total' else 'a ' + limit['budget']['period']}"
        )
    return ", ".join(said)


def _used(limit: dict[str, Any]) -> str:
    if not limit["meters"]:
        return "nothing"
    most = limit["meters"][0]
    share = f"{most['used']:.0%}"
    spent = f", ${most['spent_usd']:.6g} spent" if limit["budget"] else ""
    return f"{share}{' by ' + most['name'] if most['name'] else ''}{spent}"
