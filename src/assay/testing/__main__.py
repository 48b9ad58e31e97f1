"""`python -m assay.testing --port 8701 --script script.toml`: a simulated provider to point any OpenAI client at."""

import threading
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from assay.errors import AssayError
from assay.providers.simulated import Simulation, parse_script
from assay.testing.server import SimulatedServer


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8701,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    script: Annotated[Path | None, typer.Option(help="TOML file with the fields of a script.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="One field, e.g. answer=echo; repeat for more.")
    ] = None,
) -> None:
    """Serve a simulated provider in OpenAI's wire format until interrupted."""
    options: dict[str, Any] = tomllib.loads(script.read_text()) if script else {}
    for pair in option or []:
        name, _, value = pair.partition("=")
        options[name] = _value(value)
    try:
        with (
            suppress(KeyboardInterrupt),
            SimulatedServer(Simulation(parse_script(options)), host=host, port=port) as server,
        ):
            typer.echo(f"A simulated provider listens. OPENAI_BASE_URL={server.url}")
            threading.Event().wait()
    except AssayError as error:
        typer.echo(f"{error.message}\n{error.hint or ''}".rstrip(), err=True)
        raise typer.Exit(64) from error


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


if __name__ == "__main__":
    typer.run(serve)
