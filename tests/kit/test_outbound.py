"""Addresses that somebody else chose."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadRequest, UpstreamDown
from assay.kit.outbound import check, client


def public(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


def private(host: str, port: int) -> list[str]:
    return ["93.184.216.34", "10.0.0.7"]


REFUSED = [
    "ftp://example.com/x",
    "file:///etc/passwd",
    "//example.com/x",
    "example.com",
    "http://",
    "http://user@example.com/",
    "http://user:pass@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1/",
    "http://127.9.9.9:8080/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data",
    "http://100.100.100.200/",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://localhost/",
    "http://localhost./",
    "http://x.localhost:99/",
    "http://metadata.google.internal/",
    "http://printer.local/",
    "http://exa mple.com/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com/\r\nhost: x",
    "http://①②⑦.⓪.⓪.①/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_must_not_be_fetched_is_refused_when_it_is_saved(url: str) -> None:
    with pytest.raises(BadRequest):
        check(url, resolver=public)


@pytest.mark.parametrize("url", REFUSED)
def test_it_is_refused_again_when_it_is_fetched(url: str) -> None:
    # Without a loopback connection made: the test's own guard over sockets allows those.
    with client(resolver=public) as guarded, pytest.raises((BadRequest, httpx.HTTPError, httpx.InvalidURL)):
        guarded.get(url, timeout=0.001)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://example.com:8443/a?b=c",
        "http://93.184.216.34/",
        "https://[2606:4700::1]/",
    ],
)
def test_a_public_address_passes(url: str) -> None:
    check(url, resolver=public)


def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"10\.0\.0\.7"):
        check("http://example.com/", resolver=private)


def test_a_name_that_does_not_resolve_now_may_be_saved_and_is_not_fetched() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    check("http://example.com/", resolver=unknown)
    with client(resolver=unknown) as guarded, pytest.raises(UpstreamDown, match="cannot be resolved"):
        guarded.get("http://example.com/")


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_passes_only_if_it_is_global(address: object) -> None:
    text = str(address)
    is_global = address.is_global and not address.is_multicast  # type: ignore[attr-defined]
    if is_global and text not in ("168.63.129.16", "192.0.0.192"):
        check(f"http://{text}/")
    else:
        with pytest.raises(BadRequest):
            check(f"http://{text}/")


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_what_an_administrator_configures_may_be_private(address: object) -> None:
    check(f"http://{address}/", allow_private=True)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[fe80::1]/"])
def test_metadata_is_never_reached(url: str) -> None:
    with pytest.raises(BadRequest):
        check(url, allow_private=True)


class Answers(BaseHTTPRequestHandler):
    hosts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.hosts.append(self.headers["host"])
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[int]:
    Answers.hosts.clear()
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_connection_goes_to_the_address_that_was_checked_under_the_original_name() -> None:
    asked: list[str] = []

    def pinned(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with serving() as port, client(allow_private=True, resolver=pinned) as guarded:
        # No resolver but ours knows this name, so the answer shows that nobody resolved it again.
        assert guarded.get(f"http://weights.test:{port}/").text == "ok"
    assert asked == ["weights.test"]
    assert Answers.hosts == [f"weights.test:{port}"]


def test_every_redirect_passes_the_guard() -> None:
    def by_name(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "start.test" else ["169.254.169.254"]

    with serving() as port, client(allow_private=True, resolver=by_name) as guarded:
        assert guarded.get(f"http://start.test:{port}/to/http://start.test:{port}/").text == "ok"
        for target in (
            "http://other.test/",
            "http://169.254.169.254/",
            "ftp://start.test/",
            "http://u:p@start.test/",
        ):
            with pytest.raises((BadRequest, httpx.UnsupportedProtocol)):
                guarded.get(f"http://start.test:{port}/to/{target}")


def test_redirects_end() -> None:
    with serving() as port, client(allow_private=True) as guarded:
        step = f"http://127.0.0.1:{port}/to/"
        with pytest.raises(httpx.TooManyRedirects):
            guarded.get(step * 7 + f"http://127.0.0.1:{port}/")
