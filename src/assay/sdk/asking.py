"""Requests that the application waits for: prompts and tasks. Unlike telemetry, their failures are raised."""

import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import httpx
import msgspec

from assay import errors
from assay.kit import json
from assay.sdk.client import error_of
from assay.sdk.configuration import Configuration


class Asking:
    """Connections to the server of one `assay.init`. The synchronous one is kept open and may be used by many threads."""

    def __init__(self, configuration: Configuration, headers: Callable[[], Mapping[str, str]]) -> None:
        """`headers` is asked for each request: the trace and labels it belongs to."""
        self._configuration = configuration
        self._own = headers
        self._http: httpx.Client | None = None

    def get(self, path: str, timeout_s: float) -> Any:
        """The JSON of an answer. Raises the server's errors as they were, `Unavailable` when it cannot be reached."""
        response = _good(self._send("GET", path, None, timeout_s))
        try:
            return json.decode(response.content)
        except msgspec.DecodeError as error:
            raise errors.Upstream(
                f"{self._configuration.url}{path} answered something that is no JSON"
            ) from error

    def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float) -> httpx.Response:
        """A good answer, whole. Part of the current trace."""
        return _good(self._send("POST", path, json.encode(body), timeout_s))

    async def apost(self, path: str, body: Mapping[str, Any], *, timeout_s: float) -> httpx.Response:
        """The same for async code. A connection of its own each time: one that is kept belongs to one event loop."""
        async with httpx.AsyncClient(verify=_tls(), timeout=_timeout(timeout_s)) as http:
            try:
                response = await http.post(
                    self._configuration.url + path, content=json.encode(body), headers=self._headers()
                )
            except httpx.TransportError as error:
                raise self._away(error) from error
        return _good(response)

    def forget(self) -> None:
        """In a forked child: the parent's connections are the parent's."""
        self._http = None

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _send(self, method: str, path: str, content: bytes | None, timeout_s: float) -> httpx.Response:
        if self._http is None:
            self._http = httpx.Client(verify=_tls())
        try:
            return self._http.request(
                method,
                self._configuration.url + path,
                content=content,
                headers=self._headers(),
                timeout=_timeout(timeout_s),
            )
        except httpx.TransportError as error:
            raise self._away(error) from error

    def _headers(self) -> dict[str, str]:
        return {**self._own(), **self._configuration.authorization, "content-type": "application/json"}

    def _away(self, error: Exception) -> errors.Unavailable:
        return errors.Unavailable(
            f"{self._configuration.url} cannot be reached: {error or type(error).__name__}",
            hint="Is the server running? `assay up` starts it.",
        )


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes tens of milliseconds; once is enough."""
    return httpx.create_ssl_context()


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, 5.0))


def _good(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise error_of(response)
    return response
