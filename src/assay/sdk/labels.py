"""Whose work it is: session, user and tags of everything that happens inside a block, in this process and through the gateway."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from typing import Any
from urllib.parse import quote

import msgspec

MAX_LABEL = 256
MAX_TAGS = 64
"""What the gateway takes; longer labels are cut here rather than refused there."""

SESSION, USER, TAGS = "session.id", "user.id", "assay.tags"
"""The attributes that carry them on spans."""


class Labels(msgspec.Struct, frozen=True):
    """Unknown is None. `attributes` is what goes on each span, `headers` what goes to the gateway."""

    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """Percent-encoded, since header values are Latin-1."""
        made = {
            "x-assay-session": self.session,
            "x-assay-user": self.user,
            "x-assay-tags": ",".join(self.tags),
        }
        return {name: quote(value, safe=" ,:@/") for name, value in made.items() if value}


class _Current(msgspec.Struct, frozen=True):
    labels: Labels
    attributes: dict[str, str | tuple[str, ...]]


_current: ContextVar[_Current | None] = ContextVar("assay_labels", default=None)


def labels() -> Labels:
    """Those of the block we are in."""
    current = _current.get()
    return current.labels if current else Labels()


def attributes() -> dict[str, str | tuple[str, ...]] | None:
    """The same as span attributes, made once per block; None outside any. Not to be changed."""
    current = _current.get()
    return current.attributes if current else None


@contextmanager
def session(id: str | None = None, *, user: str | None = None, tags: Iterable[str] = ()) -> Iterator[None]:
    """Everything inside the block belongs to this session (a conversation), user and these tags.

    Blocks nest: what an inner one leaves out stays as it was, tags add up. Works in async code as it stands. Spans carry
    them, and calls through the gateway that carry `assay.headers()`.
    """
    token = enter(id, user, tags)
    try:
        yield
    finally:
        leave(token)


def enter(session: str | None, user: str | None, tags: Iterable[str]) -> Token[Any]:
    """Change the labels of the block we are in by what is given, until `leave`."""
    outer = labels()
    made = Labels(
        session=outer.session if session is None else _cut(session),
        user=outer.user if user is None else _cut(user),
        tags=tuple(dict.fromkeys((*outer.tags, *(_cut(tag).replace(",", " ") for tag in tags))))[:MAX_TAGS],
    )
    found = {SESSION: made.session, USER: made.user, TAGS: made.tags or None}
    return _current.set(_Current(made, {name: value for name, value in found.items() if value is not None}))


def leave(token: Token[Any]) -> None:
    """Back to what was before; nothing, in another context than the one of `enter`."""
    with suppress(ValueError):
        _current.reset(token)


def _cut(label: object) -> str:
    return str(label)[:MAX_LABEL]
