"""`assay prompts`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from assay.commands.connection import connect
from assay.commands.printing import minute, print_rows
from assay.errors import BadRequest
from assay.kit.json import decode, pretty

app = typer.Typer(help="Named templates, their versions and labels.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The prompt's name.")]


@app.command()
def push(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="A template, or a .json file with a list of messages.")],
    label: Annotated[list[str] | None, typer.Option(help="Also point this label at it.")] = None,
    notes: Annotated[str | None, typer.Option(help="Why this version.")] = None,
) -> None:
    """Save a prompt; the same content again is the same version."""
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{file} cannot be read: {error}") from error
    body: dict[str, Any] = {"name": name, "notes": notes, "labels": label or []}
    body |= {"messages": decode(text)} if file.suffix == ".json" else {"template": text}
    made = connect(ctx).post("/api/prompts", body)
    known = "" if made["is_new"] else " (was there already)"
    typer.echo(pretty(made) if ctx.obj.json else f"{name} v{made['version']}  {made['hash'][:12]}{known}")


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every prompt."""
    items = list(connect(ctx).pages("/api/prompts"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (
            item["name"],
            f"v{item['latest']}",
            ", ".join(f"{mark} → v{version}" for mark, version in item["labels"].items()),
            minute(item["changed"]),
        )
        for item in items
    )
    print_rows("name", "latest", "labels", "changed", rows=rows)


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show a prompt's versions, newest first."""
    found = connect(ctx).get(f"/api/prompts/{name}")
    if ctx.obj.json:
        typer.echo(pretty(found))
        return
    for version in found["versions"]:
        marks = [mark["label"] for mark in found["labels"] if mark["version"] == version["version"]]
        typer.echo(
            f"v{version['version']}  {version['hash'][:12]}  {version['created']}  {' '.join(marks)}".rstrip()
        )
        for message in version.get("messages") or [{"role": "user", "content": version.get("template", "")}]:
            typer.echo(f"  [{message['role']}]")
            typer.echo("".join(f"    {line}\n" for line in message["content"].splitlines()), nl=False)


@app.command()
def diff(
    ctx: typer.Context,
    name: Name,
    old: Annotated[str, typer.Argument(help="A version's number or hash.")],
    new: Annotated[str, typer.Argument(help="A version's number or hash.")],
) -> None:
    """Show what changed between two versions."""
    answer = connect(ctx).get(f"/api/prompts/{name}/diff", old=old, new=new)
    typer.echo(pretty(answer) if ctx.obj.json else answer["diff"], nl=ctx.obj.json)


@app.command()
def label(
    ctx: typer.Context,
    name: Name,
    label: Annotated[str, typer.Argument(help="E.g. production.")],
    version: Annotated[str, typer.Argument(help="A version's number or hash.")],
) -> None:
    """Point a label at a version."""
    moved = connect(ctx).post(f"/api/prompts/{name}/labels", {"label": label, "version": version})
    typer.echo(pretty(moved) if ctx.obj.json else f"{name}: {label} → v{moved['version']}")
