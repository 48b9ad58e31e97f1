"""OTLP's trace request in protobuf, read without a protobuf library (docs/decisions/0091).

The fields are those of `opentelemetry/proto/trace/v1/trace.proto`. A message is walked as bytes; each span is read by
itself, so that a broken one does not take the others with it. Fields that are not known are stepped over, as the format
asks; the last of several values wins.
"""

from collections.abc import Iterator
from struct import Struct, error
from typing import Any

from assay.traces import otlp
from assay.traces.otlp import Reading, Refused, Sender, Unreadable
from assay.wire.spans import OtelSpan, SpanEvent, SpanLink

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_double = Struct("<d").unpack_from
_long = Struct("<Q").unpack_from
_SIGN = 1 << 63
_BROKEN = (IndexError, error, Unreadable)
"""What reading raises for bytes that are no message."""

_Found = tuple[int, int, int]
"""A field: its tag (number and wire type in one), then its value and 0, or where its bytes begin and end."""


def decode(body: bytes, sender: Sender) -> Reading:
    """The spans of an `ExportTraceServiceRequest`. Raises `Unreadable` when the bytes are none."""
    reading = Reading(sender)
    try:
        for place, (begin, end) in enumerate(_each(body, 0, len(body), _tag(1))):
            _resource_spans(body, begin, end, f"resourceSpans[{place}]", reading)
    except (IndexError, error) as broken:
        raise Unreadable("The bytes end in the middle of a field") from broken
    return reading


def _tag(number: int, wire_type: int = _BYTES) -> int:
    return number << 3 | wire_type


_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _MAP, _OCTETS = (
    _tag(1), _tag(2, _VARINT), _tag(3, _VARINT), _tag(4, _FIXED64), _tag(5), _tag(6), _tag(7),
)  # fmt: skip
_KEY, _VALUE = _tag(1), _tag(2)
_TRACE_ID, _SPAN_ID, _TRACE_STATE, _PARENT_ID, _NAME = _tag(1), _tag(2), _tag(3), _tag(4), _tag(5)
_KIND, _START, _END, _ATTRIBUTE = _tag(6, _VARINT), _tag(7, _FIXED64), _tag(8, _FIXED64), _tag(9)
_EVENT, _LINK, _STATUS = _tag(11), _tag(13), _tag(15)
_DROPPED = (_tag(10, _VARINT), _tag(12, _VARINT), _tag(14, _VARINT))
"""Attributes, events and links."""


def _resource_spans(data: bytes, begin: int, end: int, where: str, reading: Reading) -> None:
    resource: dict[str, Any] = {}
    for inner, stop in _each(data, begin, end, _tag(1)):
        resource = _attributes(data, inner, stop, _tag(1))
    for place, (inner, stop) in enumerate(_each(data, begin, end, _tag(2))):
        _scope_spans(data, inner, stop, f"{where}.scopeSpans[{place}]", resource, reading)


def _scope_spans(
    data: bytes, begin: int, end: int, where: str, resource: dict[str, Any], reading: Reading
) -> None:
    scope: dict[str, Any] = {}
    schema_url = ""
    for tag, inner, stop in _fields(data, begin, end):
        if tag == _tag(1):
            said = {found: data[at:to] for found, at, to in _fields(data, inner, stop) if found & 7 == _BYTES}
            name, version = _text(said.get(_tag(1), b"")), _text(said.get(_tag(2), b""))
            scope = otlp.scope_of(name, version, "", _attributes(data, inner, stop, _tag(3)))
        elif tag == _tag(3):
            schema_url = _text(data[inner:stop])
    if schema_url:
        scope["schema_url"] = schema_url
    for place, (inner, stop) in enumerate(_each(data, begin, end, _tag(2))):
        reading.admit()
        try:
            reading.spans.append(_span(data, inner, stop, resource, scope, reading.sender))
        except _BROKEN as broken:
            reason = (
                str(broken) if isinstance(broken, Unreadable) else "its bytes end in the middle of a field"
            )
            reading.refused.append(Refused(f"{where}.spans[{place}]", reason, data[inner:stop]))


def _span(
    data: bytes, begin: int, end: int, resource: dict[str, Any], scope: dict[str, Any], sender: Sender
) -> OtelSpan:
    said: dict[int, Any] = {}
    attributes: dict[str, Any] = {}
    events: list[SpanEvent] = []
    links: list[SpanLink] = []
    for tag, at, to in _fields(data, begin, end):
        if tag == _ATTRIBUTE:
            _attribute(data, at, to, attributes)
        elif tag == _EVENT:
            events.append(_event(data, at, to))
        elif tag == _LINK:
            links.append(_link(data, at, to))
        else:
            said[tag] = data[at:to] if tag & 7 == _BYTES else at
    _check_count(attributes, events, links)
    status = dict(_scalars(said.get(_STATUS, b"")))
    get = said.get
    return otlp.span_of(
        sender,
        trace_id=get(_TRACE_ID, b""),
        span_id=get(_SPAN_ID, b""),
        parent_id=get(_PARENT_ID, b""),
        name=_text(get(_NAME, b"")),
        start_ns=get(_START, 0),
        end_ns=get(_END, 0),
        kind=get(_KIND, 0),
        status_code=status.get(_tag(3, _VARINT), 0),
        status_message=_text(status.get(_tag(2), b"")),
        trace_state=_text(get(_TRACE_STATE, b"")),
        attributes=attributes,
        events=tuple(events),
        links=tuple(links),
        dropped=(get(_DROPPED[0], 0), get(_DROPPED[1], 0), get(_DROPPED[2], 0)),
        resource=resource,
        scope=scope,
    )


