"""`assay releases`."""

from typing import Annotated, Any

import typer

from assay.commands.connection import connect
from assay.commands.printing import minute, print_rows
from assay.errors import BadRequest
from assay.kit.json import pretty

app = typer.Typer(help="Which variants serve a task, where, and since when.", no_args_is_help=True)

Task = Annotated[str, typer.Argument(help="The task.")]
Environment = Annotated[str, typer.Option(help="Where it serves.")]
Note = Annotated[str | None, typer.Option(help="Why; kept with the decision.")]


@app.command()
def show(ctx: typer.Context, task: Task, environment: Environment = "production") -> None:
    """Show what serves and what served before, newest first."""
    items = list(connect(ctx).pages(f"/api/tasks/{task}/releases/{environment}"))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (
            minute(each["at"]),
            _shares(each),
            each["actor"],
            each["note"] or ("rollback" if each["restores"] else ""),
        )
        for each in items
    )
    print_rows("since", "variants", "by", "note", rows=rows)


@app.command("set")
def set_release(
    ctx: typer.Context,
    task: Task,
    variants: Annotated[list[str], typer.Argument(help="Variants, with weights if several: v1=0.9 v2=0.1.")],
    environment: Environment = "production",
    note: Note = None,
) -> None:
    """Release one variant, or several by weight."""
    body = {"variants": dict(_weight(each) for each in variants), "note": note}
    _said(ctx, connect(ctx).put(f"/api/tasks/{task}/releases/{environment}", body))


@app.command()
def promote(
    ctx: typer.Context,
    comparison: Annotated[str, typer.Argument(help="The id of a comparison; its candidate is released.")],
    environment: Environment = "production",
    note: Note = None,
    force: Annotated[bool, typer.Option("--force", help="Against the verdicts; takes a --note.")] = False,
) -> None:
    """Release the candidate of a comparison if its verdicts speak for it; they are kept with the decision."""
    body = {"environment": environment, "note": note, "force": force}
    _said(ctx, connect(ctx).post(f"/api/comparisons/{comparison}/promote", body))


@app.command()
def rollback(
    ctx: typer.Context, task: Task, environment: Environment = "production", note: Note = None
) -> None:
    """Serve what served before the current release."""
    _said(ctx, connect(ctx).post(f"/api/tasks/{task}/releases/{environment}/rollback", {"note": note}))


def _said(ctx: typer.Context, made: dict[str, Any]) -> None:
    typer.echo(pretty(made) if ctx.obj.json else f"{made['task']} in {made['environment']}: {_shares(made)}")


def _shares(release: dict[str, Any]) -> str:
    return ", ".join(f"{variant} {share:.0%}" for variant, share in release["shares"].items())


def _weight(text: str) -> tuple[str, float]:
    name, _, weight = text.partition("=")
    try:
        return name, float(weight or 1)
    except ValueError as error:
        raise BadRequest(f"{text!r} is not variant=weight", hint="Write e.g. v1=0.9 v2=0.1.") from error
