"""`assay users`."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from assay.commands.connection import connect
from assay.commands.printing import minute, print_rows
from assay.errors import BadRequest
from assay.kit.json import pretty

app = typer.Typer(help="Accounts of people, and their roles in the project.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What its owner signs in with.")]
Ask = Annotated[bool, typer.Option("--ask", help="Ask for the password instead of making one.")]
Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Its owner need not choose another one at the first login.")
]


@app.command()
def add(
    ctx: typer.Context,
    name: Name,
    role: Annotated[
        str | None,
        typer.Option(help="viewer, editor or admin in the project; an admin of default runs the server."),
    ] = None,
    ask: Ask = False,
    password_stdin: Stdin = False,
    keep: Keep = False,
) -> None:
    """Make an account. Its password is made too and printed, this once, unless you give one."""
    body: dict[str, Any] = {"name": name, "must_change_password": not keep}
    if role is not None:
        body["role"] = role
    if (password := _password(ask=ask, stdin=password_stdin)) is not None:
        body["password"] = password
    _say_password(ctx, connect(ctx).post("/api/users", body))


@app.command("list")
def list_all(
    ctx: typer.Context,
    everywhere: Annotated[
        bool, typer.Option("--all", help="Every account, with its roles in all projects.")
    ] = False,
) -> None:
    """Show who has a role in the project."""
    items = list(connect(ctx).pages("/api/users", everywhere=everywhere))
    if ctx.obj.json:
        typer.echo(pretty({"items": items, "next": None}))
        return
    rows = (
        (
            user["name"],
            ", ".join(f"{project}: {role}" for project, role in user["roles"].items()) or "none",
            "disabled"
            if user["disabled"]
            else "new password due"
            if user["must_change_password"]
            else "active",
            minute(user["signed_in"]) if user["signed_in"] else "never",
        )
        for user in items
    )
    print_rows("name", "roles", "state", "signed in", rows=rows)


@app.command("set-password")
def set_password(
    ctx: typer.Context, name: Name, ask: Ask = False, password_stdin: Stdin = False, keep: Keep = False
) -> None:
    """Give an account another password, made here unless you give one, and end all of its logins."""
    body: dict[str, Any] = {"must_change_password": not keep}
    if (password := _password(ask=ask, stdin=password_stdin)) is not None:
        body["password"] = password
    _say_password(ctx, connect(ctx).put(f"/api/users/{name}/password", body))


@app.command()
def disable(ctx: typer.Context, name: Name) -> None:
    """Shut an account out at once."""
    _say(ctx, connect(ctx).post(f"/api/users/{name}/disable"), "may not sign in any more")


@app.command()
def enable(ctx: typer.Context, name: Name) -> None:
    """Let a disabled account in again."""
    _say(ctx, connect(ctx).post(f"/api/users/{name}/enable"), "may sign in again")


@app.command()
def role(
    ctx: typer.Context,
    name: Name,
    role: Annotated[str, typer.Argument(help="viewer, editor, admin, or none to take it away.")],
) -> None:
    """Give an account a role in the project, another one, or none."""
    client, path = connect(ctx), f"/api/users/{name}/role"
    if role == "none":
        _say(ctx, client.delete(path), "has no role in the project any more")
    else:
        _say(ctx, client.put(path, {"role": role}), f"is {role} in the project")


def _password(*, ask: bool, stdin: bool) -> str | None:
    if ask and stdin:
        raise BadRequest("--ask and --password-stdin exclude each other")
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if ask:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return None


def _say_password(ctx: typer.Context, user: dict[str, Any]) -> None:
    if ctx.obj.json:
        typer.echo(pretty(user))
        return
    if "password" in user:
        typer.echo(user["password"])
        Console(stderr=True).print(
            f"[dim]The password of {user['name']}. Keep it now: it is not shown again.[/dim]", highlight=False
        )
    else:
        typer.echo(f"{user['name']} has this password now.")


def _say(ctx: typer.Context, user: dict[str, Any], what: str) -> None:
    typer.echo(pretty(user) if ctx.obj.json else f"{user['name']} {what}.")
