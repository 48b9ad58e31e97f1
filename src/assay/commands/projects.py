"""`assay projects`."""

from typing import Annotated, Any

import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.printing import day, print_rows
from assay.kit.json import pretty

app = typer.Typer(help="Projects: what is kept strictly apart.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The project's id, e.g. shop.")]


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show the projects that are open to you."""
    items = list(connect(ctx).pages("/api/projects"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (
            each["id"],
            each["name"],
            each["role"] or "",
            f"archived {day(each['archived'])}" if each["archived"] else day(each["created"]),
        )
        for each in items
    )
    print_rows("id", "name", "your role", "made", rows=rows)


@app.command()
def create(
    ctx: typer.Context,
    project: Id,
    name: Annotated[str | None, typer.Option(help="A name for people; the id without one.")] = None,
    admin_key: Annotated[
        bool, typer.Option("--admin-key", help="Make its first admin key too, and print it, this once.")
    ] = False,
) -> None:
    """Make a project."""
    body = {"id": project, "name": name, "admin_key": admin_key}
    made: dict[str, Any] = connect(ctx).post("/api/projects", body)
    if ctx.obj.json:
        typer.echo(pretty(made))
    elif admin_key:
        typer.echo(made["key"])
        Console(stderr=True).print(
            f"[dim]Admin key of the project {made['id']}. Keep it now: it is not shown again.[/dim]"
        )
    else:
        typer.echo(f"Made the project {made['id']}.")


@app.command()
def rename(
    ctx: typer.Context, project: Id, name: Annotated[str, typer.Argument(help="The new name for people.")]
) -> None:
    """Give a project another name; its id stays."""
    _say(ctx, connect(ctx).patch(f"/api/projects/{project}", {"name": name}), f"is called {name!r}")


@app.command()
def archive(ctx: typer.Context, project: Id) -> None:
    """Close a project: its keys open no more and nobody enters it. Nothing is deleted."""
    _say(ctx, connect(ctx).post(f"/api/projects/{project}/archive"), "is archived")


@app.command()
def restore(ctx: typer.Context, project: Id) -> None:
    """Open an archived project again."""
    _say(ctx, connect(ctx).post(f"/api/projects/{project}/restore"), "is open again")


def _say(ctx: typer.Context, project: dict[str, Any], what: str) -> None:
    typer.echo(pretty(project) if ctx.obj.json else f"The project {project['id']} {what}.")
