"""The pages of prompts: versions, what changed, labels; hostile templates stay text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from assay import web
from assay.access import KEYS, PROJECT, SESSIONS, Role, create_key, prepare
from assay.access.guards import csrf_token, person
from assay.prompts import pages
from assay.prompts.content import PromptContent, TemplateMessage
from assay.prompts.registry import move_label, push
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import shell


class House:
    """Records with prompts, and a client of the pages."""

    def __init__(self, directory: Path) -> None:
        self.records = Records.in_directory(directory)
        self.records.upgrade()
        with self.records.write() as tx:
            prepare(tx, None)
            self.keys = {role: create_key(tx, PROJECT, name=role, role=role)[1] for role in Role}
        app = web.build(
            handlers=pages.handlers,
            dependencies={"records": self.records},
            snapshot=SnapshotSource(self.records, [KEYS, SESSIONS]),
            surroundings=shell.Shell(
                shell.environment(["prompts"]), nav=shell.NAVIGATION, person=person, csrf_token=csrf_token
            ),
            max_body_bytes=10_000,
        )
        self.client: Any = TestClient(app, base_url="http://assay.test", raise_server_exceptions=False)
        self.client.follow_redirects = False
        self.be(Role.EDITOR)

    def be(self, role: Role) -> None:
        """Act with this role from now on."""
        self.client.headers["authorization"] = f"Bearer {self.keys[role]}"

    def push(self, *texts: str, name: str = "polish") -> None:
        """Versions of a prompt."""
        with self.records.write() as tx:
            for text in texts:
                push(tx, PROJECT, name, PromptContent(template=text), actor="ann", notes=f"says {text[:4]}")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with house.client:
        yield house
    house.records.close()


def test_the_empty_list_says_how_a_prompt_is_made(house: House) -> None:
    assert "assay prompts push" in house.client.get("/prompts").text


def test_the_list_leads_to_prompts_and_to_what_labels_point_at(house: House) -> None:
    house.push("one {{ text }}", "two {{ text }}")
    with house.records.write() as tx:
        move_label(tx, PROJECT, "polish", "production", 1, actor="ann")

    text = house.client.get("/prompts").text

    assert 'href="/prompts/polish"' in text
    assert 'href="/prompts/polish?version=1"' in text
    assert "production v1" in text


def test_a_version_shows_what_it_says_and_what_it_changed(house: House) -> None:
    house.push("Correct this:\n{{ text }}", "Correct this kindly:\n{{ text }}", "Mend:\n{{ text }}")

    newest = house.client.get("/prompts/polish").text
    second = house.client.get("/prompts/polish?version=2").text
    apart = house.client.get("/prompts/polish?version=3&against=1").text
    first = house.client.get("/prompts/polish?version=1").text

    assert '<span class="removed">-Correct this kindly:' in newest
    assert '<span class="added">+Mend:' in newest
    assert '<span class="removed">-Correct this:' in second
    assert '<span class="removed">-Correct this:' in apart
    assert "Changed since" not in first
    assert "says Mend" in newest
    assert house.client.get("/prompts/polish?version=9").status_code == 404
    assert house.client.get("/prompts/nothing").status_code == 404


def test_a_label_is_moved_by_who_may_edit(house: House) -> None:
    house.push("one", "two")

    moved = house.client.post("/prompts/polish/labels", data={"label": "staging", "version": 2})

    assert (moved.status_code, moved.headers["location"]) == (303, "/prompts/polish?version=2")
    assert "staging v2" in house.client.get("/prompts/polish").text
    assert house.client.post("/prompts/polish/labels", data={"label": "a b", "version": 2}).status_code == 400
    house.be(Role.VIEWER)
    assert house.client.post("/prompts/polish/labels", data={"label": "x", "version": 1}).status_code == 403
    page = house.client.get("/prompts/polish").text
    assert 'action="/prompts/polish/labels"' not in page
    assert "/playground?" not in page


def test_what_a_prompt_says_stays_text(house: House) -> None:
    hostile = "<script>alert(1)</script>\u202e"
    with house.records.write() as tx:
        messages = (
            TemplateMessage("system", hostile),
            TemplateMessage("history"),
            TemplateMessage("user", "{{ x }}"),
        )
        push(tx, PROJECT, "talk", PromptContent(messages=messages), actor=hostile)
        push(tx, PROJECT, "talk", PromptContent(messages=messages[1:]), actor=hostile)

    texts = [house.client.get(path).text for path in ("/prompts/talk?version=1", "/prompts/talk")]

    for text in texts:
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "conversation so far" in text
