"""Who acts just now: set where a request is let in, read where what it changes is written down.

A context variable, because the writing happens many calls below the door and in a thread, where the context of the
request is copied to. Outside of a request the server itself acts.
"""

from contextvars import ContextVar

import msgspec


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who, and from where. `id` is `user:<name>` or `key:<id>`; `via` key, session, socket, login or server."""

    name: str
    id: str | None = None
    via: str = "server"
    address: str | None = None


SERVER = Actor(name="assay")
"""What the server does by itself: at its start, in jobs."""

acting: ContextVar[Actor] = ContextVar("assay_actor", default=SERVER)
"""The actor of the current context."""
