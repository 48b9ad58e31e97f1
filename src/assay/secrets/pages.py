"""`/settings/secrets`."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Right
from assay.errors import AssayError
from assay.secrets.types import Secret
from assay.secrets.vault import Vault
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]


class SecretForm(msgspec.Struct):
    """What the form sends."""

    name: str = ""
    value: str = ""
    csrf_token: str = ""


class SecretsContext(msgspec.Struct):
    """What `secrets/secrets.html` shows."""

    secrets: list[Secret]
    unreadable: list[str]
    wanted: str
    problem: AssayError | None


@get("/settings/secrets", guards=[requires(Right.OPERATE)], include_in_schema=False, sync_to_thread=True)
def show_secrets(request: HttpRequest, vault: NamedDependency[Vault]) -> Response[str]:
    """The names of the secrets, and a form that sets one."""
    return _page(request, vault)


@post(
    "/settings/secrets",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def set_secret(
    request: HttpRequest, data: URLEncodedBody[SecretForm], vault: NamedDependency[Vault]
) -> Response[Any]:
    """Keep a secret; its value is on no later page."""
    try:
        vault.set(data.name.strip(), data.value)
    except AssayError as problem:
        return _page(request, vault, wanted=data.name, problem=problem)
    return Redirect("/settings/secrets", status_code=303)


@post(
    "/settings/secrets/{name:str}/remove",
    guards=[requires(Right.OPERATE)],
    include_in_schema=False,
    status_code=303,
    sync_to_thread=True,
)
def remove_secret(request: HttpRequest, name: FromPath[str], vault: NamedDependency[Vault]) -> Response[Any]:
    """Forget a secret and go back to the list."""
    try:
        vault.remove(name)
    except AssayError as problem:
        return _page(request, vault, problem=problem)
    return Redirect("/settings/secrets", status_code=303)


def _page(
    request: HttpRequest, vault: Vault, *, wanted: str = "", problem: AssayError | None = None
) -> Response[str]:
    context = SecretsContext(
        secrets=vault.list(), unreadable=list(vault.unreadable()), wanted=wanted, problem=problem
    )
    status = 200 if problem is None else problem.status
    return shell.page(request, "secrets/secrets.html", context, title=later("Secrets"), status=status)


handlers = [show_secrets, set_secret, remove_secret]
