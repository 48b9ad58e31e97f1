"""What was sent, kept beside what it means: small attributes in the row, everything long in pieces that are kept once.

A conversation is sent again with each of its turns, as one long JSON text. Such a text is cut between the elements of its
lists, so that the next turn's text has the same pieces and one more. Pieces are content-addressed like messages and go
with them when retention or erasure takes a person's content away. Put together they are the text that came, byte for byte.
"""

import base64
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.kit.clock import rfc3339
from assay.traces.dialects.reading import encoded
from assay.wire.spans import OtelSpan, Span, SpanEvent, SpanLink

KEY = "otel"
"""The attribute of a kept span that holds what OTLP sends beside attributes, and where the long ones are."""

_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_CODES = {0: None, 1: "ok", 2: "error"}

_INLINE = 256
"""Characters up to which an attribute stays in the row."""
_CUT_FROM = 1_024
"""Characters from which a JSON text is cut."""
_MOST_PIECES = 2_000
_DEEPEST = 4
_WORDS = frozenset({"bytesValue", "doubleValue", "kvlistValue"})
_Raws = msgspec.json.Decoder(list[msgspec.Raw])
_Fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Pieces:
    """Texts in order of their first use; a text that comes again has its first place."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}

    def add(self, text: bytes) -> int:
        return self._places.setdefault(text, len(self._places))

    @property
    def all(self) -> tuple[bytes, ...]:
        return tuple(self._places)


def kept(sent: OtelSpan) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The attributes for the row, and the pieces that they refer to."""
    pieces = _Pieces()
    attributes: dict[str, Any] = {}
    texts: dict[str, list[int]] = {}
    values: dict[str, int] = {}
    for name, value in sent.attributes.items():
        if name == KEY:
            values[name] = pieces.add(encoded(_plain(value)))
        elif isinstance(value, str):
            if len(value) <= _INLINE:
                attributes[name] = value
            else:
                texts[name] = [pieces.add(piece) for piece in cut(value.encode("utf-8", "surrogatepass"))]
        elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            attributes[name] = value
        else:
            said = encoded(_plain(value))
            if len(said) <= _INLINE and isinstance(value, list) and _is_flat(value):
                attributes[name] = value
            else:
                values[name] = pieces.add(said)
    attributes[KEY] = _beside(sent, pieces) | _given(texts=texts, values=values)
    return attributes, pieces.all


def whole(span: Span) -> OtelSpan | None:
    """The span as it was sent; None for one that was not, or whose pieces are no longer kept."""
    beside = span.attributes.get(KEY)
    if span.mapping is None or not isinstance(beside, dict):
        return None
    try:
        return _restored(span, beside, span.raw)
    except (LookupError, TypeError, ValueError, msgspec.DecodeError):
        return None


def shown(span: Span) -> dict[str, Any]:
    """The attributes for people and programs: all that was sent where it is at hand, else the short ones."""
    sent = whole(span)
    if sent is None:
        return {name: value for name, value in span.attributes.items() if name != KEY or span.mapping is None}
    beside = _given(
        kind=_KINDS.get(sent.kind, sent.kind),
        status=_given(code=_CODES.get(sent.status_code, sent.status_code), message=sent.status_message),
        resource=sent.resource,
        scope=sent.scope,
        events=[
            _given(name=one.name, at=rfc3339(one.at_ns), attributes=one.attributes) for one in sent.events
        ],
        links=[
            _given(trace_id=one.trace_id, span_id=one.span_id, attributes=one.attributes)
            for one in sent.links
        ],
        trace_state=sent.trace_state,
        dropped=_given(**dict(zip(("attributes", "events", "links"), sent.dropped, strict=True))),
    )
    return {**sent.attributes, KEY: beside} if beside else sent.attributes


def _restored(span: Span, beside: dict[str, Any], pieces: tuple[bytes, ...]) -> OtelSpan:
    attributes = {name: value for name, value in span.attributes.items() if name != KEY}
    for name, places in beside.get("texts", {}).items():
        attributes[name] = b"".join(pieces[place] for place in places).decode("utf-8", "surrogatepass")
    for name, place in beside.get("values", {}).items():
        attributes[name] = _value(msgspec.json.decode(pieces[place]))
    return OtelSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        project=span.project,
        environment=beside.get("environment"),
        key_id=span.key_id,
        imported=span.imported,
        name=span.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        kind=beside.get("kind", 0),
        status_code=beside.get("status", 0),
        status_message=beside.get("message", ""),
        trace_state=beside.get("trace_state", ""),
        attributes=attributes,
        events=tuple(_event(msgspec.json.decode(pieces[place])) for place in beside.get("events", ())),
        links=tuple(_link(msgspec.json.decode(pieces[place])) for place in beside.get("links", ())),
        dropped=tuple(beside.get("dropped", (0, 0, 0))),
        resource=_map(beside, "resource", pieces),
        scope=_map(beside, "scope", pieces),
    )


