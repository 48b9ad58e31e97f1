"""Signing in with a name and a password, as a browser does it and as whoever guesses would like it."""

import re
from typing import Any

import pytest
from argon2 import PasswordHasher
from tests.access.conftest import PASSWORD
from tests.access.test_accounts import signed_in

from assay.access import Role, passwords, sessions, store

NEW = "amber-otter-19-lakes"


def try_login(house: Any, name: str, password: str, **headers: str) -> Any:
    with house.client() as client:
        return client.post("/login", data={"user": name, "password": password}, headers=headers)


def entries(house: Any, action: str) -> list[dict[str, Any]]:
    with house.client(house.admin_key) as admin:
        found: list[dict[str, Any]] = admin.get("/api/audit", params={"action": action}).json()["items"]
    return found


def test_a_login_leads_where_one_wanted_and_remembers_who_one_is(house: Any) -> None:
    house.user("ann@example.org", default=Role.EDITOR)
    with house.client() as client:
        form = client.get("/login?next=/settings").text
        assert 'autocomplete="current-password"' in form
        data = {"user": " Ann@Example.ORG", "password": PASSWORD, "next": "/settings"}
        answer = client.post("/login", data=data)
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        who = client.get("/api/whoami").json()
        assert (who["user"], who["role"], who["via"], who["key_id"]) == (
            "ann@example.org",
            "editor",
            "session",
            None,
        )
        assert client.get("/login").headers["location"] == "/"


def test_before_there_is_an_account_only_a_key_is_asked_for(house: Any) -> None:
    with house.client() as client:
        assert 'name="password"' not in client.get("/login").text
        house.user("ann", default=Role.VIEWER)
        assert 'name="password"' in client.get("/login").text
        assert client.post("/login", data={"key": house.admin_key}).status_code == 303


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "\t//evil"],
)
def test_no_login_leads_to_another_site(house: Any, wanted: str) -> None:
    house.user("ann", default=Role.VIEWER)
    with house.client() as client:
        form = client.get("/login", params={"next": wanted}).text
        assert '<input type="hidden" name="next" value="/">' in form
        for data in ({"user": "ann", "password": PASSWORD}, {"key": house.admin_key}):
            client.cookies.clear()
            answer = client.post("/login", data={**data, "next": wanted})
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
        other = client.get("/login", params={"next": wanted})
        assert (other.status_code, other.headers["location"]) == (303, "/")
        token = client.get("/api/whoami").json()["csrf_token"]
        moved = client.post("/project", data={"project": "default", "next": wanted, "csrf_token": token})
        assert moved.headers["location"] == "/"


