"""`assay tasks`."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.printing import print_rows
from assay.errors import BadRequest
from assay.kit.json import decode, pretty

app = typer.Typer(help="Named jobs that applications ask of models.", no_args_is_help=True)


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every task with its variants."""
    items = list(connect(ctx).pages("/api/tasks"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (task["name"], ", ".join(task["inputs"]), ", ".join(each["name"] for each in task["variants"]))
        for task in items
    )
    print_rows("task", "inputs", "variants", rows=rows)


@app.command()
def show(ctx: typer.Context, name: Annotated[str, typer.Argument(help="The task.")]) -> None:
    """Show one task: what its variants say and what serves."""
    client = connect(ctx)
    task = client.get(f"/api/tasks/{name}")
    serving = client.get(f"/api/tasks/{name}/releases")["items"]
    if ctx.obj.json:
        typer.echo(pretty({**task, "releases": serving}))
        return
    console = Console()
    for each in task["variants"]:
        console.rule(f"{each['name']}: {each['model']} {each['parameters'] or ''}", align="left")
        messages = each["messages"] or [{"role": "user", "content": each["template"]}]
        for message in messages:
            console.print(f"{message['role']}:", style="dim")
            console.print(message["content"], markup=False, highlight=False)
    for each in task["guards"]:
        console.print(f"guard {each['name']}: {each['action']} {each['check']}, {each['on']}", markup=False)
    for each in serving:
        shares = ", ".join(f"{variant} {share:.0%}" for variant, share in each["shares"].items())
        console.print(f"{each['environment']}: {shares} (by {each['actor']}, {each['at']})", markup=False)


@app.command()
def guards(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The task.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A JSON file with the list that takes the place of all its guards; - is standard input."
        ),
    ] = None,
) -> None:
    """Show what looks at a task's calls, or say what shall from now on."""
    client = connect(ctx)
    if file is None:
        made = client.get(f"/api/tasks/{name}")["guards"]
    else:
        text = typer.get_text_stream("stdin").read() if str(file) == "-" else _text(file)
        made = client.patch(f"/api/tasks/{name}", {"guards": _list(text)})["guards"]
    if ctx.obj.json:
        typer.echo(pretty(made))
        return
    print_rows(
        "guard",
        "check",
        "on",
        "action",
        rows=((each["name"], each["check"], each["on"], each["action"]) for each in made),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{str(file)!r} cannot be read: {error}", param="file") from error


def _list(text: str) -> Any:
    try:
        return decode(text)
    except msgspec.DecodeError as error:
        raise BadRequest(
            f"That is not JSON: {error}",
            param="file",
            hint='Write e.g. [{"check": "pii", "action": "redact"}].',
        ) from error


@app.command()
def call(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The task.")],
    inputs: Annotated[
        list[str] | None, typer.Argument(help="Inputs as name=value; a value that is JSON is read as JSON.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="The session that the call belongs to.")] = None,
    environment: Annotated[str | None, typer.Option(help="The environment whose release answers.")] = None,
) -> None:
    """Do a task once and print its answer."""
    body = {
        "inputs": dict(_input(each) for each in inputs or ()),
        "session": session,
        "environment": environment,
    }
    answer = connect(ctx).post(f"/api/tasks/{name}/calls", body)
    typer.echo(pretty(answer) if ctx.obj.json else answer["output"])


def _input(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BadRequest(f"{text!r} is not name=value", hint="Write e.g. text='She no went to the market.'")
    try:
        return name, decode(value)
    except msgspec.DecodeError:
        return name, value
