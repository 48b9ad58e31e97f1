"""Lists in pages by an opaque cursor: `{"items": [...], "next": cursor or null}`."""

import base64
import binascii
from typing import Any, Generic, TypeVar

import msgspec

from assay.errors import BadRequest

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. `next` goes back as `?cursor=`; None says that this was the last page."""

    items: list[T]
    next: str | None = None


def to_cursor(*position: Any) -> str:
    """Pack the last row's sort keys."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def from_cursor(cursor: str) -> list[Any]:
    """Unpack what `to_cursor` packed; anything else is a `BadRequest` that names the parameter."""
    try:
        position = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        position = None
    if not isinstance(position, list):
        raise BadRequest(
            f"{cursor!r} is not a cursor of this list",
            param="cursor",
            hint="Send the `next` of the page before.",
        )
    return position
