"""Whose call it is: what the headers and the body's `assay` field say about its origin."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from assay.access import ENVIRONMENT, Principal, Right
from assay.calls.cache_rules import CacheAsk
from assay.catalog.caching import MAX_TTL_S
from assay.errors import BadRequest, Forbidden
from assay.kit import ids
from assay.kit.names import check_name
from assay.wire.requests import AssayFields

_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\Z")
_NOTHING = AssayFields()
_OURS = frozenset(
    (
        b"traceparent",
        b"x-assay-environment",
        b"x-assay-session",
        b"x-assay-user",
        b"x-assay-tags",
        b"x-assay-inputs",
        b"x-assay-trailer",
        b"x-assay-route",
        b"x-assay-cache",
        b"x-assay-cache-ttl",
        b"x-assay-cache-salt",
    )
)
"""Most calls carry none of these."""
_CACHE = frozenset((b"x-assay-cache", b"x-assay-cache-ttl", b"x-assay-cache-salt"))
MAX_LABEL = 256
"""Characters of a session, user or tag."""
MAX_TAGS = 64
"""Tags of a call."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """`trace_id` is the caller's by W3C `traceparent`, else new."""

    trace_id: str
    parent_id: str | None
    environment: str
    session: str | None
    user: str | None
    tags: tuple[str, ...]
    inputs: dict[str, Any] | None
    trailer: bool
    route: str | None = None
    cache: CacheAsk | None = None


def read_origin(headers: dict[bytes, bytes], fields: AssayFields | None, principal: Principal) -> Origin:
    """The body's field wins over the header. Raises `BadRequest` for what cannot be read, `Forbidden` for an environment
    that the key is not for."""
    if fields is None and _OURS.isdisjoint(headers):
        return Origin(
            trace_id=ids.uuid7_hex(),
            parent_id=None,
            environment=principal.environment or ENVIRONMENT,
            session=None,
            user=None,
            tags=(),
            inputs=None,
            trailer=False,
        )
    sent = fields or _NOTHING
    trace_id, parent_id = _parent(headers.get(b"traceparent"))
    return Origin(
        trace_id=trace_id,
        parent_id=parent_id,
        environment=_environment(headers.get(b"x-assay-environment"), principal),
        session=_label(sent.session or _text(headers, b"x-assay-session"), "session"),
        user=_label(sent.user or _text(headers, b"x-assay-user"), "user"),
        tags=_checked_tags(sent.tags or _tags(headers)),
        inputs=sent.inputs if sent.inputs is not None else _inputs(headers.get(b"x-assay-inputs")),
        trailer=headers.get(b"x-assay-trailer") == b"true",
        route=_route(headers, principal),
        cache=None if _CACHE.isdisjoint(headers) else _cache(headers),
    )


def _parent(header: bytes | None) -> tuple[str, str | None]:
    match = _TRACEPARENT.match(header) if header else None
    if match is None or match[1] == b"0" * 32 or match[2] == b"0" * 16:
        return ids.uuid7_hex(), None
    return match[1].decode(), match[2].decode()


def _environment(header: bytes | None, principal: Principal) -> str:
    bound = principal.environment
    if header is None:
        return bound or ENVIRONMENT
    asked = check_name(header.decode("latin-1"), param="x-assay-environment")
    if bound is not None and asked != bound:
        raise Forbidden(
            f"This key is for the environment {bound!r}, not {asked!r}", hint="Use a key of that environment."
        )
    return asked


def _route(headers: dict[bytes, bytes], principal: Principal) -> str | None:
    route = _label(_text(headers, b"x-assay-route"), "x-assay-route")
    if route is not None and not principal.may(Right.OVERRIDE):
        raise Forbidden(
            f"A key with the role {principal.role.value!r} does not choose routes",
            hint="Leave x-assay-route out, or use a key with the role editor.",
        )
    return route


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """Header values are Latin-1 on the wire; anything else is sent percent-encoded."""
    value = headers.get(name)
    return None if value is None else unquote(value.decode("latin-1"))


def _label(value: str | None, what: str) -> str | None:
    if value is not None and len(value) > MAX_LABEL:
        raise BadRequest(f"The {what} is longer than {MAX_LABEL} characters", param=f"assay.{what}")
    return value


def _tags(headers: dict[bytes, bytes]) -> list[str]:
    value = _text(headers, b"x-assay-tags")
    return [tag.strip() for tag in value.split(",") if tag.strip()] if value else []


def _checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        raise BadRequest(f"A call has at most {MAX_TAGS} tags, not {len(tags)}", param="assay.tags")
    if any(len(tag) > MAX_LABEL for tag in tags):
        raise BadRequest(f"A tag is longer than {MAX_LABEL} characters", param="assay.tags")
    return tuple(tags)


def _cache(headers: dict[bytes, bytes]) -> CacheAsk:
    mode = (headers.get(b"x-assay-cache") or b"").decode("latin-1") or None
    if mode not in (None, "use", "refresh", "off"):
        raise BadRequest(f"x-assay-cache is {mode!r}: it must be use, refresh or off", param="x-assay-cache")
    return CacheAsk(
        mode=mode,  # type: ignore[arg-type]
        ttl_s=_ttl(headers.get(b"x-assay-cache-ttl")),
        salt=_label(_text(headers, b"x-assay-cache-salt"), "x-assay-cache-salt") or "",
    )


def _ttl(header: bytes | None) -> float | None:
    if header is None:
        return None
    try:
        ttl_s = float(header)
    except ValueError:
        ttl_s = 0.0
    if not 0 < ttl_s <= MAX_TTL_S:
        raise BadRequest(
            f"x-assay-cache-ttl is {header.decode('latin-1')!r}: it must be seconds, above 0 and at most {MAX_TTL_S:.0f}",
            param="x-assay-cache-ttl",
        )
    return ttl_s


def _inputs(header: bytes | None) -> dict[str, Any] | None:
    if header is None:
        return None
    try:
        return msgspec.json.decode(header, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"x-assay-inputs is not a JSON object: {error}", param="x-assay-inputs") from error
