"""Everything that is not `/v1`: the control plane's API and the pages, as one Litestar app made of the rooms' handlers."""

import copy
import functools
import ipaddress
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litestar import Litestar, MediaType, Request, Response
from litestar.concurrency import sync_to_thread
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.serialization import default_serializer
from litestar.types import ControllerRouterHandler, Empty, Serializer
from litestar.types.asgi_types import ASGIApp, Receive, Scope, Send
from litestar.utils import is_async_callable

import assay
from assay import errors
from assay.access import guards
from assay.errors import AssayError
from assay.kit import ids, json
from assay.snapshot import SnapshotSource
from assay.ui import language, shell

log = logging.getLogger(__name__)

_REQUEST_ID = "x-request-id"


def build(
    *,
    handlers: Sequence[ControllerRouterHandler],
    dependencies: Mapping[str, object],
    snapshot: SnapshotSource,
    surroundings: shell.Shell,
    max_body_bytes: int,
) -> Litestar:
    """The app. `dependencies` are long-lived things that handlers receive by these names; `principal` comes with them."""
    provided = {
        name: Provide(_always(value), sync_to_thread=False, use_cache=True)
        for name, value in dependencies.items()
    }
    return Litestar(
        route_handlers=[_in_a_thread(handler) for handler in handlers],
        request_class=_Asked,
        response_class=_Answer,
        dependencies={**provided, "principal": Provide(guards.principal, sync_to_thread=False)},
        guards=[guards.signed_in],
        before_request=language.listen,
        exception_handlers={
            AssayError: _refuse,
            ValidationException: _invalid,
            HTTPException: _http,
            OverflowError: _out_of_range,
            Exception: _unexpected,
        },
        openapi_config=OpenAPIConfig(
            title="Assay",
            version=assay.__version__,
            path="/api",
            render_plugins=[],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"key": []}],
            use_handler_docstrings=True,
        ),
        state=State({"snapshot": snapshot, "shell": surroundings}),
        request_max_body_size=max_body_bytes,
        logging_config=None,
    )


def _in_a_thread(handler: ControllerRouterHandler) -> ControllerRouterHandler:
    """The handler with its `sync_to_thread` done here.

    Litestar 2 registers a handler again for each further method on its path, and each time wraps a synchronous function
    anew, after which it answers with a coroutine (litestar#4738, mended in 3 only). An async function it leaves alone.
    """
    if (
        not isinstance(handler, HTTPRouteHandler)
        or not handler.sync_to_thread
        or is_async_callable(handler.fn)
    ):
        return handler
    function = handler.fn

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await sync_to_thread(function, *args, **kwargs)

    threaded = copy.copy(handler)
    threaded._fn = call
    return threaded


