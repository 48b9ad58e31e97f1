"""Where a command's client comes from."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import msgspec
import typer

from assay.errors import MissingExtra, Unauthorized
from assay.sdk.client import Client


class Invocation(msgspec.Struct):
    """What the options before the noun said; `typer.Context.obj` of every command."""

    url: str | None
    key: str | None
    data: Path
    json: bool
    serve: Callable[[Path], AbstractContextManager[Path]]
    """Opens a data directory in this process and gives the path of its socket."""
    project: str | None = None


def room(name: str, wanted: str) -> ModuleType:
    """A room of the server that a command uses in this process. Raises `MissingExtra` where only the client is installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("assay"):
            raise
        raise MissingExtra(wanted, extra="server") from error


def connect(ctx: typer.Context) -> Client:
    """The client of this command: `--url` with `--key`, else the data directory's own server, else one in this process.

    It is closed when the command ends.
    """
    call = ctx.ensure_object(Invocation)
    if call.url is not None:
        if not call.key:
            raise Unauthorized("A server at --url asks for a key", hint="Send --key, or set ASSAY_KEY.")
        client = Client(call.url, call.key, project=call.project)
    else:
        socket = ctx.with_resource(call.serve(call.data))
        client = Client("http://assay", socket=socket, project=call.project)
    ctx.call_on_close(client.close)
    return client
