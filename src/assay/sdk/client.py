"""Assay's HTTP API as a client sees it: over TCP with a key, or over the Unix socket of a data directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from assay import errors
from assay.kit import json

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class Client:
    """Calls `/api`. Errors of the server are raised again as the errors they were, with message and hint."""

    def __init__(
        self, url: str, key: str | None = None, *, socket: Path | None = None, project: str | None = None
    ) -> None:
        """`url` is where the server is; with `socket` the connection goes through that file and needs no key. `project`
        is for the socket, which opens every one; a key is of one project."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if project is not None:
            headers["x-assay-project"] = project
        transport = httpx.HTTPTransport(uds=str(socket)) if socket else None
        self.url = url
        self._http = httpx.Client(base_url=url, headers=headers, transport=transport, timeout=TIMEOUT)

    def get(self, path: str, **params: Any) -> Any:
        """GET; parameters that are None are left out."""
        return self._send(
            "GET", path, params={name: value for name, value in params.items() if value is not None}
        )

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """POST JSON, or bytes as they are."""
        return self._send("POST", path, params=params, body=body, headers=headers)

    def put(self, path: str, body: Any) -> Any:
        """PUT JSON."""
        return self._send("PUT", path, body=body)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH JSON."""
        return self._send("PATCH", path, body=body)

    def delete(self, path: str) -> Any:
        """DELETE."""
        return self._send("DELETE", path)

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """Every item of a paged list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **params)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    @contextmanager
    def download(self, path: str, **params: Any) -> Iterator[Iterator[bytes]]:
        """GET a long answer piece by piece."""
        with self._http.stream("GET", path, params=params) as response:
            if response.is_error:
                response.read()
                raise error_of(response)
            yield response.iter_bytes()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        content = body if isinstance(body, bytes | None) else json.encode(body)
        sent = {"content-type": "application/json", **(headers or {})} if content is not None else headers
        try:
            response = self._http.request(method, path, params=params, content=content, headers=sent)
        except httpx.TransportError as error:
            raise errors.Unavailable(
                f"{self.url} cannot be reached: {error}", hint="Is the server running? `assay up` starts it."
            ) from error
        if response.is_error:
            raise error_of(response)
        return json.decode(response.content) if response.content else None


def error_of(response: httpx.Response) -> errors.AssayError:
    """The error that the server sent, in its class by status."""
    try:
        body = json.decode(response.content)
        sent = body.get("error", body)  # OTLP's own shape has no "error" around it
        message, hint, param = str(sent["message"]), sent.get("hint"), sent.get("param")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        message, hint, param = f"HTTP {response.status_code}: {response.text[:300]}", None, None
    made = _BY_STATUS.get(response.status_code, errors.AssayError)(message, hint=hint)
    made.param, made.status = param, response.status_code
    if isinstance(made, errors.RateLimited | errors.Upstream):
        made.retry_after_s = _seconds(response.headers.get("retry-after"))
    return made


def _seconds(value: str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


_BY_STATUS: dict[int, type[errors.AssayError]] = {
    kind.status: kind
    for kind in (
        errors.BadRequest,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.Conflict,
        errors.TooLarge,
        errors.RateLimited,
        errors.Unavailable,
        errors.Upstream,
        errors.UpstreamTimeout,
    )
}