def _scalars(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message that has no messages in it."""
    for tag, at, to in _fields(data, 0, len(data)):
        yield tag, data[at:to] if tag & 7 == _BYTES else at


def _check_count(attributes: dict[str, Any], events: list[SpanEvent], links: list[SpanLink]) -> None:
    for what, found, most in (
        ("attributes", attributes, otlp.MAX_ATTRIBUTES),
        ("events", events, otlp.MAX_EVENTS),
        ("links", links, otlp.MAX_EVENTS),
    ):
        if len(found) > most:
            raise Unreadable(f"it has {len(found):,} {what}; {most:,} are kept at most")


def _event(data: bytes, begin: int, end: int) -> SpanEvent:
    name, at_ns = "", 0
    for tag, at, to in _fields(data, begin, end):
        if tag == _tag(1, _FIXED64):
            at_ns = at
        elif tag == _tag(2):
            name = _text(data[at:to])
    return otlp.event_of(name, at_ns, _attributes(data, begin, end, _tag(3)))


def _link(data: bytes, begin: int, end: int) -> SpanLink:
    octets = {tag: data[at:to] for tag, at, to in _fields(data, begin, end) if tag in (_tag(1), _tag(2))}
    return otlp.link_of(
        octets.get(_tag(1), b""), octets.get(_tag(2), b""), _attributes(data, begin, end, _tag(4))
    )


# --- Attributes ---


def _attributes(data: bytes, begin: int, end: int, tag: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at, to in _each(data, begin, end, tag):
        _attribute(data, at, to, found)
    if len(found) > otlp.MAX_ATTRIBUTES:
        raise Unreadable(f"it has {len(found):,} attributes; {otlp.MAX_ATTRIBUTES:,} are kept at most")
    return found


def _attribute(data: bytes, begin: int, end: int, into: dict[str, Any]) -> None:
    """A `KeyValue`. Nearly all are a short key and then a text or a whole number: those are read here in one go, which
    halves the time of a request; whatever looks different goes the long way."""
    try:
        middle = begin + 2 + data[begin + 1]
        if data[begin] == _KEY and data[begin + 1] < 128 and data[middle] == _VALUE:
            at = middle + 2
            if (length := data[middle + 1]) >= 128:
                length, at = _varint(data, middle + 1)
            if at + length == end and data[at] == _STRING:
                first = at + 2
                if (length := data[at + 1]) >= 128:
                    length, first = _varint(data, at + 1)
                if first + length == end:
                    into[data[begin + 2 : middle].decode()] = data[first:end].decode()
                    return
            elif at + length == end and data[at] == _INT:
                number, stop = _varint(data, at + 1)
                if stop == end:
                    into[data[begin + 2 : middle].decode()] = _signed(number)
                    return
    except (IndexError, UnicodeDecodeError):
        pass
    key, value = _key_value(data, begin, end, 0)
    into[key] = value


def _key_value(data: bytes, begin: int, end: int, depth: int) -> tuple[str, Any]:
    key, value = "", None
    for tag, at, to in _fields(data, begin, end):
        if tag == _KEY:
            key = _text(data[at:to])
        elif tag == _VALUE:
            value = _value(data, at, to, depth)
    return key, value


def _value(data: bytes, begin: int, end: int, depth: int) -> Any:
    """An `AnyValue`; None when it is empty or of a kind that is not known."""
    if depth > otlp.MAX_DEPTH:
        raise Unreadable(f"an attribute nests more than {otlp.MAX_DEPTH} levels deep")
    made: Any = None
    for tag, at, to in _fields(data, begin, end):
        if tag == _STRING:
            made = _text(data[at:to])
        elif tag == _INT:
            made = _signed(at)
        elif tag == _BOOL:
            made = at != 0
        elif tag == _DOUBLE:
            made = _double(at.to_bytes(8, "little"))[0]
        elif tag == _ARRAY:
            made = [_value(data, inner, stop, depth + 1) for inner, stop in _each(data, at, to, _tag(1))]
        elif tag == _MAP:
            made = dict(
                _key_value(data, inner, stop, depth + 1) for inner, stop in _each(data, at, to, _tag(1))
            )
        elif tag == _OCTETS:
            made = data[at:to]
    return made


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= _SIGN else number


def _text(octets: bytes) -> str:
    """Bytes that are no UTF-8 are the sender's mistake in one value, no reason to lose its span."""
    return octets.decode("utf-8", "replace")


# --- The wire format ---


def _each(data: bytes, begin: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    for tag, at, to in _fields(data, begin, end):
        if tag == wanted:
            yield at, to


def _fields(data: bytes, at: int, end: int) -> Iterator[_Found]:
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 128:
            tag, at = _varint(data, at - 1)
        wire_type = tag & 7
        if wire_type == _BYTES:
            length = data[at]
            at += 1
            if length >= 128:
                length, at = _varint(data, at - 1)
            begin = at
            at += length
            if at > end:
                raise Unreadable("a field is longer than what it stands in")
            yield tag, begin, at
        elif wire_type == _VARINT:
            value, at = _varint(data, at)
            yield tag, value, 0
        elif wire_type == _FIXED64:
            yield tag, _long(data, at)[0], 0
            at += 8
        elif wire_type == _FIXED32:
            at += 4
        else:
            raise Unreadable(f"a field has the wire type {wire_type}, which is none of protobuf's")
    if at > end:
        raise Unreadable("a field is longer than what it stands in")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]
        at += 1
        value |= (octet & 127) << shift
        if octet < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise Unreadable("a number has more than 64 bits")
