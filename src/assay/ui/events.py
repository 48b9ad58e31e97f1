"""Server-sent events (WHATWG HTML §9.2) as the answer of a handler: one open answer that says things as they happen.

A browser that loses the connection asks again by itself and sends the last `id` it saw, so a source whose ids say where to
go on loses nothing and repeats nothing. An event counts only when its empty line has come: half of one is as none.
"""

import re
from collections.abc import AsyncGenerator

from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

HEADERS = {
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
}
LAST_ID = "last-event-id"
"""The header in which a browser says where it was."""

_BREAK = re.compile(r"\r\n|\r|\n")
MEDIA_TYPE = "text/event-stream; charset=utf-8"


class EventStream(Stream):
    """Sends what a generator yields, and closes the generator when the client has left, wherever it waits."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            events, media_type=MEDIA_TYPE, headers=HEADERS, background=BackgroundTask(events.aclose)
        )


def event(text: str = "", *, name: str | None = None, id: str | None = None) -> bytes:
    """One event. Without a text only the `id` is noted; nobody is told."""
    lines = [] if name is None else [f"event: {name}"]
    if id is not None:
        lines.append(f"id: {id}")
    # Not `splitlines`, which also breaks at characters that JSON may hold unescaped.
    lines += [f"data: {line}" for line in _BREAK.split(text)] if text else []
    return ("\n".join(lines) + "\n\n").encode()
