"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`. The hint is part of the message, since
that is what clients show."""

from typing import Any

import msgspec

from assay.errors import AssayError, RateLimited, Upstream, UpstreamRefused
from assay.gateway.exchange import Exchange
from assay.wire.openai_chat import UNREADABLE

_encode = msgspec.json.Encoder().encode


def shape(error: AssayError) -> bytes:
    """The JSON body. A provider's own error in this shape goes to the client as it came: its `code` matters to SDKs."""
    if isinstance(error, UpstreamRefused) and (theirs := _openai_error(error.body)) is not None:
        return _encode({"error": theirs})
    message = f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message
    return _encode({"error": {"message": message, "type": error.type, "param": error.param, "code": None}})


async def refuse(exchange: Exchange, error: AssayError) -> None:
    """Answer with the error: as an HTTP answer, or inside a stream that has begun as its last event, without `[DONE]`."""
    body = shape(error)
    if exchange.started:
        await exchange.write(b"event: error\ndata: " + body + b"\n\n", more=False)
        return
    retry_after_s = error.retry_after_s if isinstance(error, RateLimited | Upstream) else None
    if retry_after_s is not None:
        exchange.out.append((b"retry-after", str(max(round(retry_after_s), 0)).encode()))
    if exchange.trace_id is not None and not any(name == b"x-assay-trace-id" for name, _ in exchange.out):
        exchange.out.append((b"x-assay-trace-id", exchange.trace_id.encode()))
    await exchange.respond(error.status, body)


def _openai_error(body: bytes) -> dict[str, Any] | None:
    try:
        error = msgspec.json.decode(body).get("error")
    except (*UNREADABLE, AttributeError):
        return None
    return error if isinstance(error, dict) and isinstance(error.get("message"), str) else None
