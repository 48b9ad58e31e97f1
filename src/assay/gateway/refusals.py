"""Errors in the shape of the format that the client speaks. The hint is part of the message, since that is what clients show.

OpenAI's is `{"error": {"message", "type", "param", "code"}}`; Anthropic's `{"type": "error", "error": {"type", "message"}}`.
"""

import math
from typing import Any

import msgspec

from assay.errors import AssayError, BudgetSpent, RateLimited, Upstream, UpstreamRefused
from assay.gateway.exchange import Exchange
from assay.wire.anthropic_answers import decode_error, error_type
from assay.wire.openai_chat import UNREADABLE

OVERLOADED = 529
"""Anthropic's status for "too many calls for now"; elsewhere that is a 503."""

_encode = msgspec.json.Encoder().encode


def speaks_anthropic(exchange: Exchange) -> bool:
    """Whether an Anthropic client is on the line: by its path or, where both formats have it, by a header of its own."""
    path = exchange.path
    if path.startswith("/v1/models"):
        return b"anthropic-version" in exchange.headers
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def shape(error: AssayError) -> bytes:
    """The JSON body for an OpenAI client. A provider's own error in this shape goes to the client as it came: its `code`
    matters to SDKs."""
    if isinstance(error, UpstreamRefused):
        if (failure := decode_error(error.body)) is not None:
            return _openai(failure.message, failure.type, None)
        if (theirs := _openai_error(error.body)) is not None:
            return _encode({"error": theirs})
    return _openai(_words(error), error.type, error.param)


def anthropic_shape(error: AssayError, request_id: str | None) -> bytes:
    """The JSON body for an Anthropic client. A provider's own error in this shape goes to the client as it came. The shape has
    no place for `param`, so the message begins with it."""
    message = _words(error)
    if error.param and error.param not in message:
        message = f"{error.param}: {message}"
    if isinstance(error, UpstreamRefused):
        if decode_error(error.body) is not None:
            return error.body
        if (theirs := _openai_error(error.body)) is not None:
            message = theirs["message"]
    failure = {"type": error_type(error.status), "message": message}
    return _encode({"type": "error", "error": failure, "request_id": request_id})


async def refuse(exchange: Exchange, error: AssayError) -> None:
    """Answer with the error: as an HTTP answer, or inside a stream that has begun as its last event."""
    anthropic = speaks_anthropic(exchange)
    body = anthropic_shape(error, exchange.trace_id) if anthropic else shape(error)
    if exchange.started:
        await exchange.write(b"event: error\ndata: " + body + b"\n\n", more=False)
        return
    retry_after_s = error.retry_after_s if isinstance(error, RateLimited | Upstream) else None
    if retry_after_s is not None:
        exchange.out.append((b"retry-after", str(max(math.ceil(retry_after_s), 0)).encode()))
    if isinstance(error, BudgetSpent):
        exchange.out.append((b"x-should-retry", b"false"))  # the SDKs of OpenAI and Anthropic heed it
    if exchange.trace_id is not None:
        for name in (b"x-assay-trace-id", b"request-id") if anthropic else (b"x-assay-trace-id",):
            if not any(name == sent for sent, _ in exchange.out):
                exchange.out.append((name, exchange.trace_id.encode()))
    status = 503 if error.status == OVERLOADED and not anthropic else error.status
    await exchange.respond(status, body)


def unexpected(error: Exception) -> AssayError:
    """What a client is told of a fault of ours; the log has the rest."""
    return AssayError(f"Something went wrong in Assay: {type(error).__name__}", hint="See its log.")


def _words(error: AssayError) -> str:
    return f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message


def _openai(message: str, type: str, param: str | None) -> bytes:
    return _encode({"error": {"message": message, "type": type, "param": param, "code": None}})


def _openai_error(body: bytes) -> dict[str, Any] | None:
    try:
        error = msgspec.json.decode(body).get("error")
    except (*UNREADABLE, AttributeError):
        return None
    return error if isinstance(error, dict) and isinstance(error.get("message"), str) else None
