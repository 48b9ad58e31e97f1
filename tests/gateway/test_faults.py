"""docs/faults.md, row by row: each fault is made on a socket, and the row's words are what a client and the trace show."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gateway.faulty import PLAYS, Faulty

ROOT = Path(__file__).parents[2]
BEGUN = 'event: error\ndata: {"error":'


class House:
    """A server whose models lead to one fault each, and `backed-…` with a fallback that is well."""

    def __init__(self, server: Any, faulty: Faulty) -> None:
        self.server = server
        self.faulty = faulty

    def ask(self, model: str, *, stream: bool = False, **more: Any) -> httpx.Response:
        """One call."""
        messages = more.pop("messages", [{"role": "user", "content": "hello"}])
        body = {"model": model, "messages": messages, "stream": stream, **more}
        answer: httpx.Response = self.server.http.post("/v1/chat/completions", json=body)
        return answer

    def span(self, answer: httpx.Response) -> Any:
        """The span of its call."""
        return self.server.model_span(answer.headers["x-assay-trace-id"])

    def raw(self, payload: bytes) -> socket.socket:
        """A connection on which a request was sent."""
        connection = socket.create_connection(("127.0.0.1", self.server.port))
        connection.settimeout(20)
        connection.sendall(payload)
        return connection

    def request(self, body: dict[str, Any]) -> bytes:
        """The bytes of a call."""
        sent = json.dumps(body).encode()
        key = f"authorization: Bearer {self.server.key}"
        lines = ["POST /v1/chat/completions HTTP/1.1", "host: x", key, f"content-length: {len(sent)}", "", ""]
        return "\r\n".join(lines).encode() + sent


@pytest.fixture(scope="module")
def house(start_assay: Callable[..., Any]) -> Iterator[House]:
    faulty = Faulty()
    burst_of = "retries = 0\nbreaker = { failures = 5, open_s = 0.5 }"
    parts = ["[server]\nmax_body_mb = 1\n"]
    urls = {name: faulty.url(name) for name in PLAYS}
    urls |= {"no-tls": faulty.url("well").replace("http:", "https:"), "no-name": "http://nowhere.invalid/v1"}
    for name, url in urls.items():
        once = "retries = 0\nbreaker = { failures = 0 }\ntimeout = { connect_s = 2, first_token_s = 0.6, idle_s = 0.6 }\n"
        route = f'route = [{{ provider = "{name}", model = "up" }}]\n'
        parts.append(f'[providers.{name}]\ntype = "openai"\nbase_url = "{url}"\n')
        parts.append(f"[models.{name}]\n{route}{once if name != 'burst' else burst_of}\n")
        parts.append(f'[models.backed-{name}]\n{route}{once}fallback = ["well"]\n')
    yield House(start_assay("".join(parts)).ready(), faulty)
    faulty.close()


def limited(house: House) -> None:
    answer = house.ask("limited")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert house.ask("backed-limited").json()["choices"][0]["finish_reason"] == "stop"


def limited_silently(house: House) -> None:
    answer = house.ask("limited-silently")
    assert (answer.status_code, "retry-after" in answer.headers) == (429, False)


def burst(house: House) -> None:
    def breaker() -> str:
        lines: list[str] = house.server.http.get("/metrics").text.splitlines()
        return next(
            line.rpartition(" ")[2]
            for line in lines
            if line.startswith("assay_breaker_state") and '"burst"' in line
        )

    for _ in range(5):
        assert house.ask("burst").status_code == 500
    assert breaker() == "2"
    deadline = time.monotonic() + 20
    while breaker() == "2":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert breaker() == "1"
    assert house.ask("burst").status_code == 200
    assert breaker() == "0"


def cut_early(house: House) -> None:
    assert house.ask("cut-early", stream=True).status_code == 502
    answer = house.ask("backed-cut-early", stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert house.span(answer)["attempts"] == 2


def cut_late(house: House) -> None:
    answer = house.ask("backed-cut-late", stream=True)
    assert answer.status_code == 200
    assert "here" in answer.text
    assert BEGUN in answer.text
    assert "[DONE]" not in answer.text
    span = house.span(answer)
    assert (span["status"], span["attempts"]) == ("cut", 1)
    assert "Well, here" in json.dumps(span["output"])


def malformed(house: House) -> None:
    answer = house.ask("malformed", stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "broken" not in answer.text
    assert house.span(answer)["attributes"]["assay.stream.malformed_events"] == 1


def in_band(house: House) -> None:
    answer = house.ask("backed-in-band", stream=True)
    assert BEGUN in answer.text
    assert "overloaded" in answer.text
    assert "[DONE]" not in answer.text
    assert house.ask("backed-in-band-early", stream=True).text.endswith("data: [DONE]\n\n")


def page(house: House) -> None:
    answer = house.ask("page")
    assert (answer.status_code, "not a completion" in answer.text) == (502, True)
    assert house.ask("backed-page").status_code == 200


def no_json(house: House) -> None:
    assert house.ask("no-json").status_code == 502
    assert house.ask("backed-no-json").status_code == 200


def uncounted(house: House) -> None:
    usage = house.span(house.ask("uncounted"))["usage"]
    assert usage["output_source"] == "estimate"
    assert usage["output"] > 0


def packed(house: House) -> None:
    assert house.ask("packed").json()["choices"][0]["message"]["content"].startswith("Well, here")


def late(house: House) -> None:
    answer = house.ask("late", stream=True)
    assert (answer.status_code, "the first token within 0.6 s" in answer.text) == (504, True)
    assert house.ask("backed-late", stream=True).text.endswith("data: [DONE]\n\n")


def stall(house: House) -> None:
    answer = house.ask("backed-stall", stream=True)
    assert BEGUN in answer.text
    assert "the next token within 0.6 s" in answer.text
    assert "[DONE]" not in answer.text


def no_tls(house: House) -> None:
    answer = house.ask("no-tls")
    assert (answer.status_code, "cannot be reached" in answer.text) == (502, True)
    assert house.ask("backed-no-tls").status_code == 200


def no_name(house: House) -> None:
    answer = house.ask("no-name")
    assert (answer.status_code, "nowhere.invalid" in answer.text) == (502, True)
    assert house.ask("backed-no-name").status_code == 200


def left_early(house: House) -> None:
    house.faulty.left.clear()
    before = house.faulty.seen["late"]
    body = {"model": "late", "stream": True, "messages": [{"role": "user", "content": "early leaver"}]}
    with closing(house.raw(house.request(body))):
        deadline = time.monotonic() + 10
        while house.faulty.seen["late"] == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert house.faulty.left.wait(10)


def left_late(house: House) -> None:
    house.faulty.left.clear()
    body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "late leaver"}]}
    with closing(house.raw(house.request(body))) as connection:
        heard = b""
        while b"Well" not in heard:
            heard += connection.recv(65536)
    assert house.faulty.left.wait(10)
    trace = heard.partition(b"x-assay-trace-id: ")[2].partition(b"\r\n")[0].decode()
    assert house.server.model_span(trace)["status"] == "cancelled"


def too_large(house: House) -> None:
    answer = house.ask("well", messages=[{"role": "user", "content": "x" * 2**20}])
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


def many_messages(house: House) -> None:
    messages = [{"role": ("user", "assistant")[at % 2], "content": f"turn {at}"} for at in range(10_000)]
    assert house.ask("well", messages=messages).status_code == 200


def invalid_utf8(house: House) -> None:
    sent = b'{"model": "well", "messages": [{"role": "user", "content": "\xff\xfe"}]}'
    answer = house.server.http.post("/v1/chat/completions", content=sent)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def smuggled(house: House) -> None:
    answer = house.ask("well\r\nx-evil: 1")
    assert answer.status_code == 404
    assert "x-evil" not in answer.headers
    assert house.ask("well", stream=True, user="x\r\nx-evil: 1").status_code == 200


ROWS: dict[str, Callable[[House], None]] = {
    "429 with `Retry-After`": limited,
    "429 without": limited_silently,
    "a burst of 500s": burst,
    "cut before the first token": cut_early,
    "cut after the first token": cut_late,
    "a malformed chunk": malformed,
    "an error inside the stream": in_band,
    "a page instead of an API": page,
    "a body that is no JSON": no_json,
    "no usage": uncounted,
    "gzip that nobody asked for": packed,
    "a slow first token": late,
    "a stall in the middle": stall,
    "TLS fails": no_tls,
    "the name does not resolve": no_name,
    "the client leaves before the first token": left_early,
    "the client leaves in the middle": left_late,
    "a body over the limit": too_large,
    "10,000 messages": many_messages,
    "invalid UTF-8": invalid_utf8,
    "a line break in the model's name": smuggled,
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table_is_true(house: House, row: str) -> None:
    ROWS[row](house)


def test_the_table_has_these_rows_and_no_others() -> None:
    lines = (ROOT / "docs" / "faults.md").read_text().splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert rows[2:] == list(ROWS), "the first two are the head"
