"""`assay traces`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assay.commands.connection import connect
from assay.errors import BadRequest
from assay.kit.json import decode, pretty

app = typer.Typer(help="What happened: calls and what led to them.", no_args_is_help=True)

_MOST_SHOWN = 2000


@app.command("list")
def list_all(
    ctx: typer.Context,
    last: Annotated[str, typer.Option(help="How far back: 15m, 24h, 7d.")] = "24h",
    model: Annotated[str | None, typer.Option()] = None,
    task: Annotated[str | None, typer.Option()] = None,
    variant: Annotated[str | None, typer.Option()] = None,
    status: Annotated[str | None, typer.Option(help="ok, error, cut, cancelled or blocked.")] = None,
    user: Annotated[str | None, typer.Option()] = None,
    session: Annotated[str | None, typer.Option()] = None,
    run: Annotated[str | None, typer.Option(help="The id of an evaluation run.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", "-q", help="Text in names, previews and errors.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
) -> None:
    """Show traces, newest first."""
    page = connect(ctx).get(
        "/api/traces", last=last, model=model, task=task, variant=variant, status=status, user=user, session=session,
        run=run, q=search, limit=limit,
    )  # fmt: skip
    if ctx.obj.json:
        typer.echo(pretty(page))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("trace", no_wrap=True, min_width=32)
    table.add_column("started", no_wrap=True, min_width=11)
    table.add_column("model", no_wrap=True, overflow="ellipsis", min_width=5, max_width=16)
    table.add_column("ms", no_wrap=True, justify="right", min_width=4)
    table.add_column("USD", no_wrap=True, justify="right", min_width=7)
    table.add_column("", no_wrap=True)
    table.add_column("asked", no_wrap=True, overflow="ellipsis")
    for trace in page["items"]:
        table.add_row(*map(escape, _columns(trace)))
    Console().print(table)
    if page["next"]:
        Console(stderr=True).print("[dim]There are more: narrow it down, or raise --limit.[/dim]")


@app.command()
def show(
    ctx: typer.Context, trace_id: Annotated[str, typer.Argument(help="See `assay traces list`.")]
) -> None:
    """Show a trace: its spans, what went in and what came out."""
    client = connect(ctx)
    trace = client.get(f"/api/traces/{trace_id}")
    while trace["next"] is not None:
        more = client.get(f"/api/traces/{trace_id}", cursor=trace["next"])
        trace["spans"] += more["spans"]
        trace["next"] = more["next"]
    if ctx.obj.json:
        typer.echo(pretty(trace))
        return
    console = Console()
    for span in trace["spans"]:
        _print_span(console, span)
    for score in trace["scores"]:
        console.print(
            f"score {escape(score['name'])} = {escape(str(score['value']))} ({score['source']})", style="cyan"
        )


@app.command("import")
def import_file(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A .jsonl file with a request a line, or one request as .json.")
    ],
) -> None:
    """Import spans from a file of OpenTelemetry's JSON, as its file exporters write it. Importing it again changes nothing."""
    client = connect(ctx)
    taken = refused = 0
    for number, request in _requests(file):
        try:
            answer = client.post("/v1/traces", request, headers={"x-assay-imported": "true"})
        except BadRequest as error:
            raise BadRequest(
                f"{file}, line {number}: {error.message}",
                hint=f"{taken} spans before it are kept; once the line is mended, import the file again.",
            ) from error
        partial = answer.get("partialSuccess") or {}
        lost = int(partial.get("rejectedSpans", 0))
        taken, refused = taken + _count(request) - lost, refused + lost
        if lost:
            typer.echo(f"line {number}: {partial.get('errorMessage')}", err=True)
    counts = {"imported": taken, "refused": refused}
    typer.echo(pretty(counts) if ctx.obj.json else f"{taken} spans imported, {refused} refused")
    if refused:
        raise typer.Exit(1)


def _requests(file: Path) -> Iterator[tuple[int, bytes]]:
    """The requests of a file, each with the number of its line."""
    try:
        if file.suffix.lower() == ".json":
            yield 1, file.read_bytes()
            return
        with file.open("rb") as lines:
            yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}") from error


def _count(request: bytes) -> int:
    """How many spans a request has that the server could read."""
    groups = decode(request).get("resourceSpans") or ()
    scoped = (inner for group in groups for inner in group.get("scopeSpans") or ())
    return sum(len(inner.get("spans") or ()) for inner in scoped)


def _columns(trace: dict[str, Any]) -> list[str]:
    is_unknown = trace["calls"] and trace["cost_unknown"] == trace["calls"]
    cost = (
        "unknown"
        if is_unknown
        else f"{trace['cost_known_usd']:.6g}" + (" + ?" if trace["cost_unknown"] else "")
    )
    return [
        trace["trace_id"],
        trace["start"][5:16].replace("T", " "),
        trace["model"] or "",
        f"{trace['duration_ms']:.0f}",
        cost,
        "✗" if trace["errors"] else "",
        _visible(trace["input"]),
    ]


def _print_span(console: Console, span: dict[str, Any]) -> None:
    head = f"{span['kind']} {_visible(span['name'])} · {span['status']} · {span['duration_ms']:.0f} ms"
    console.print(escape(head + _cost(span)), style="bold" if span["status"] == "ok" else "bold red")
    if span["error"]:
        console.print(escape(_visible(f"  {span['error']['type']}: {span['error']['message']}")), style="red")
    for label, messages in (("in", span["input"]), ("out", span["output"])):
        for message in messages:
            text = message if isinstance(message, str) else pretty(message)
            console.print(escape(f"  {label}: {_visible(text)[:_MOST_SHOWN]}"))


def _cost(span: dict[str, Any]) -> str:
    """Calls cost something, known or not; one that another span tells of as well is counted there."""
    is_call = span["kind"] in ("model", "embedding", "rerank")
    if is_call and not span["counted"]:
        return " · counted in another span"
    if span["cost_usd"] is None:
        return " · unknown cost" if is_call else ""
    return f" · {span['cost_usd']} USD"


def _visible(text: str) -> str:
    """What a model wrote must not steer the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
