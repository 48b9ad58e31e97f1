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


def from_cursor(cursor: str, shape: type[T]) -> T:
    """Unpack what `to_cursor` packed, e.g. `tuple[str]`; anything else is a `BadRequest` that names the parameter."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(packed, type=shape)
    except (binascii.Error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise BadRequest(
            f"{cursor!r} is not a cursor of this list",
            param="cursor",
            hint="Send the `next` of the page before.",
        ) from error
