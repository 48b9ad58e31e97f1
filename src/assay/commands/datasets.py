"""`assay datasets`."""

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from assay.commands.connection import connect
from assay.commands.printing import minute, print_rows
from assay.errors import BadRequest
from assay.kit.json import pretty

app = typer.Typer(help="Named examples in versions that never change.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The dataset's name.")]
Version = Annotated[int | None, typer.Option(help="Its number; the newest by default.")]


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every dataset."""
    items = list(connect(ctx).pages("/api/datasets"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (item["name"], f"v{item['version']}", str(item["cases"]), minute(item["changed"])) for item in items
    )
    print_rows("name", "version", "cases", "changed", rows=rows)


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """Show a dataset's versions, newest first."""
    found = connect(ctx).get(f"/api/datasets/{name}")
    if ctx.obj.json:
        typer.echo(pretty(found))
        return
    rows = (
        (
            f"v{item['version']}",
            str(item["cases"]),
            ", ".join(f"{part} {count}" for part, count in item["splits"].items()),
            item["hash"][:12],
            minute(item["created"]),
            item["actor"],
            item["notes"] or "",
        )
        for item in found["versions"]
    )
    print_rows("version", "cases", "splits", "content", "imported", "by", "notes", rows=rows)


@app.command("import")
def import_file(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="A .jsonl or .csv file.")],
    notes: Annotated[str | None, typer.Option(help="Why this version.")] = None,
) -> None:
    """Import a file: all of its lines, or none. The same cases again are the same version."""
    try:
        body = file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}") from error
    kind = "text/csv" if file.suffix.lower() == ".csv" else "application/x-ndjson"
    query = f"?{urlencode({'notes': notes})}" if notes else ""
    made = connect(ctx).post(f"/api/datasets/{name}/versions{query}", body, headers={"content-type": kind})
    known = "" if made["is_new"] else " (was there already)"
    typer.echo(pretty(made) if ctx.obj.json else f"{name} v{made['version']}: {made['cases']} cases{known}")


@app.command()
def export(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path | None, typer.Argument(help="Where to write; standard output by default.")] = None,
    version: Version = None,
) -> None:
    """Write a version as JSONL."""
    params = {} if version is None else {"version": version}
    with connect(ctx).download(f"/api/datasets/{name}/export", **params) as pieces:
        if file is None:
            sys.stdout.buffer.writelines(pieces)
            return
        with file.open("wb") as target:
            target.writelines(pieces)


@app.command()
def diff(
    ctx: typer.Context,
    name: Name,
    old: Annotated[int, typer.Argument(help="A version's number.")],
    new: Annotated[int, typer.Argument(help="A version's number.")],
) -> None:
    """Show which cases two versions do not share."""
    found = connect(ctx).get(f"/api/datasets/{name}/diff", old=old, new=new)
    if ctx.obj.json:
        typer.echo(pretty(found))
        return
    for sign, what in (("+", "added"), ("-", "removed"), ("~", "changed")):
        for case_id in found[what]:
            typer.echo(f"{sign} {case_id}")
