"""The light client against a real server: answers, pages, and the server's errors in their own classes."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from assay import errors
from assay.sdk import Client


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Iterator[Any]:
    started = start_assay().ready()
    yield started
    started.stop()


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    made = Client(server.url, server.key)
    yield made
    made.close()


def test_a_key_says_who_one_is_and_the_socket_needs_none(server: Any, client: Client) -> None:
    assert client.get("/api/whoami")["via"] == "key"
    with closing(Client("http://assay", socket=server.data / "control.sock")) as local:
        assert (local.get("/api/whoami")["via"], local.get("/api/whoami")["role"]) == ("socket", "admin")


def test_pages_are_read_to_the_end(client: Client) -> None:
    made = {client.post("/api/keys", {"name": f"key {number}"})["id"] for number in range(3)}
    listed = [key["id"] for key in client.pages("/api/keys")]
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(
    ("act", "kind", "status"),
    [
        (lambda it: it.get("/api/traces/none"), errors.NotFound, 404),
        (lambda it: it.post("/api/keys", {"name": "x", "role": "king"}), errors.BadRequest, 400),
        (lambda it: it.post("/api/keys", b"{"), errors.BadRequest, 400),
        (lambda it: it.delete("/api/keys/none"), errors.NotFound, 404),
        (lambda it: it.get("/api/runs/none"), errors.NotFound, 404),
    ],
)
def test_an_error_is_raised_as_what_it_was(
    client: Client, act: Callable[[Client], object], kind: type[errors.AssayError], status: int
) -> None:
    with pytest.raises(kind) as caught:
        act(client)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.message


def test_a_wrong_key_is_unauthorized_and_a_weak_one_forbidden(server: Any, client: Client) -> None:
    with closing(Client(server.url, "sk-assay-wrong")) as wrong, pytest.raises(errors.Unauthorized):
        wrong.get("/api/keys")
    weak = client.post("/api/keys", {"name": "weak", "role": "viewer"})["key"]
    with closing(Client(server.url, weak)) as viewer, pytest.raises(errors.Forbidden):
        viewer.get("/api/keys")


def test_a_server_that_is_away_is_unavailable_and_the_hint_starts_one() -> None:
    with closing(Client("http://127.0.0.1:1", "k")) as away:
        with pytest.raises(errors.Unavailable, match="cannot be reached") as caught:
            away.get("/api/whoami")
    assert "assay up" in (caught.value.hint or "")


def test_a_long_answer_comes_in_pieces_and_its_error_is_raised(client: Client) -> None:
    with client.download("/api/openapi.json") as pieces:
        assert json.loads(b"".join(pieces))["openapi"].startswith("3.1")
    with pytest.raises(errors.NotFound), client.download("/api/nothing"):
        pass


def test_the_client_imports_nothing_of_the_server() -> None:
    code = "import sys, assay.sdk.client; print([name for name in sys.modules if name.startswith('assay.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rooms = {name.split(".")[1] for name in json.loads(said.replace("'", '"'))}
    assert rooms <= {"errors", "kit", "sdk"}
