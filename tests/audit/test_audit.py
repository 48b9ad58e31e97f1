"""The log: what every change leaves in it, who may read it, and that nobody can change it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.access.conftest import House, quick_hashes
from tests.access.test_accounts import signed_in

import assay.app  # noqa: F401 - declares the tables of every room
from assay.access import PROJECT, Role, create_key
from assay.access.acting import SERVER, Actor, acting
from assay.audit.ledger import list_entries, log_changes
from assay.audit.types import EntryFilter
from assay.errors import BadRequest
from assay.records import metadata
from assay.records.auditing import Audited, Change, auditing_of

__all__ = ["quick_hashes"]


@pytest.fixture
def house(tmp_path: Any) -> Iterator[House]:
    """A server of the room's handlers."""
    made = House(tmp_path)
    yield made
    made.records.close()


def entries(house: House, **wanted: Any) -> list[Any]:
    """What the API says, newest first."""
    with house.client(house.admin_key) as admin:
        answer = admin.get("/api/audit", params=wanted)
        assert answer.status_code == 200, answer.text
        items: list[Any] = answer.json()["items"]
        return items


def test_every_table_says_how_its_changes_are_logged_or_why_not() -> None:
    said = {name: auditing_of(table) for name, table in metadata.tables.items()}
    assert [name for name, how in said.items() if how is None] == []
    hidden = {"hash", "password_hash", "secret", "token", "body", "content"}
    for name, how in said.items():
        if isinstance(how, Audited) and name in ("keys", "users", "sessions"):
            assert not hidden & {*how.shows, *how.subject}, name
        columns = {column.name for column in metadata.tables[name].columns}
        if isinstance(how, Audited):
            assert {*how.shows, *how.subject, *how.verbs} <= columns, name


def test_a_change_says_who_what_when_from_where_and_what_it_was_before(house: House) -> None:
    house.user("ann", default=Role.ADMIN)
    with signed_in(house, "ann") as ann:
        made = ann.post("/api/keys", json={"name": "checkout", "role": "viewer"}).json()
        ann.delete(f"/api/keys/{made['id']}").raise_for_status()
        ann.patch("/api/projects/default", json={"name": "Main"}).raise_for_status()
    renamed, revoked, created = entries(house, actor="ann")[:3]
    assert {
        name: created[name] for name in ("action", "subject", "actor_id", "via", "address", "project")
    } == {
        "action": "key.created",
        "subject": "checkout",
        "actor_id": "user:ann",
        "via": "session",
        "address": "testclient",
        "project": "default",
    }
    assert created["after"] == {"id": made["id"], "role": "viewer", "prefix": made["prefix"]}
    assert created["at"].endswith("Z")
    assert (revoked["action"], revoked["before"]) == ("key.revoked", {"revoked_at": None})
    assert revoked["after"]["revoked_at"].endswith("Z")
    assert (renamed["before"], renamed["after"]) == ({"name": "default"}, {"name": "Main"})


def test_every_way_of_changing_something_is_told_apart(house: House) -> None:
    with house.client(house.admin_key) as admin, house.client() as browser:
        admin.post("/api/keys", json={"name": "by key"}).raise_for_status()
        browser.post("/login", data={"key": house.admin_key})
        token = browser.get("/api/whoami").json()["csrf_token"]
        browser.post("/keys", data={"name": "by page", "csrf_token": token}).raise_for_status()
    with house.records.write() as tx:
        create_key(tx, PROJECT, name="by the server itself")
    ways = {entry["subject"]: (entry["via"], entry["actor"]) for entry in entries(house, action="key")}
    assert ways == {
        "by key": ("key", "admin"),
        "by page": ("session", "admin"),
        "by the server itself": ("server", "assay"),
        "admin": ("server", "assay"),
    }


def test_what_was_refused_leaves_nothing_but_the_failed_login(house: House) -> None:
    before = len(entries(house))
    with house.client(house.make(Role.EDITOR)) as editor:
        assert editor.post("/api/keys", json={"name": "x"}).status_code == 403
    with house.client(house.admin_key) as admin:
        assert admin.post("/api/keys", json={"name": ""}).status_code == 400
        assert admin.post("/api/projects", json={"id": "default"}).status_code == 409
    assert len(entries(house)) == before + 1, "the editor's key"


def test_no_secret_is_ever_in_the_log(house: House) -> None:
    with house.client(house.admin_key) as admin:
        key = admin.post("/api/keys", json={"name": "checkout"}).json()["key"]
        user = admin.post("/api/users", json={"name": "ann", "role": "viewer"}).json()
        reset = admin.put("/api/users/ann/password", json={}).json()
        made = admin.post("/api/projects", json={"id": "shop", "admin_key": True}).json()
    with house.client() as browser:
        browser.post("/login", data={"user": "ann", "password": "the wrong password 1"})
        browser.post("/login", data={"key": "sk-assay-wrong"})
        browser.post("/login", data={"user": "ann", "password": reset["password"]})
        cookie = browser.cookies["assay_session"]
    with house.records.read() as tx:
        rows = str(tx.execute(text("SELECT * FROM audit")).all())
        hashes = tx.execute(text("SELECT hash FROM keys UNION SELECT password_hash FROM users")).scalars()
        for secret in (
            *hashes,
            *(key, user["password"], reset["password"], made["key"], house.admin_key, cookie),
            *("the wrong password 1", "sk-assay-wrong"),
        ):
            assert secret not in rows
    assert "login.succeeded" in rows


