"""`assay doctor`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from assay.commands.connection import Invocation, connect, room
from assay.directory import find_socket
from assay.errors import AssayError
from assay.kit import json
from assay.sdk.client import Client

NOT_WELL = 1
"""The exit code when something fails."""

_LOOKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


def doctor(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="Configuration file instead of ./assay.toml, of a server that does not run."),
    ] = None,
) -> None:
    """Say what is wrong and what to do: disk, port, clock, permissions, records, spans, weights, providers and their keys.

    Asks the server of the data directory when one runs, else looks at the directory itself; changes nothing. The exit code
    is 1 when something fails.
    """
    findings = _findings(ctx, config)
    states = {finding["state"] for finding in findings}
    state = next((each for each in ("fail", "warn") if each in states), "ok")
    if ctx.obj.json:
        typer.echo(json.pretty({"state": state, "findings": findings}))
    else:
        _print(findings)
    if state == "fail":
        raise typer.Exit(NOT_WELL)


def _findings(ctx: typer.Context, config: Path | None) -> list[dict[str, Any]]:
    call = ctx.ensure_object(Invocation)
    if call.url is not None:
        found: list[dict[str, Any]] = connect(ctx).get("/api/doctor")["findings"]
        return found
    silent: list[dict[str, Any]] = []
    socket = find_socket(call.data)
    if socket is not None:
        client = Client("http://assay", socket=socket)
        try:
            return list(client.get("/api/doctor")["findings"])
        except AssayError as error:
            silent.append(
                {
                    "area": "server",
                    "state": "fail",
                    "message": f"The server that holds {call.data} does not answer: {error.message}",
                    "hint": "Look at its log, and restart it.",
                }
            )
        finally:
            client.close()
    examined = room("assay.operations.doctor", "An examination of a data directory").examine(
        call.data, config_path=config, running=None if socket is None else ""
    )
    return [*silent, *json.decode(json.encode(examined))]


def _print(findings: list[dict[str, Any]]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(f"{_LOOKS[finding['state']]} {escape(finding['area'])}: {escape(finding['message'])}")
        if finding["hint"] and finding["state"] != "ok":
            console.print(f"     [dim]→ {escape(finding['hint'])}[/]")
    count = {state: sum(finding["state"] == state for finding in findings) for state in _LOOKS}
    console.print(f"\n{count['ok']} ok, {count['warn']} to look at, {count['fail']} failing.")
