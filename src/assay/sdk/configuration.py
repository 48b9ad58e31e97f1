"""What `assay.init` was told, completed from the environment."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import msgspec

from assay.errors import BadRequest

UNKNOWN = "unknown_service"
"""OpenTelemetry's name for an application that says none."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The settings of one `assay.init`. Sizes are bytes, times seconds."""

    url: str
    key: str
    environment: str | None = None
    service: str = UNKNOWN
    resource: dict[str, str] = {}
    capture: bool = True
    mask: Callable[[str], str] | None = None
    join: bool = True
    make_global: bool = False
    keep: Callable[[Any], bool] | None = None
    max_value_bytes: int = 131_072
    max_spans: int = 20_000
    max_buffer_bytes: int = 64 * 1024 * 1024
    interval_s: float = 1.0
    timeout_s: float = 10.0
    exit_timeout_s: float = 5.0

    @cached_property
    def origin(self) -> tuple[str, str, int | None]:
        """Scheme, host and port of the server: what tells its requests from those to anybody else."""
        parts = urlsplit(self.url)
        return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)

    @property
    def authorization(self) -> dict[str, str]:
        """The headers of every request of the SDK's own."""
        sent = {"authorization": f"Bearer {self.key}"}
        if self.environment is not None:
            sent["x-assay-environment"] = self.environment
        return sent


_PORTS = {"http": 80, "https": 443}
_POSITIVE = ("max_value_bytes", "max_spans", "max_buffer_bytes", "interval_s", "timeout_s", "exit_timeout_s")


def configure(
    url: str | None,
    key: str | None,
    *,
    environment: str | None = None,
    service: str | None = None,
    environ: Mapping[str, str] = os.environ,
    **options: Any,
) -> Configuration | None:
    """Complete what the caller left out from ASSAY_URL, ASSAY_KEY, ASSAY_ENVIRONMENT and OpenTelemetry's own variables.

    None when there is no server to send to, or OTEL_SDK_DISABLED says so. Raises `BadRequest` for an argument that cannot
    be meant.
    """
    url, key = url or environ.get("ASSAY_URL"), key or environ.get("ASSAY_KEY")
    if not url or not key or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    _check(url, key, options)
    resource = _resource(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    return Configuration(
        url=url.rstrip("/"),
        key=key,
        environment=environment or environ.get("ASSAY_ENVIRONMENT"),
        service=service or environ.get("OTEL_SERVICE_NAME") or resource.pop("service.name", UNKNOWN),
        resource=resource,
        **options,
    )


def _check(url: str, key: str, options: Mapping[str, Any]) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise BadRequest(
            f"{url!r} is no address of a server",
            param="url",
            hint="E.g. http://127.0.0.1:8700, without /v1.",
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise BadRequest("The key has characters that no key has", param="key")
    for name in _POSITIVE:
        if name in options and not options[name] > 0:
            raise BadRequest(f"{name} is {options[name]!r} and must be above 0", param=name)


def _resource(text: str) -> dict[str, str]:
    """`name=value,…`, as OpenTelemetry writes it; what does not look so is left out."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}
