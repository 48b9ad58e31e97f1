"""What clients may do with a connection, spoken byte by byte to the real server."""

import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

BODY = json.dumps({"model": "fast", "messages": [{"role": "user", "content": "one two three"}]}).encode()


class Line:
    """A connection to the server, as bytes."""

    def __init__(self, house: Any) -> None:
        host, port = house.server.url.removeprefix("http://").split(":")
        self.key: str = house.server.key
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def ask(
        self, method: str = "POST", path: str = "/v1/chat/completions", *headers: str, body: bytes = b""
    ) -> None:
        """Send a request as one piece."""
        self.socket.sendall(self.head(method, path, *headers, f"content-length: {len(body)}") + body)

    def head(self, method: str, path: str, *headers: str, version: str = "1.1") -> bytes:
        lines = [f"{method} {path} HTTP/{version}", "host: x", f"authorization: Bearer {self.key}", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, whole."""
        status, headers = self.answer_head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.file.readline(), 16):
                body += self.file.read(size)
                self.file.read(2)
            self.file.readline()
            return status, headers, body
        return status, headers, self.file.read(int(headers.get("content-length", "0")))

    def answer_head(self) -> tuple[int, dict[str, str]]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers

    @property
    def is_closed(self) -> bool:
        return self.file.read(1) == b""


@pytest.fixture
def line(house: Any) -> Any:
    with Line(house) as line:
        yield line


def said(body: bytes) -> str:
    return str(json.loads(body)["choices"][0]["message"]["content"])


def test_a_connection_is_kept_and_used_again(line: Line) -> None:
    for _ in range(3):
        line.ask(body=BODY)
        status, headers, body = line.answer()
        assert (status, said(body)) == (200, "one two three")
        assert "connection" not in headers


def test_requests_sent_before_the_answers_are_answered_in_order(line: Line) -> None:
    bodies = [BODY.replace(b"one", word) for word in (b"first", b"second", b"third")]
    requests = [
        line.head("POST", "/v1/chat/completions", f"content-length: {len(each)}") + each for each in bodies
    ]
    line.socket.sendall(requests[0] + requests[1] + line.head("GET", "/healthz") + requests[2])
    answers = [line.answer() for _ in range(4)]
    assert [status for status, _, _ in answers] == [200] * 4
    assert [said(answers[at][2]).split()[0] for at in (0, 1, 3)] == ["first", "second", "third"]


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_a_request_may_come_in_pieces(line: Line, piece: int) -> None:
    whole = line.head("POST", "/v1/chat/completions", f"content-length: {len(BODY)}") + BODY
    for at in range(0, len(whole), piece):
        line.socket.sendall(whole[at : at + piece])
    assert said(line.answer()[2]) == "one two three"


def test_a_body_may_come_in_chunks(line: Line) -> None:
    line.socket.sendall(line.head("POST", "/v1/chat/completions", "transfer-encoding: chunked"))
    for at in range(0, len(BODY), 40):
        piece = BODY[at : at + 40]
        line.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    line.socket.sendall(b"0\r\n\r\n")
    assert said(line.answer()[2]) == "one two three"


def test_a_client_that_waits_for_permission_gets_it_before_it_sends(line: Line) -> None:
    line.socket.sendall(
        line.head("POST", "/v1/chat/completions", "expect: 100-continue", f"content-length: {len(BODY)}")
    )
    assert line.answer_head()[0] == 100
    line.socket.sendall(BODY)
    assert said(line.answer()[2]) == "one two three"


@pytest.mark.parametrize(("version", "header"), [("1.1", "connection: close"), ("1.0", "accept: */*")])
def test_a_connection_that_should_close_is_closed(line: Line, version: str, header: str) -> None:
    head = line.head("POST", "/v1/chat/completions", header, f"content-length: {len(BODY)}", version=version)
    line.socket.sendall(head + BODY)
    status, headers, body = line.answer()
    assert (status, headers["connection"], said(body)) == (200, "close", "one two three")
    assert line.is_closed


def test_the_answer_to_head_has_no_body(line: Line) -> None:
    line.ask("HEAD", "/v1/models")
    status, headers = line.answer_head()
    assert (status, headers["allow"]) == (405, "GET")
    line.ask("GET", "/v1/models")
    assert line.answer()[0] == 200


def test_a_path_may_be_escaped_and_have_a_query(line: Line) -> None:
    line.ask("GET", "/v1/%6dodels?limit=1")
    assert line.answer()[0] == 200


def test_a_stream_is_chunks_on_a_connection_that_is_kept(line: Line) -> None:
    line.ask(body=BODY.replace(b"{", b'{"stream": true, ', 1))
    status, headers, body = line.answer()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert body.endswith(b"data: [DONE]\n\n")
    line.ask(body=BODY)
    assert said(line.answer()[2]) == "one two three"


def test_what_is_no_http_is_refused(line: Line) -> None:
    line.socket.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n")
    assert line.answer()[0] == 400
    assert line.is_closed


def test_a_head_without_end_is_refused(line: Line) -> None:
    line.socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nx-long: ")
    status = None
    with contextlib.suppress(ConnectionError):  # a reset may overtake the 400
        for _ in range(64):
            line.socket.sendall(b"y" * 65536)
        status = line.answer()[0]
    assert status in (None, 400)


def test_a_client_that_leaves_before_a_whole_answer_stops_the_upstream(
    house: Any, eventually: Callable[..., Any]
) -> None:
    house.behave(head_s=60)
    before = len(house.faulty.simulation.log)
    with Line(house) as line:
        line.ask(body=BODY.replace(b"fast", b"stubborn"))
        eventually(lambda: len(house.faulty.simulation.log) > before)
    eventually(lambda: house.faulty.simulation.log[before].cancelled)
    house.behave()


def test_a_client_that_leaves_in_the_middle_of_its_body_disturbs_nobody(house: Any, line: Line) -> None:
    with Line(house) as other:
        other.socket.sendall(other.head("POST", "/v1/chat/completions", "content-length: 1000") + b"{")
    line.ask(body=BODY)
    assert said(line.answer()[2]) == "one two three"