class _Asked(Request[Any, Any, Any]):
    """A request whose unreadable body is its sender's mistake; Litestar lets these two through as failures of ours."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except RecursionError as error:
            raise errors.BadRequest(
                "The body nests too deeply", hint="No request here needs more than some levels of nesting."
            ) from error
        except UnicodeDecodeError as error:
            raise errors.BadRequest(f"The body is not UTF-8: {error}", hint="Send JSON in UTF-8.") from error


class _Answer(Response[Any]):
    """What a handler returns, as JSON with money as numbers; Litestar by itself writes decimals as text."""

    def render(self, content: Any, media_type: str, enc_hook: Serializer = default_serializer) -> bytes:
        if media_type == MediaType.JSON and not isinstance(content, bytes | str) and content is not Empty:
            return json.encode(content)
        return super().render(content, media_type, enc_hook)


class HostCheck:
    """Refuses a browser that was led here under a foreign name (DNS rebinding). Requests with a key are no browser's."""

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        self._app = app
        self._allowed = {"localhost", *(name.strip().lower() for name in allowed if name.strip())}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_allowed(scope):
            refused = errors.Forbidden(
                "This host name is not one of this server's", hint="Add it to the setting allowed_hosts."
            )
            response = Response(_body(refused, None), status_code=403, media_type=MediaType.JSON)
            await response.to_asgi_response(None, Request(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Any) -> bool:
        if scope.get("state", {}).get(guards.SOCKET_FLAG):
            return True
        headers = dict(scope["headers"])
        if b"authorization" in headers or b"x-api-key" in headers:
            return True
        name = _host_name(headers.get(b"host", b"").decode("latin-1"))
        return name in self._allowed or _is_address(name)


def _host_name(host: str) -> str:
    """`Host` without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def _is_address(name: str) -> bool:
    """A browser that shows an address was led by no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _always(value: object) -> Callable[[], object]:
    return lambda: value


def _refuse(request: Request[Any, Any, Any], error: AssayError) -> Response[Any]:
    """The one error shape on `/api`, a page elsewhere; a person who has not signed in is shown the door."""
    request_id = ids.uuid7()
    if _wants_json(request):
        headers = {_REQUEST_ID: request_id}
        if isinstance(error, errors.RateLimited | errors.Unavailable):
            headers["retry-after"] = str(round(getattr(error, "retry_after_s", None) or 1))
        return Response(
            _body(error, request_id), status_code=error.status, media_type=MediaType.JSON, headers=headers
        )
    if request.method == "GET" and isinstance(error, errors.Unauthorized | errors.PasswordDue):
        login = shell.url("/login", next=None if request.url.path == "/" else _here(request))
        location = login if isinstance(error, errors.Unauthorized) else "/settings"
        return Response(b"", status_code=303, headers={"location": location, "cache-control": "no-store"})
    return shell.error_page(request, error, request_id=request_id)


def _invalid(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """A body or a parameter that Litestar could not convert: the first field that is wrong is the `param`."""
    extra = error.extra if isinstance(error.extra, list) else []
    first: dict[str, Any] = extra[0] if extra and isinstance(extra[0], dict) else {}
    param, said = first.get("key"), first.get("message") or error.detail
    text = f"{param}: {said}" if param else str(said)
    return _refuse(
        request, errors.BadRequest(text, param=param, hint="See /api/openapi.json for what this takes.")
    )


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if error.status_code in (404, 405) and not _wants_json(request):
        return shell.error_page(request, status=error.status_code, request_id=ids.uuid7())
    kind = _BY_STATUS.get(error.status_code, errors.BadRequest if error.status_code < 500 else AssayError)
    hint = "See /api/openapi.json for what there is." if error.status_code in (404, 405) else None
    message = f"{request.method} {request.url.path}: {error.detail}"
    made = kind(message, hint=hint)
    made.status = error.status_code
    return _refuse(request, made)


def _out_of_range(request: Request[Any, Any, Any], error: OverflowError) -> Response[Any]:
    """A number of the query, a cursor or the body that no column can hold."""
    log.warning("%s %s: %s", request.method, request.url.path, error)
    return _refuse(
        request,
        errors.BadRequest("A number is out of range", hint="Whole numbers have at most 64 bits here."),
    )


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    request_id = ids.uuid7()
    log.error("%s %s failed (request %s)", request.method, request.url.path, request_id, exc_info=error)
    made = AssayError(
        f"Something went wrong in Assay: {type(error).__name__}",
        hint="Its log says more under this request id.",
    )
    if _wants_json(request):
        return Response(
            _body(made, request_id),
            status_code=500,
            media_type=MediaType.JSON,
            headers={_REQUEST_ID: request_id},
        )
    return shell.error_page(request, status=500, request_id=request_id)


def _body(error: AssayError, request_id: str | None) -> bytes:
    shaped: dict[str, Any] = {
        "type": error.type,
        "message": error.message,
        "hint": error.hint,
        "param": error.param,
        "request_id": request_id,
    }
    if isinstance(error, errors.InvalidRows):
        shaped["rows"] = [{"line": line, "message": message} for line, message in error.rows]
    return json.encode({"error": shaped})


def _wants_json(request: Request[Any, Any, Any]) -> bool:
    return request.url.path.startswith(("/api/", "/v1/")) or request.url.path in (
        "/healthz",
        "/readyz",
        "/metrics",
    )


def _here(request: Request[Any, Any, Any]) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


_BY_STATUS: dict[int, type[AssayError]] = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    429: errors.RateLimited,
}