def _beside(sent: OtelSpan, pieces: _Pieces) -> dict[str, Any]:
    """Everything that OTLP says of a span and no column holds."""
    return _given(
        kind=sent.kind,
        status=sent.status_code,
        message=sent.status_message,
        trace_state=sent.trace_state,
        environment=sent.environment,
        dropped=list(sent.dropped) if any(sent.dropped) else None,
        resource=[pieces.add(encoded(_plain(sent.resource)))] if sent.resource else None,
        scope=[pieces.add(encoded(_plain(sent.scope)))] if sent.scope else None,
        events=[pieces.add(encoded([one.name, one.at_ns, _plain(one.attributes)])) for one in sent.events],
        links=[
            pieces.add(encoded([one.trace_id, one.span_id, _plain(one.attributes)])) for one in sent.links
        ],
    )


def _given(**said: Any) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value}


def _map(beside: dict[str, Any], name: str, pieces: tuple[bytes, ...]) -> dict[str, Any]:
    made = [_value(msgspec.json.decode(pieces[place])) for place in beside.get(name, ())]
    return made[0] if made else {}


def _event(said: list[Any]) -> SpanEvent:
    return SpanEvent(said[0], said[1], _value(said[2]))


def _link(said: list[Any]) -> SpanLink:
    return SpanLink(said[0], said[1], _value(said[2]))


# --- Values that JSON has no words for ---


def _plain(value: Any) -> Any:
    """The value with bytes, and numbers that are none, as OTLP's JSON says them; a map that looks like these is wrapped."""
    if isinstance(value, dict):
        made = {key: _plain(inner) for key, inner in value.items()}
        return {"kvlistValue": made} if len(made) == 1 and not _WORDS.isdisjoint(made) else made
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"doubleValue": str(value)}
    return value


def _value(said: Any) -> Any:
    match said:
        case {"bytesValue": str(octets)} if len(said) == 1:
            return base64.b64decode(octets)
        case {"doubleValue": str(number)} if len(said) == 1:
            return float(number)
        case {"kvlistValue": dict(inner)} if len(said) == 1:
            return {key: _value(value) for key, value in inner.items()}
        case dict():
            return {key: _value(inner) for key, inner in said.items()}
        case list():
            return [_value(inner) for inner in said]
    return said


def _is_flat(value: list[Any]) -> bool:
    return all(
        isinstance(item, str | int) or (isinstance(item, float) and math.isfinite(item)) for item in value
    )


# --- Cutting ---


def cut(text: bytes) -> list[bytes]:
    """The text in pieces that give it back when they are joined: JSON between the elements of its longest list."""
    if len(text) < _CUT_FROM or text[:1] not in (b"[", b"{"):
        return [text]
    places = sorted(_places(text, 0, len(text), 0))
    if not 0 < len(places) <= _MOST_PIECES:
        return [text]
    return [
        text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True) if begin < end
    ]


def _places(text: bytes, begin: int, end: int, depth: int) -> Iterator[int]:
    """Where to cut: behind each element of a list; of an object, in the longest of its values."""
    inside = text[begin:end]
    try:
        if inside.startswith(b"["):
            elements = _Raws.decode(inside)
        elif inside.startswith(b"{"):
            elements = [
                max(_Fields.decode(inside).values(), key=lambda raw: len(bytes(raw)), default=msgspec.Raw())
            ]
        else:
            return
    except _UNREADABLE:
        return
    at = begin
    if inside.startswith(b"{") or len(elements) == 1:
        longest = bytes(elements[0])
        at = text.find(longest, begin, end)
        if depth < _DEEPEST and len(longest) >= _CUT_FROM and at >= 0:
            yield from _places(text, at, at + len(longest), depth + 1)
        return
    for element in elements:
        found = text.find(bytes(element), at, end)
        at = found + len(bytes(element))
        yield at
