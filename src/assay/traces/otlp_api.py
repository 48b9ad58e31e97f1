"""`POST /v1/traces`: telemetry of any OpenTelemetry SDK or collector, by OTLP over HTTP.

Errors are OTLP's own here (`google.rpc.Status`), in the encoding of the request, since exporters read nothing else.
"""

from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException

from assay.access.authentication import environment_of
from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.errors import AssayError, Forbidden, NotFound, RateLimited, Unavailable, UnsupportedMediaType
from assay.kit.names import check_name
from assay.settings import Settings
from assay.spans import Collector, Spool
from assay.traces import otlp_bodies, otlp_intake
from assay.traces.otlp import Sender
from assay.traces.otlp_bodies import Format, format_of

HttpRequest = Request[Any, Any, Any]
_RETRY_AFTER_S = 5


def _refuse(request: HttpRequest, error: Exception) -> Response[bytes]:
    """The failure as OTLP says it; what OTLP does not say is the hint, so it is part of the message."""
    if isinstance(error, AssayError):
        status, message = error.status, f"{error.message.rstrip('.')}. {error.hint or ''}".strip()
    elif isinstance(error, HTTPException):
        status, message = error.status_code, error.detail
    else:
        status, message = 500, f"Something went wrong in Assay: {type(error).__name__}"
        request.logger.error("POST /v1/traces failed", exc_info=error)
    try:
        format = format_of(request.headers.get("content-type", ""))
    except UnsupportedMediaType:
        format = Format.JSON
    headers = {"retry-after": str(_RETRY_AFTER_S)} if isinstance(error, RateLimited | Unavailable) else {}
    return Response(
        otlp_bodies.failure(format, status, message), status_code=status, media_type=format, headers=headers
    )


_ON_ERROR: Any = {AssayError: _refuse, HTTPException: _refuse, Exception: _refuse}


@post("/v1/traces", guards=[requires(Right.SEND)], status_code=200, exception_handlers=_ON_ERROR)
async def take_traces(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    spool: NamedDependency[Spool],
    collector: NamedDependency[Collector],
    settings: NamedDependency[Settings],
) -> Response[bytes]:
    """Keep spans sent by OTLP, in protobuf or JSON, plain or compressed (gzip, deflate, zstd). They are on the medium
    when this answers.

    Spans that cannot be used are named in `partialSuccess` and lie in quarantine; the others are kept. 400: nothing in it
    can be used. 503 with Retry-After: send it again.
    """
    format = format_of(request.headers.get("content-type", ""))
    taken = await otlp_intake.take(
        await request.body(),
        format=format,
        encoding=request.headers.get("content-encoding", ""),
        sender=_sender(request, principal),
        spool=spool,
        quarantine=collector.quarantine,
        max_body_bytes=int(settings.max_body_mb * 2**20),
        keep_content=settings.content == "full",
    )
    return Response(
        otlp_bodies.success(format, rejected=taken.refused, message=taken.message), media_type=format
    )


@post("/v1/logs", guards=[requires(Right.SEND)], exception_handlers=_ON_ERROR, include_in_schema=False)
async def take_logs() -> None:
    """Not taken yet."""
    raise NotFound(
        "Logs are not taken in yet",
        hint="Send traces to /v1/traces, and switch the logs exporter off: OTEL_LOGS_EXPORTER=none.",
    )


@post("/v1/metrics", guards=[requires(Right.SEND)], exception_handlers=_ON_ERROR, include_in_schema=False)
async def take_metrics() -> None:
    """Not taken yet."""
    raise NotFound(
        "Metrics are not taken in yet",
        hint="Send traces to /v1/traces, and switch the metrics exporter off: OTEL_METRICS_EXPORTER=none.",
    )


def _sender(request: HttpRequest, principal: Principal) -> Sender:
    """The key's project and environment; a key that is bound to none may say one in a header or in the resource. History
    that somebody brings along is marked as such: that takes the right to edit, since retention does not touch it."""
    header = request.headers.get("x-assay-environment")
    asked = None if header is None else check_name(header, param="x-assay-environment")
    environment = environment_of(principal, asked) if asked or principal.environment else None
    is_imported = request.headers.get("x-assay-imported") == "true"
    if is_imported and not principal.may(Right.EDIT):
        raise Forbidden(
            f"A key with the role {principal.role.value!r} imports no history",
            hint="Leave x-assay-imported out, or use a key with the role editor.",
        )
    return Sender(principal.project, principal.key_id, environment, is_imported)


handlers = [take_traces, take_logs, take_metrics]
