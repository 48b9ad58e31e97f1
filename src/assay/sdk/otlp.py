"""OTLP's protobuf, written by hand: one message to send, one to read.

The `protobuf` package is the dependency that most often sets two libraries of an application against each other, and all
that is needed of it fits on this page. The field numbers are those of opentelemetry-proto 1.x (`trace/v1/trace.proto`,
`common/v1/common.proto`); a test reads what is written here with the official classes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from struct import pack
from typing import Any

from opentelemetry.trace.status import StatusCode

from assay.sdk.recording import Ended, Scope

_STATUS = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}


def export_request(spans: Sequence[Ended], resource: Mapping[str, Any]) -> bytes:
    """An `ExportTraceServiceRequest` of one resource."""
    scopes = b"".join(
        _field(2, _scope_spans(scope, group)) for scope, group in groupby(spans, key=lambda span: span.scope)
    )
    return _field(1, _field(1, _attributes(1, resource)) + scopes)


def rejected(response: bytes) -> tuple[int, str]:
    """How many spans an `ExportTraceServiceResponse` says were not taken, and why; (0, "") when all were, or when it
    cannot be read."""
    count, why = 0, ""
    try:
        for number, value in _read(response):
            if number == 1 and isinstance(value, bytes):
                for inner, told in _read(value):
                    if inner == 1 and isinstance(told, int):
                        count = told
                    elif inner == 2 and isinstance(told, bytes):
                        why = told.decode("utf-8", "replace")
    except (IndexError, ValueError):
        return 0, ""
    return count, why


def _scope_spans(scope: Scope, spans: Iterable[Ended]) -> bytes:
    name, version = scope
    told = _text(1, name) + (_text(2, version) if version else b"")
    return _field(1, told) + b"".join(_field(2, _span(span)) for span in spans)


def _span(span: Ended) -> bytes:
    parts = [
        _field(1, bytes.fromhex(span.trace_id)),
        _field(2, bytes.fromhex(span.span_id)),
        _text(5, span.name),
        _number(6, span.kind.value + 1),
        b"\x39",  # fields 7 and 8: fixed64
        pack("<Q", span.start_ns),
        b"\x41",
        pack("<Q", max(span.end_ns, span.start_ns)),
        _attributes(9, span.attributes),
    ]
    if span.parent_id:
        parts.append(_field(4, bytes.fromhex(span.parent_id)))
    for event in span.events:
        told = b"\x09" + pack("<Q", event.timestamp) + _text(2, event.name)
        parts.append(_field(11, told + _attributes(3, event.attributes or {})))
    for link in span.links:
        ids = _field(1, link.context.trace_id.to_bytes(16)) + _field(2, link.context.span_id.to_bytes(8))
        parts.append(_field(13, ids + _attributes(4, link.attributes or {})))
    if code := _STATUS[span.status]:
        parts.append(
            _field(15, (_text(2, span.status_message) if span.status_message else b"") + _number(3, code))
        )
    return b"".join(parts)


def _attributes(number: int, attributes: Mapping[str, Any]) -> bytes:
    """`KeyValue`s."""
    return b"".join(
        _field(number, _text(1, key) + _field(2, _value(value)))
        for key, value in attributes.items()
        if value is not None
    )


def _value(value: Any) -> bytes:
    """An `AnyValue`; what it has no form for is written as text."""
    if isinstance(value, str):
        return _text(1, value)
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return b"\x21" + pack("<d", value)
    if isinstance(value, bytes):
        return _field(7, value)
    if isinstance(value, list | tuple):
        return _field(5, b"".join(_field(1, _value(each)) for each in value))
    if isinstance(value, Mapping):
        return _field(6, _attributes(1, value))
    return _text(1, str(value))


def _text(number: int, value: object) -> bytes:
    return _field(number, str(value).encode("utf-8", "replace"))


def _field(number: int, content: bytes) -> bytes:
    """A field that says its length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    if value < 128:
        return _SMALL[value]
    made = bytearray()
    while value >= 128:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


_SMALL = [bytes((value,)) for value in range(128)]


def _read(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a message: varints as numbers, the rest as bytes. Raises `IndexError` or `ValueError` for no message."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        if tag & 7 == 0:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
            yield tag >> 3, message[at : at + size]
            at += size
        elif tag & 7 == 2:
            size, at = _read_varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError("groups are not used")


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