def test_the_log_is_written_or_the_change_is_not_made(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no room for the log")

    house.records.observe(full)
    with house.client(house.admin_key) as admin:
        assert admin.post("/api/keys", json={"name": "unlogged"}).status_code == 500
        house.records.observe(log_changes)
        assert [each["name"] for each in admin.get("/api/keys").json()["items"]] == ["admin"]


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
def test_nobody_rewrites_the_log_not_even_with_sql(house: House, statement: str) -> None:
    with pytest.raises(DBAPIError, match="kept as it was written"), house.records.write() as tx:
        tx.execute(text(statement))
    assert entries(house)


def test_a_page_of_the_log_follows_another_without_gap_or_repeat(house: House) -> None:
    for number in range(25):
        with house.records.write() as tx:
            create_key(tx, PROJECT, name=f"a {number}")
            create_key(tx, PROJECT, name=f"b {number}")
    seen: list[str] = []
    cursor: str | None = None
    with house.client(house.admin_key) as admin:
        while True:
            asked = {"action": "key", "limit": "7", **({"cursor": cursor} if cursor else {})}
            page = admin.get("/api/audit", params=asked).json()
            seen += [entry["subject"] for entry in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        bad = admin.get("/api/audit?cursor=W10")
        assert (bad.status_code, bad.json()["error"]["param"]) == (400, "cursor")
    expected = [f"{letter} {number}" for number in range(25) for letter in "ab"]
    assert seen == [*reversed(expected), "admin"], "changes of one transaction keep their order"


def test_the_log_is_filtered_by_who_what_which_and_when(house: House) -> None:
    house.user("ann", default=Role.ADMIN)
    with signed_in(house, "ann") as ann:
        ann.post("/api/keys", json={"name": "checkout"}).raise_for_status()
    assert {entry["actor"] for entry in entries(house, actor="ann")} == {"ann"}
    assert {entry["action"] for entry in entries(house, action="user")} == {"user.created"}
    assert entries(house, action="use") == []
    assert entries(house, action="key.created", subject="checkout")[0]["actor"] == "ann"
    assert entries(house, subject="' or 1=1 --") == []
    assert entries(house, action="%") == []
    assert entries(house, since="2200-01-01T00:00:00Z") == []
    assert entries(house, until="2000-01-01T00:00:00Z") == []
    assert entries(house, since="2000-01-01T00:00:00+01:00", until="2200-01-01T00:00:00Z")
    with house.client(house.admin_key) as admin:
        for name in ("since", "until"):
            refused = admin.get("/api/audit", params={name: "yesterday"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)


def test_each_project_has_a_log_of_its_own_and_the_server_one_of_them_all(house: House) -> None:
    house.project("shop")
    house.user("ann", shop=Role.ADMIN)
    with signed_in(house, "ann") as ann:
        ann.post("/api/keys", json={"name": "checkout"}).raise_for_status()
        mine = ann.get("/api/audit").json()["items"]
        assert {entry["project"] for entry in mine} == {"shop"}
        assert [entry["action"] for entry in mine] == [
            "key.created",
            "login.succeeded",
            "member.created",
            "project.created",
        ]
    assert {entry["project"] for entry in entries(house)} == {"default"}
    assert {entry["project"] for entry in entries(house, everywhere=True)} == {"default", "shop"}


def test_the_page_shows_the_log_with_filters_that_stay_in_its_address(house: House) -> None:
    with house.client(house.admin_key) as admin:
        admin.post("/api/keys", json={"name": "<b>checkout</b>"}).raise_for_status()
        page = admin.get("/audit")
        assert "&lt;b&gt;checkout" in page.text
        assert "<b>checkout" not in page.text
        assert "key created" in page.text
        only = admin.get("/audit?action=key.created&actor=admin").text
        assert 'value="key.created" selected' in only
        assert "project created" not in only
        assert "No entry like these" in admin.get("/audit?subject=nothing").text
        assert admin.get("/audit?since=2026-01-01&until=2200-12-31").status_code == 200
        assert "No entry like these" in admin.get("/audit?until=2001-01-01").text
        assert admin.get("/audit?since=soon").status_code == 400
        assert admin.get("/audit?everywhere=on").status_code == 200
    house.project("shop")
    with house.client(house.make(Role.ADMIN, project="shop")) as other:
        assert other.get("/audit?everywhere=on").status_code == 403
        assert "In every project" not in other.get("/audit").text


def test_who_acts_is_known_in_threads_of_the_request_and_nowhere_else(house: House) -> None:
    seen: list[Actor] = []

    async def request() -> None:
        acting.set(Actor(name="ann"))
        await asyncio.to_thread(lambda: seen.append(acting.get()))

    asyncio.run(request())
    thread = threading.Thread(target=lambda: seen.append(acting.get()))
    thread.start()
    thread.join()
    assert [actor.name for actor in seen] == ["ann", SERVER.name]


def test_an_entry_of_no_project_is_kept_with_the_servers(house: House) -> None:
    with house.records.write() as tx:
        log_changes(tx, [Change(action="moon.rose", subject="full")])
    with house.records.read() as tx:
        (entry,) = list_entries(tx, EntryFilter(project=PROJECT, action="moon")).items
        with pytest.raises(BadRequest):
            list_entries(tx, EntryFilter(project=None), cursor="x")
    assert (entry.project, entry.actor, entry.before) == ("default", "assay", None)
