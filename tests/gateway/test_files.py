"""Files with the official OpenAI client against a real server."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

CONFIG = """
[server]
max_file_mb = 2
max_project_files_mb = 3
[providers.practice]
type = "simulated"
[models.fast]
route = [{ provider = "practice", model = "m" }]
"""


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = start_assay(CONFIG, folder=tmp_path_factory.mktemp("files")).ready()
    yield server
    server.stop()


@pytest.fixture
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as client:
        yield client


def test_a_file_is_kept_listed_read_and_deleted(client: openai.OpenAI, server: Any) -> None:
    content = b'{"a": 1}\n\x00\xff' * 50_000
    made = client.files.create(
        file=("folder/day one.jsonl", content),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (made.filename, made.bytes, made.purpose) == ("day one.jsonl", len(content), "batch")
    assert made.expires_at == made.created_at + 3600
    other = client.files.create(file=("b.txt", b"hello"), purpose="user_data")
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == content
    assert [file.id for file in client.files.list()] == [other.id, made.id]
    assert [file.id for file in client.files.list(limit=1, order="asc")] == [made.id, other.id]
    assert [file.id for file in client.files.list(purpose="batch")] == [made.id]
    kept = sorted((server.config.parent / "data").rglob("files/*/*/*"))
    assert len(kept) == 2
    for file in (made, other):
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)
    assert not any(path.exists() for path in kept)


def test_equal_contents_lie_there_once_until_the_last_goes(client: openai.OpenAI, server: Any) -> None:
    first, second = (client.files.create(file=("a", b"same"), purpose="user_data") for _ in range(2))
    assert first.id != second.id
    assert len(list((server.config.parent / "data").rglob("files/*/*/*"))) == 1
    client.files.delete(first.id)
    assert client.files.content(second.id).read() == b"same"
    client.files.delete(second.id)


def test_what_is_too_large_or_no_file_is_refused(client: openai.OpenAI, server: Any) -> None:
    with pytest.raises(openai.APIStatusError, match="larger than 2 MiB") as caught:
        client.files.create(file=("big", b"x" * (3 << 20)), purpose="batch")
    assert caught.value.status_code == 413
    kept = client.files.create(file=("one", b"1" * (2 << 20)), purpose="batch")
    with pytest.raises(openai.APIStatusError, match="3 MiB"):
        client.files.create(file=("two", b"2" * (2 << 20)), purpose="batch")
    client.files.delete(kept.id)
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.files.create(file=("none", b""), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="batch, user_data, fine-tune"):
        client.files.create(file=("a", b"a"), purpose="vision")
    assert list((server.config.parent / "data").rglob("files/*.part")) == []


@pytest.mark.parametrize(
    ("sent", "status", "param"),
    [
        ({"json": {"purpose": "batch"}}, 415, None),
        ({"data": {"purpose": "batch"}}, 415, None),
        ({"files": {"file": ("a", b"a")}}, 400, "purpose"),
        ({"files": {"other": (None, b"a")}, "data": {"purpose": "batch"}}, 400, "file"),
        (
            {
                "files": {"file": ("a", b"a")},
                "data": {"purpose": "batch", "expires_after[anchor]": "created_at"},
            },
            400,
            "expires_after.seconds",
        ),
        (
            {"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            400,
            None,
        ),
    ],
)
def test_a_form_that_cannot_be_read_is_named(server: Any, sent: Any, status: int, param: str | None) -> None:
    answer: httpx.Response = server.http.post("/v1/files", **sent)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_another_project_finds_nothing(client: openai.OpenAI, server: Any) -> None:
    mine = client.files.create(file=("a", b"secret"), purpose="user_data")
    made = server.http.post("/api/projects", json={"id": "elsewhere", "admin_key": True}).raise_for_status()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=made.json()["key"], max_retries=0) as theirs:
        assert list(theirs.files.list()) == []
        for gone in (theirs.files.retrieve, theirs.files.content, theirs.files.delete):
            with pytest.raises(openai.NotFoundError):
                gone(mine.id)
    client.files.delete(mine.id)


def test_an_upload_is_in_the_log(client: openai.OpenAI, server: Any) -> None:
    made = client.files.create(file=("a.txt", b"logged"), purpose="user_data")
    entries = (
        server.http.get("/api/audit", params={"action": "file.created"}).raise_for_status().json()["items"]
    )
    assert made.id in [entry["subject"] for entry in entries]
    client.files.delete(made.id)
