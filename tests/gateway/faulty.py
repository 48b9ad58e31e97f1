"""An upstream on a raw socket that fails in one way for each path: `http://127.0.0.1:PORT/NAME/chat/completions`."""

import gzip
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

Play = Callable[["Faulty", socket.socket, str], None]

WORDS = ["Well", ",", " here", " is", " the", " answer", "."]
WHOLE = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "up",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16},
}


def head(status: str, *headers: str, type: str = "application/json") -> bytes:
    return "\r\n".join(
        [f"HTTP/1.1 {status}", f"content-type: {type}", "connection: close", *headers, "", ""]
    ).encode()


def whole(body: bytes, status: str = "200 OK", *headers: str, type: str = "application/json") -> bytes:
    return head(status, f"content-length: {len(body)}", *headers, type=type) + body


def refusal(status: str, *headers: str) -> bytes:
    return whole(
        json.dumps({"error": {"message": f"no: {status}", "type": "x", "code": None}}).encode(),
        status,
        *headers,
    )


def chunk(words: str | None = None, **more: Any) -> bytes:
    delta = {"role": "assistant", "content": words} if words is not None else {}
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    line = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]}
    return b"data: " + json.dumps(line).encode() + b"\n\n"


STREAM = head("200 OK", type="text/event-stream")
END = chunk(finish_reason="stop") + b"data: [DONE]\n\n"


class Faulty:
    """Serves until closed. `seen` counts requests by name, `left` those whose client went away before the end."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.left = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/{name}"

    def close(self) -> None:
        self._closing.set()
        self._listener.close()

    def patience(self, connection: socket.socket, seconds: float) -> None:
        """Send nothing for so long, or until the client has gone."""
        connection.settimeout(0.05)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._closing.is_set():
            with suppress(TimeoutError):
                try:
                    if connection.recv(1):
                        continue
                except ConnectionError:
                    pass
                self.left.set()
                return

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
                if request[:1] in (b"", b"\x16"):  # nobody, or somebody who speaks TLS
                    return
            top, _, body = request.partition(b"\r\n\r\n")
            lines = top.decode("latin-1").split("\r\n")
            length = next(
                int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")
            )
            while len(body) < length:
                body += connection.recv(65536)
            name = lines[0].split("/")[1]
            self.seen[name] += 1
            for piece in PLAYS[name](self, connection, body.decode("utf-8", "replace")):
                connection.sendall(piece)


def _slowly(faulty: Faulty, connection: socket.socket, body: str) -> Iterator[bytes]:
    yield STREAM
    for word in WORDS:
        yield chunk(word)
        faulty.patience(connection, 0.4)
        if faulty.left.is_set():
            return
    yield END


def _first(faulty: Faulty, connection: socket.socket, body: str) -> Iterator[bytes]:
    yield STREAM
    faulty.patience(connection, 20)


def _stall(faulty: Faulty, connection: socket.socket, body: str) -> Iterator[bytes]:
    yield STREAM + chunk("Well")
    faulty.patience(connection, 20)


def _burst(faulty: Faulty, connection: socket.socket, body: str) -> Iterator[bytes]:
    yield (
        refusal("500 Internal Server Error")
        if faulty.seen["burst"] <= 5
        else whole(json.dumps(WHOLE).encode())
    )


def _always(*pieces: bytes) -> Any:
    return lambda faulty, connection, body: iter(pieces)


PLAYS: dict[str, Any] = {
    "well": lambda faulty, connection, body: iter(
        [STREAM, *map(chunk, WORDS), END]
        if '"stream":true' in body.replace(" ", "")
        else [whole(json.dumps(WHOLE).encode())]
    ),
    "limited": _always(refusal("429 Too Many Requests", "retry-after: 7")),
    "limited-silently": _always(refusal("429 Too Many Requests")),
    "burst": _burst,
    "cut-early": _always(STREAM),
    "cut-late": _always(STREAM, chunk("Well"), chunk(", here")),
    "malformed": _always(STREAM, chunk("Well"), b"data: {broken\n\n", chunk(", here"), END),
    "in-band": _always(STREAM, chunk("Well"), b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'),
    "in-band-early": _always(STREAM, b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'),
    "page": _always(whole(b"<html>It works!</html>", type="text/html")),
    "no-json": _always(whole(b'{"choices": [')),
    "uncounted": _always(whole(json.dumps({**WHOLE, "usage": None}).encode())),
    "packed": _always(whole(gzip.compress(json.dumps(WHOLE).encode()), "200 OK", "content-encoding: gzip")),
    "late": _first,
    "stall": _stall,
    "slow": _slowly,
}