def test_unknown_wrong_and_disabled_look_alike(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    house.user("bob", default=Role.VIEWER)
    with house.client(house.admin_key) as admin:
        admin.post("/api/users/bob/disable").raise_for_status()
    tries = [("ann", "wrong"), ("nobody", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("bob", "wrong")]
    answers = [try_login(house, name, password) for name, password in tries]
    assert {answer.status_code for answer in answers} == {401}
    texts = [
        answer.text.replace(f'value="{name}"', "") for (name, _), answer in zip(tries, answers, strict=True)
    ]
    assert len(set(texts)) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
    assert "do not belong together" in texts[0]


def test_each_kind_of_refusal_does_the_same_work(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.user("ann", default=Role.VIEWER)
    asked: list[bool] = []
    matches = passwords.matches

    def watched(kept: str | None, password: str) -> bool:
        asked.append(kept is not None)
        return matches(kept, password)

    monkeypatch.setattr(passwords, "matches", watched)
    for name in ("ann", "nobody"):
        try_login(house, name, "wrong")
    assert asked == [True, False]


def test_guessing_at_one_account_is_slowed_down_and_lawfully(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    house.user("bob", default=Role.VIEWER)
    assert [try_login(house, "ann", f"guess {n}").status_code for n in range(7)] == [401] * 5 + [429] * 2
    held = try_login(house, "ann", PASSWORD)
    assert held.status_code == 429, "even the right one has to wait"
    assert held.headers["retry-after"] == "30"
    assert "Too many attempts" in held.text
    assert [try_login(house, "nobody", "x").status_code for _ in range(7)] == [401] * 5 + [429] * 2
    assert try_login(house, "bob", PASSWORD).status_code == 303
    house.clock.advance(30)
    assert try_login(house, "ann", PASSWORD).status_code == 303
    assert try_login(house, "ann", "guess").status_code == 401


def test_guessing_from_one_address_is_slowed_down_for_names_and_keys(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    statuses = [try_login(house, f"user{n}", "x").status_code for n in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    with house.client() as client:
        assert client.post("/login", data={"key": "sk-assay-guess"}).status_code == 429
        house.clock.advance(12)
        assert client.post("/login", data={"key": "sk-assay-guess"}).status_code == 401
        assert client.post("/login", data={"key": house.admin_key}).status_code == 303


def test_each_attempt_is_in_the_log_without_what_was_typed(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    for n in range(8):
        try_login(house, "ann", f"secret guess {n}")
    try_login(house, "my-secret-password-in-the-wrong-field", "x")
    house.clock.advance(3600)
    assert try_login(house, "ann", PASSWORD, **{"user-agent": "A browser"}).status_code == 303
    failed = entries(house, "login.failed")
    assert [entry["subject"] for entry in failed] == ["an unknown account", *["ann"] * 6], (
        "five guesses and one refusal that stands for those after it"
    )
    assert failed[1]["after"] == {"why": "Too many attempts to sign in"}
    assert {entry["actor"] for entry in failed} == {"nobody"}
    assert {entry["address"] for entry in failed} == {"testclient"}
    (succeeded,) = entries(house, "login.succeeded")
    assert (succeeded["actor"], succeeded["actor_id"], succeeded["after"]["browser"]) == (
        "ann",
        "user:ann",
        "A browser",
    )
    with house.client(house.admin_key) as admin:
        told = admin.get("/api/audit?limit=500").text
    for secret in ("secret", "guess", PASSWORD, house.admin_key):
        assert secret not in told


def test_a_token_that_was_planted_before_is_worth_nothing_after(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    with signed_in(house, "ann") as attacker, house.client() as victim:
        planted = attacker.cookies[sessions.COOKIE]
        for token in ("a-token-of-the-attackers-choice", planted):
            victim.cookies.clear()
            victim.cookies.set(sessions.COOKIE, token)
            answer = victim.post("/login", data={"user": "ann", "password": PASSWORD})
            fresh = re.search(rf"{sessions.COOKIE}=([^;]+)", answer.headers["set-cookie"])
            assert fresh
            assert fresh[1] != token
            assert sessions.find(house.snapshot.current, fresh[1]) is not None
            assert sessions.find(house.snapshot.current, token) is None
    with house.records.read() as tx:
        assert len(store.sessions_of(tx, user="ann", key_id=None)) == 2


def test_an_outdated_hash_is_made_anew_at_the_next_login(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.user("ann", default=Role.VIEWER)
    with house.records.read() as tx:
        before = store.find_user(tx, "ann")
    stronger = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "HASHER", stronger)
    assert try_login(house, "ann", "wrong").status_code == 401
    with house.records.read() as tx:
        assert store.find_user(tx, "ann") == before
    assert try_login(house, "ann", PASSWORD).status_code == 303
    with house.records.read() as tx:
        user, kept = store.find_user(tx, "ann") or (None, "")
    assert "m=64,t=2" in kept
    assert before is not None
    assert user is not None
    assert user.password_changed_at_ns == before[0].password_changed_at_ns
    assert entries(house, "user.password_changed") == []
    assert try_login(house, "ann", PASSWORD).status_code == 303


def test_a_password_that_changes_while_it_is_checked_opens_nothing(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.user("ann", default=Role.VIEWER)
    matches = passwords.matches

    def slow(kept: str | None, password: str) -> bool:
        is_right = matches(kept, password)
        with house.client(house.admin_key) as admin:
            admin.put("/api/users/ann/password", json={}).raise_for_status()
        return is_right

    monkeypatch.setattr(passwords, "matches", slow)
    assert try_login(house, "ann", PASSWORD).status_code == 401


def test_another_password_ends_every_other_login_and_this_one_goes_on_under_a_new_token(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    with signed_in(house, "ann") as here, signed_in(house, "ann") as there:
        old = here.cookies[sessions.COOKIE]
        form = {"current": PASSWORD, "new": NEW, "again": NEW, "csrf_token": here.headers["x-csrf-token"]}
        answer = here.post("/settings/password", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings?changed=true")
        assert "Every other login" in here.get("/settings?changed=true").text
        assert here.cookies[sessions.COOKIE] != old
        assert sessions.find(house.snapshot.current, old) is None
        assert there.get("/api/whoami").status_code == 401
        assert len(here.get("/api/logins").json()["items"]) == 1
    assert try_login(house, "ann", PASSWORD).status_code == 401
    assert try_login(house, "ann", NEW).status_code == 303
    (changed,) = entries(house, "user.password_changed")
    assert (changed["actor"], changed["subject"]) == ("ann", "ann")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"current": "wrong"}, "not right"),
        ({"new": "short", "again": "short"}, "12 to 256"),
        ({"new": PASSWORD, "again": PASSWORD}, "present password"),
        ({"again": "another-one-entirely"}, "differ"),
    ],
)
def test_what_is_wrong_with_another_password_is_said(house: Any, change: dict[str, str], said: str) -> None:
    house.user("ann", default=Role.VIEWER)
    with signed_in(house, "ann") as ann:
        form = {"current": PASSWORD, "new": NEW, "again": NEW, "csrf_token": ann.headers["x-csrf-token"]}
        answer = ann.post("/settings/password", data={**form, **change})
        assert answer.status_code == 400
        assert said in answer.text
        assert PASSWORD not in answer.text
        assert ann.get("/api/whoami").status_code == 200
    assert try_login(house, "ann", PASSWORD).status_code == 303


def test_the_present_password_cannot_be_guessed_in_an_open_browser(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    with signed_in(house, "ann") as ann:
        bodies = [{"current": f"guess {n}", "new": NEW} for n in range(7)]
        statuses = [ann.put("/api/account/password", json=body).status_code for body in bodies]
        assert statuses == [400] * 5 + [429] * 2
    assert {entry["actor"] for entry in entries(house, "login.failed")} == {"ann"}


def test_a_key_has_no_password(house: Any) -> None:
    with house.client(house.admin_key) as admin:
        answer = admin.put("/api/account/password", json={"current": "x", "new": NEW})
        assert (answer.status_code, "no password" in answer.text) == (400, True)


def test_ones_logins_are_listed_and_ended_and_nobody_elses(house: Any) -> None:
    house.user("ann", default=Role.ADMIN)
    house.user("bob", default=Role.ADMIN)
    with signed_in(house, "ann") as here, signed_in(house, "ann") as there, signed_in(house, "bob") as bob:
        mine = here.get("/api/logins").json()["items"]
        assert [each["present"] for each in mine].count(True) == 1
        assert {each["address"] for each in mine} == {"testclient"}
        (bobs,) = bob.get("/api/logins").json()["items"]
        assert here.delete(f"/api/logins/{bobs['id']}").status_code == 404
        assert bob.get("/api/whoami").status_code == 200
        (other,) = [each["id"] for each in mine if not each["present"]]
        assert here.delete(f"/api/logins/{other}").json() == {"ended": 1}
        assert there.get("/api/whoami").status_code == 401
        with signed_in(house, "ann") as third, signed_in(house, "ann"):
            assert third.delete("/api/logins").json() == {"ended": 2}
            assert here.get("/api/whoami").status_code == 401
            assert third.get("/api/whoami").status_code == 200
            assert bob.get("/api/whoami").status_code == 200
    with house.client(house.admin_key) as admin:
        assert admin.get("/api/logins").json()["items"] == []


def test_a_login_may_be_with_a_key_too_and_lists_those_with_that_key(house: Any) -> None:
    with house.client() as here, house.client() as there:
        for client in (here, there):
            assert client.post("/login", data={"key": house.admin_key}).status_code == 303
        with house.client(house.admin_key) as admin:
            assert len(admin.get("/api/logins").json()["items"]) == 2
            assert admin.delete("/api/logins").json() == {"ended": 2}
        assert here.get("/api/whoami").status_code == 401


def test_an_account_without_a_role_is_told_so_after_its_password_was_right(house: Any) -> None:
    house.user("ann")
    assert try_login(house, "ann", "wrong").status_code == 401
    refused = try_login(house, "ann", PASSWORD)
    assert (refused.status_code, "No project is open" in refused.text) == (403, True)
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://assay.test"}, 303),
        ({"sec-fetch-site": "same-origin", "origin": "http://assay.test"}, 303),
        ({}, 303),
    ],
)
def test_no_other_site_signs_a_browser_in(house: Any, headers: dict[str, str], status: int) -> None:
    house.user("ann", default=Role.VIEWER)
    assert try_login(house, "ann", PASSWORD, **headers).status_code == status


@pytest.mark.parametrize("name", ["' or 1=1 --", "ann\x00", "a" * 100_000, "\ud7ff", "<script>"])
def test_hostile_names_are_refused_like_any_other(house: Any, name: str) -> None:
    house.user("ann", default=Role.VIEWER)
    answer = try_login(house, name, "x" * 50_000)
    assert answer.status_code in (401, 413)
    assert "<script>" not in answer.text


def test_a_login_with_a_key_of_an_operator_may_go_to_another_project(house: Any) -> None:
    house.project("shop")
    with house.client() as client:
        client.post("/login", data={"key": house.admin_key})
        token = client.get("/api/whoami").json()["csrf_token"]
        moved = client.post("/project", data={"project": "shop", "next": "/settings", "csrf_token": token})
        assert (moved.status_code, moved.headers["location"]) == (303, "/settings")
        who = client.get("/api/whoami").json()
        assert (who["project"], who["role"]) == ("shop", "admin")
        assert who["csrf_token"] != token
        assert 'aria-label="Project: shop"' in client.get("/settings").text
        gone = {"project": "nowhere", "csrf_token": who["csrf_token"]}
        assert client.post("/project", data=gone).status_code == 403
