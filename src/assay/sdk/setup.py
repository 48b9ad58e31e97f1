"""`init` and its kin: the beginning and the end."""

import logging
from collections.abc import Callable
from typing import Any

from opentelemetry import trace as api

from assay.sdk import running
from assay.sdk.configuration import configure
from assay.sdk.running import Running, Status

logger = logging.getLogger("assay")


def init(
    url: str | None = None,
    key: str | None = None,
    *,
    environment: str | None = None,
    service: str | None = None,
    capture: bool = True,
    mask: Callable[[str], str] | None = None,
    join: bool = True,
    make_global: bool = False,
    keep: Callable[[Any], bool] | None = None,
    max_value_bytes: int = 131_072,
    max_spans: int = 20_000,
    max_buffer_bytes: int = 64 * 1024 * 1024,
    interval_s: float = 1.0,
    timeout_s: float = 10.0,
    exit_timeout_s: float = 5.0,
) -> None:
    """Begin to send spans, scores and requests to the server at `url`. Call it once, when the application starts.

    Without `url` and `key`, ASSAY_URL and ASSAY_KEY say where; without either the SDK is off: everything still works and
    nothing is recorded. Neither a wrong address nor a server that is away is noticed here. Raises `BadRequest` for
    arguments that cannot be meant.

    - `environment`, `service`: what the spans say of themselves (else ASSAY_ENVIRONMENT, OTEL_SERVICE_NAME).
    - `capture=False` keeps arguments and results off the spans; `mask` rewrites their JSON text, e.g. to take out names.
    - `join`: let an OpenTelemetry SDK that the application has set up make the spans, and hear of all that it makes
      (`keep` chooses which). With False, Assay's spans stay apart from it. `make_global` makes Assay the provider that
      other instrumentation finds; leave it when the application sets up one of its own.
    - `max_value_bytes` cuts one captured value, `max_spans` and `max_buffer_bytes` bound what waits for the server, for
      spans and for scores; what comes beyond is counted as dropped.
    - `interval_s`: how often is sent; `timeout_s`: how long one request may take; `exit_timeout_s`: how long the end of the
      process may wait for what is left.
    """
    configuration = configure(
        url,
        key,
        environment=environment,
        service=service,
        capture=capture,
        mask=mask,
        join=join,
        make_global=make_global,
        keep=keep,
        max_value_bytes=max_value_bytes,
        max_spans=max_spans,
        max_buffer_bytes=max_buffer_bytes,
        interval_s=interval_s,
        timeout_s=timeout_s,
        exit_timeout_s=exit_timeout_s,
    )
    before = running.current()
    if configuration is None:
        logger.warning("Assay is off: give assay.init url and key, or set ASSAY_URL and ASSAY_KEY.")
    elif before is not None and before.configuration == configuration:
        return
    running.replace(None if configuration is None else Running(configuration))


def flush(timeout_s: float = 10.0) -> bool:
    """Send what was recorded up to here, and wait; whether all of it was settled in time. For the end of a short-lived
    function; a process that ends by itself does it on its own."""
    on = running.current()
    return True if on is None else on.outbox.flush(timeout_s)


def shutdown() -> None:
    """Send what is left, within `exit_timeout_s`, and be off. Happens by itself when the process ends."""
    running.replace(None)


def status() -> Status:
    """What was recorded, delivered and dropped, and whether the server can be reached."""
    on = running.current()
    return Status() if on is None else on.status()


def tracer_provider() -> api.TracerProvider:
    """The OpenTelemetry provider whose spans come to Assay, for instrumentation that takes one:
    `LangChainInstrumentor().instrument(tracer_provider=assay.tracer_provider())`. Records nothing when the SDK is off."""
    on = running.current()
    if on is None:
        return api.NoOpTracerProvider()
    return on.joined or on.provider
