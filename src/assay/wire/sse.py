"""Server-sent events, sans I/O: bytes in, events' data out (WHATWG HTML §9.2, the part that model APIs use)."""

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""A longer event is an upstream gone wrong, not a message."""


class SseDecoder:
    """Feed it chunks cut anywhere; it returns the `data` of each event that is complete.

    Field names other than `data` and comments are passed over. Raises `ValueError` for an event without end.
    """

    __slots__ = ("_buffer", "_data", "_held")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; returns zero or more events."""
        lines = (self._buffer + chunk).split(b"\n")
        self._buffer = lines.pop()
        events: list[bytes] = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
                self._held += len(line)
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data, self._held = [], 0
        if len(self._buffer) + self._held > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return events

    def finish(self) -> list[bytes]:
        """The stream ended: an event whose closing blank line never came is given out too, if its line is whole."""
        return self.feed(b"\n\n") if self._buffer or self._data else []


def encode_event(data: bytes) -> bytes:
    """One event as it goes to the client. JSON has no raw line breaks, so one `data` line is enough."""
    return b"data: " + data + b"\n\n"
