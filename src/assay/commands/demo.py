"""`assay demo`."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from assay.errors import MissingExtra

NEEDED = ("litestar", "xllamacpp", "openai")


def demo(
    ctx: typer.Context,
    serve: Annotated[bool, typer.Option(help="Leave the server up at the end.")] = True,
    data: Annotated[
        Path | None, typer.Option(help="Data directory; default: the one before the noun.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8700,
) -> None:
    """Play the whole loop on a real local model: evaluate two prompts, decide with evidence, release, call."""
    if not all(find_spec(name) for name in NEEDED):
        raise MissingExtra("The demo", extra="demo")
    import_module("assay.demo.screen").play(data or ctx.obj.data, port=port, stay=serve)
