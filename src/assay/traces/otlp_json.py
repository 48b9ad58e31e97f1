"""OTLP's trace request in JSON: ids in hexadecimal, 64-bit numbers as text or number, enums by number or name.

The names of the fields are OTLP's in lowerCamelCase; others are stepped over. Each span is read by itself.
"""

import base64
import binascii
import re
from typing import Any

import msgspec
from msgspec import Raw

from assay.traces import otlp
from assay.traces.otlp import Reading, Refused, Sender, Unreadable
from assay.wire.spans import OtelSpan

_Number = int | str | float | None
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*\Z")
_KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_CODES = {f"STATUS_CODE_{name}": number for number, name in enumerate(("UNSET", "OK", "ERROR"))}


class _Named(msgspec.Struct, rename="camel"):
    key: str = ""
    value: dict[str, Any] | None = None


class _Resource(msgspec.Struct, rename="camel"):
    attributes: list[_Named] | None = None


class _Scope(_Resource, rename="camel"):
    name: str | None = None
    version: str | None = None


class _Event(_Resource, rename="camel"):
    name: str | None = None
    time_unix_nano: _Number = None


class _Link(_Resource, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None


class _Status(msgspec.Struct, rename="camel"):
    code: _Number = None
    message: str | None = None


class _Span(_Resource, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: str | None = None
    name: str | None = None
    kind: _Number = None
    start_time_unix_nano: _Number = None
    end_time_unix_nano: _Number = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status | None = None
    dropped_attributes_count: _Number = None
    dropped_events_count: _Number = None
    dropped_links_count: _Number = None


class _ScopeSpans(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    spans: list[Raw] | None = None
    schema_url: str | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_request = msgspec.json.Decoder(_Request)
_span = msgspec.json.Decoder(_Span)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(body: bytes, sender: Sender) -> Reading:
    """The spans of an `ExportTraceServiceRequest`. Raises `Unreadable` when the text is none."""
    try:
        sent = _request.decode(body)
    except _UNREADABLE as error:
        raise Unreadable(f"The body is no OTLP in JSON: {error}") from error
    reading = Reading(sender)
    for place, group in enumerate(sent.resource_spans or ()):
        resource = _attributes(group.resource.attributes if group.resource else None)
        for inner, scoped in enumerate(group.scope_spans or ()):
            _scope_spans(scoped, f"resourceSpans[{place}].scopeSpans[{inner}]", resource, reading)
    return reading


def _scope_spans(sent: _ScopeSpans, where: str, resource: dict[str, Any], reading: Reading) -> None:
    made = sent.scope or _Scope()
    scope = otlp.scope_of(
        made.name or "", made.version or "", sent.schema_url or "", _attributes(made.attributes)
    )
    for place, raw in enumerate(sent.spans or ()):
        reading.admit()
        try:
            reading.spans.append(_read(_span.decode(raw), resource, scope, reading.sender))
        except (*_UNREADABLE, Unreadable) as error:
            reading.refused.append(Refused(f"{where}.spans[{place}]", str(error), bytes(raw)))


def _read(sent: _Span, resource: dict[str, Any], scope: dict[str, Any], sender: Sender) -> OtelSpan:
    status = sent.status or _Status()
    for what, found in (("events", sent.events), ("links", sent.links)):
        if found is not None and len(found) > otlp.MAX_EVENTS:
            raise Unreadable(f"it has {len(found):,} {what}; {otlp.MAX_EVENTS:,} are kept at most")
    return otlp.span_of(
        sender,
        trace_id=_hex(sent.trace_id, "trace id"),
        span_id=_hex(sent.span_id, "span id"),
        parent_id=_hex(sent.parent_span_id, "parent span id"),
        name=sent.name or "",
        start_ns=_whole(sent.start_time_unix_nano, "start time"),
        end_ns=_whole(sent.end_time_unix_nano, "end time"),
        kind=_enum(sent.kind, _KINDS, "kind"),
        status_code=_enum(status.code, _CODES, "status code"),
        status_message=status.message or "",
        trace_state=sent.trace_state or "",
        attributes=_attributes(sent.attributes),
        events=tuple(
            otlp.event_of(
                event.name or "", _whole(event.time_unix_nano, "event's time"), _attributes(event.attributes)
            )
            for event in sent.events or ()
        ),
        links=tuple(
            otlp.link_of(
                _hex(link.trace_id, "link"), _hex(link.span_id, "link"), _attributes(link.attributes)
            )
            for link in sent.links or ()
        ),
        dropped=(
            _whole(sent.dropped_attributes_count, "count"),
            _whole(sent.dropped_events_count, "count"),
            _whole(sent.dropped_links_count, "count"),
        ),
        resource=resource,
        scope=scope,
    )


def _hex(sent: str | None, what: str) -> bytes:
    if not _HEX.match(sent or ""):
        raise Unreadable(f"its {what} {sent!r} is not hexadecimal")
    return bytes.fromhex(sent or "")


def _whole(sent: _Number, what: str) -> int:
    """A 64-bit number, which JSON carries as text since many readers keep only 53 bits."""
    try:
        number = int(sent) if isinstance(sent, str) else sent or 0
    except ValueError:
        number = -1
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or not 0 <= number < 1 << 64:
        raise Unreadable(f"its {what} {sent!r} is no 64-bit number from 0 on")
    return number


def _enum(sent: _Number, names: dict[str, int], what: str) -> int:
    """A name that is not known counts as unspecified; a number is kept, known or not."""
    if isinstance(sent, str) and not sent.isdecimal():
        return names.get(sent, 0)
    return _whole(sent, what)


def _attributes(sent: list[_Named] | None) -> dict[str, Any]:
    made = {named.key: _value(named.value, 0) for named in sent or ()}
    if len(made) > otlp.MAX_ATTRIBUTES:
        raise Unreadable(f"it has {len(made):,} attributes; {otlp.MAX_ATTRIBUTES:,} are kept at most")
    return made


def _value(sent: Any, depth: int) -> Any:
    """An `AnyValue`: an object with one field, whose name says the type."""
    if depth > otlp.MAX_DEPTH:
        raise Unreadable(f"an attribute nests more than {otlp.MAX_DEPTH} levels deep")
    if not isinstance(sent, dict):
        return None
    for name, value in sent.items():
        match name, value:
            case "stringValue", str():
                return value
            case "boolValue", bool():
                return value
            case "intValue", int() | str():
                return _signed(value)
            case "doubleValue", int() | float() | str():
                return _real(value)
            case "bytesValue", str():
                return _octets(value)
            case "arrayValue", dict():
                return [_value(item, depth + 1) for item in _list(value)]
            case "kvlistValue", dict():
                return {
                    str(item.get("key", "")): _value(item.get("value"), depth + 1)
                    for item in _list(value)
                    if isinstance(item, dict)
                }
            case _:
                continue
    return None


def _list(sent: dict[str, Any]) -> list[Any]:
    values = sent.get("values")
    return values if isinstance(values, list) else []


def _signed(sent: int | str) -> int:
    try:
        number = int(sent)
    except ValueError:
        number = 1 << 64
    if not -(1 << 63) <= number < 1 << 63:
        raise Unreadable(f"an attribute's {sent!r} is no 64-bit number")
    return number


def _real(sent: float | str) -> float:
    """Text stands for what JSON cannot say: NaN and the infinities."""
    try:
        return float(sent)
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"an attribute's {sent!r} is no number") from error


def _octets(sent: str) -> bytes:
    try:
        return base64.b64decode(sent, validate=True)
    except binascii.Error as error:
        raise Unreadable("an attribute's bytes are no base64") from error
