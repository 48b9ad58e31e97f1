"""The command `assay`."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import assay
from assay.commands import (
    audit,
    backup,
    batches,
    cache,
    datasets,
    demo,
    doctor,
    eval,
    keys,
    limits,
    models,
    projects,
    prompts,
    releases,
    reload,
    secrets,
    storage,
    tasks,
    traces,
    upgrade,
    users,
)
from assay.commands.connection import Invocation
from assay.directory import find_socket
from assay.errors import AssayError, MissingExtra
from assay.settings import Settings, load

if TYPE_CHECKING:
    from assay.server import Started

USAGE, FAILURE = 64, 70
"""Exit codes for a command that was called wrongly and for one that could not do its work (sysexits.h)."""

app = typer.Typer(
    help="Choose, adapt, evaluate, deploy and watch language models, with evidence behind each decision.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for noun in (
    audit,
    batches,
    cache,
    datasets,
    eval,
    keys,
    limits,
    models,
    projects,
    prompts,
    releases,
    secrets,
    storage,
    tasks,
    traces,
    users,
):
    app.add_typer(noun.app, name=noun.__name__.rpartition(".")[2])
app.command()(demo.demo)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(upgrade.upgrade)
app.command()(doctor.doctor)
app.command()(reload.reload)

_USAGE_ERROR: type[typer.BadParameter] = typer.BadParameter.__mro__[1]  # its own name for it is private
errors_console = Console(stderr=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assay {assay.__version__}")
        raise typer.Exit


@app.callback()
def before(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar="ASSAY_URL", help="A server elsewhere, e.g. https://assay.example.")
    ] = None,
    key: Annotated[str | None, typer.Option(envvar="ASSAY_KEY", help="The key for it.")] = None,
    data: Annotated[Path, typer.Option(envvar="ASSAY_DATA", help="The data directory to work on.")] = Path(
        ".assay"
    ),
    project: Annotated[
        str | None,
        typer.Option(envvar="ASSAY_PROJECT", help="The project to work in; a key has its own."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    ctx.obj = Invocation(url=url, key=key, data=data, json=json, serve=_serve, project=project)


@app.command()
def up(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data: Annotated[str | None, typer.Option(help="Directory that holds everything Assay keeps.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file instead of ./assay.toml.")] = None,
    durability: Annotated[str | None, typer.Option(help="grouped or strict.")] = None,
) -> None:
    """Start the server: gateway, API and pages on one port."""
    server = _server("A server in this process")
    chosen = {"host": host, "port": port, "data": data or str(ctx.obj.data), "durability": durability}
    settings = _settings(config, chosen)
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for noisy in ("uvicorn.error", "alembic", "dbos"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    server.run(settings, config, on_ready=_announce)


def main() -> None:
    """The entry point: errors that a person can mend are said in one line, with an exit code."""
    try:
        result = app(standalone_mode=False)
    except _USAGE_ERROR as error:
        error.show()
        sys.exit(USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except AssayError as error:
        errors_console.print(f"[bold red]error:[/] {_plain(error.message)}", soft_wrap=True, highlight=False)
        if error.hint:
            errors_console.print(f"       {_plain(error.hint)}", soft_wrap=True, highlight=False)
        sys.exit(FAILURE)
    sys.exit(result if isinstance(result, int) else 0)


def _plain(text: str) -> str:
    """Rich would take brackets in a message for markup."""
    return text.replace("[", r"\[")


def _announce(started: "Started") -> None:
    out = Console(soft_wrap=True, highlight=False)
    out.print(f"[bold]Assay[/] {assay.__version__} is at [link={started.url}]{started.url}[/link]")
    if started.app.new_admin_key is not None:
        out.print(f"Admin key, shown this once: [bold]{started.app.new_admin_key}[/]")
    out.print(f"[dim]Any OpenAI client: base_url={started.url}/v1. Stop with Ctrl+C.[/]")


@contextmanager
def _serve(data: Path) -> Iterator[Path]:
    if (found := find_socket(data)) is not None:
        yield found
        return
    server = _server("Working on a data directory, without --url,")
    with server.serving(_settings(None, {"data": str(data)}), None) as socket:
        yield socket


def _server(wanted: str) -> ModuleType:
    """The room that starts servers: a client of one elsewhere is installed without what it needs."""
    try:
        return import_module("assay.server")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("assay"):
            raise
        raise MissingExtra(wanted, extra="server") from error


def _settings(config: Path | None, chosen: Mapping[str, object]) -> Settings:
    """Needs the server's extra too."""
    from assay.catalog import load_config

    return load(chosen=chosen, environ=os.environ, file=load_config(config).server)
