"""Accounts, roles and projects, through the API as their admins use it."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from tests.access.conftest import PASSWORD

from assay.access import Key, Role, list_keys, revoke_key
from assay.access.guards import SOCKET_FLAG
from assay.errors import Conflict


def signed_in(house: Any, name: str, password: str = PASSWORD) -> TestClient[Litestar]:
    """A browser in which an account has signed in, with the token for what it changes."""
    client: TestClient[Litestar] = house.client()
    answer = client.post("/login", data={"user": name, "password": password})
    assert answer.status_code == 303, answer.text
    who = client.get("/api/whoami")
    if who.status_code == 200:
        client.headers["x-csrf-token"] = who.json()["csrf_token"]
    return client


def test_an_account_is_made_with_a_password_that_is_shown_once_and_must_be_changed(house: Any) -> None:
    with house.client(house.admin_key) as admin:
        made = admin.post("/api/users", json={"name": " Ann@Example.org ", "role": "editor"})
        assert made.status_code == 201, made.text
        user = made.json()
        assert (user["name"], user["roles"]) == ("ann@example.org", {"default": "editor"})
        assert user["must_change_password"]
        assert "password" not in admin.get("/api/users").json()["items"][0]
    with signed_in(house, "ann@example.org", user["password"]) as ann:
        refused = ann.get("/api/keys")
        assert (refused.status_code, refused.json()["error"]["hint"]) == (
            403,
            "The page /settings has the form.",
        )
        assert ann.get("/keys").headers["location"] == "/settings"
        assert ann.get("/settings").status_code == 200
        body = {"current": user["password"], "new": "amber-otter-19-lakes"}
        assert ann.put("/api/account/password", json=body).status_code == 200
        assert ann.get("/api/whoami").json()["user"] == "ann@example.org"
        assert ann.get("/api/projects").status_code == 200


@pytest.mark.parametrize("name", ["", "a b", "<b>", "ann/../bob", "ä", "x" * 101, ".ann"])
def test_what_cannot_be_a_name_is_refused(house: Any, name: str) -> None:
    with house.client(house.admin_key) as admin:
        answer = admin.post("/api/users", json={"name": name})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


def test_a_name_is_taken_once_and_a_weak_password_makes_no_account(house: Any) -> None:
    house.user("ann")
    with house.client(house.admin_key) as admin:
        assert admin.post("/api/users", json={"name": "ANN"}).status_code == 409
        weak = admin.post("/api/users", json={"name": "bob", "password": "password1234"})
        assert (weak.status_code, weak.json()["error"]["param"]) == (400, "password")
        assert admin.post("/api/users", json={"name": "bob", "role": "app"}).status_code == 400
        names = [user["name"] for user in admin.get("/api/users?everywhere=true").json()["items"]]
        assert names == ["ann"]


def test_a_person_is_viewer_in_one_project_and_admin_in_another(house: Any) -> None:
    house.project("shop")
    house.user("ann", default=Role.VIEWER, shop=Role.ADMIN)
    with signed_in(house, "ann") as ann:
        assert ann.get("/api/whoami").json()["role"] == "viewer"
        assert ann.get("/api/keys").status_code == 403
        in_shop = {"x-assay-project": "shop"}
        who = ann.get("/api/whoami", headers=in_shop).json()
        assert (who["project"], who["role"], who["operator"]) == ("shop", "admin", False)
        assert ann.get("/api/keys", headers=in_shop).json()["items"] == []
        assert ann.get("/api/users?everywhere=true", headers=in_shop).status_code == 403
        unsafe = {**in_shop, "x-csrf-token": who["csrf_token"]}
        made = ann.post("/api/keys", json={"name": "checkout"}, headers=unsafe)
        assert made.status_code == 201, made.text
        assert [each["id"] for each in ann.get("/api/projects").json()["items"]] == ["default", "shop"]
    with house.client(made.json()["key"]) as checkout:
        assert checkout.get("/api/whoami").json()["project"] == "shop"


def test_the_token_of_one_project_changes_nothing_in_another(house: Any) -> None:
    house.project("shop")
    house.user("ann", default=Role.ADMIN)
    with signed_in(house, "ann") as ann:
        stale = ann.post("/api/keys", json={"name": "x"}, headers={"x-assay-project": "shop"})
        assert stale.status_code == 403
        assert "'shop'" in stale.json()["error"]["message"]
        assert ann.post("/api/keys", json={"name": "x"}).status_code == 201


def test_nobody_below_admin_gives_roles_or_makes_accounts_projects_and_keys(house: Any) -> None:
    house.project("shop")
    house.user("victim", default=Role.VIEWER)
    house.user("eve", default=Role.EDITOR, shop=Role.VIEWER)
    tries = [
        ("PUT", "/api/users/eve/role", {"role": "admin"}),
        ("PUT", "/api/users/victim/role", {"role": "admin"}),
        ("DELETE", "/api/users/victim/role", None),
        ("POST", "/api/users", {"name": "mallory", "role": "admin"}),
        ("PUT", "/api/users/victim/password", {"password": PASSWORD}),
        ("POST", "/api/users/victim/disable", None),
        ("POST", "/api/projects", {"id": "mine", "admin_key": True}),
        ("PATCH", "/api/projects/default", {"name": "mine"}),
        ("POST", "/api/projects/shop/archive", None),
        ("POST", "/api/keys", {"name": "x", "role": "admin"}),
        ("GET", "/api/users", None),
        ("GET", "/api/audit", None),
    ]
    keys = [house.make(role) for role in (Role.APP, Role.VIEWER, Role.EDITOR)]
    with signed_in(house, "eve") as eve:
        for method, path, body in tries:
            assert eve.request(method, path, json=body).status_code == 403, path
            for key in keys:
                with house.client(key) as client:
                    assert client.request(method, path, json=body).status_code == 403, path
        assert eve.get("/api/whoami").json()["role"] == "editor"


def test_an_admin_of_another_project_does_not_run_the_server(house: Any) -> None:
    house.project("shop")
    house.user("ann", shop=Role.ADMIN)
    house.user("bob", default=Role.ADMIN)
    shop_key = house.make(Role.ADMIN, project="shop")
    tries = [
        ("POST", "/api/users", {"name": "mallory"}),
        ("PUT", "/api/users/bob/password", {"password": PASSWORD}),
        ("POST", "/api/users/bob/disable", None),
        ("POST", "/api/projects", {"id": "mine"}),
        ("POST", "/api/projects/shop/archive", None),
        ("GET", "/api/audit?everywhere=true", None),
        ("GET", "/api/users?everywhere=true", None),
    ]
    with signed_in(house, "ann") as ann, house.client(shop_key) as client:
        for method, path, body in tries:
            assert ann.request(method, path, json=body).status_code == 403, path
            assert client.request(method, path, json=body).status_code == 403, path
        assert ann.patch("/api/projects/default", json={"name": "mine"}).status_code == 404
        assert ann.patch("/api/projects/shop", json={"name": "The shop"}).json()["name"] == "The shop"
        given = ann.put("/api/users/bob/role", json={"role": "viewer"})
        assert given.json()["roles"] == {"shop": "viewer"}, "what bob is elsewhere is not shown"
        listed = {user["name"]: user["roles"] for user in ann.get("/api/users").json()["items"]}
        assert listed == {"ann": {"shop": "admin"}, "bob": {"shop": "viewer"}}


def test_an_admin_of_default_runs_the_server_and_enters_every_project(house: Any) -> None:
    house.project("shop")
    house.user("ann", default=Role.ADMIN)
    with signed_in(house, "ann") as ann:
        places = ann.get("/api/projects").json()["items"]
        assert [(each["id"], each["role"]) for each in places] == [("default", "admin"), ("shop", "admin")]
        who = ann.get("/api/whoami", headers={"x-assay-project": "shop"}).json()
        assert (who["role"], who["operator"]) == ("admin", True)
        assert ann.post("/api/projects", json={"id": "support"}).status_code == 201


def test_the_last_admin_can_neither_remove_nor_lower_nor_disable_themselves(house: Any) -> None:
    house.user("ann", default=Role.ADMIN)
    with house.records.write() as tx:
        only_key = next(key.id for key in _keys(tx))
        revoke_key(tx, "default", only_key)
    with signed_in(house, "ann") as ann:
        for method, path, body in (
            ("DELETE", "/api/users/ann/role", None),
            ("PUT", "/api/users/ann/role", {"role": "editor"}),
            ("POST", "/api/users/ann/disable", None),
        ):
            answer = ann.request(method, path, json=body)
            assert answer.status_code == 409, path
            assert "last admin" in answer.json()["error"]["message"]
        assert ann.get("/api/whoami").json()["role"] == "admin", "nothing was undone by half"
        house.user("bob", default=Role.ADMIN)
        assert ann.delete("/api/users/ann/role").status_code == 200
        assert ann.get("/api/whoami").status_code == 401, "without a role there is no login"
    with signed_in(house, "bob") as bob:
        assert bob.delete("/api/users/bob/role").status_code == 409


def _keys(tx: Any) -> list[Key]:
    return list_keys(tx, "default").items


def test_a_disabled_admin_does_not_count_as_one_who_is_left(house: Any) -> None:
    house.user("ann", default=Role.ADMIN)
    house.user("bob", default=Role.ADMIN)
    with house.records.write() as tx:
        (only,) = _keys(tx)
        revoke_key(tx, "default", only.id)
    with signed_in(house, "ann") as ann:
        assert ann.post("/api/users/bob/disable").status_code == 200
        assert ann.post("/api/users/ann/disable").status_code == 409
        assert ann.delete("/api/users/ann/role").status_code == 409


def test_the_last_admin_key_goes_when_an_admin_has_an_account(house: Any) -> None:
    with house.records.write() as tx:
        (only,) = _keys(tx)
    with pytest.raises(Conflict, match="last admin"), house.records.write() as tx:
        revoke_key(tx, "default", only.id)
    house.user("ann", default=Role.ADMIN)
    with house.records.write() as tx:
        assert revoke_key(tx, "default", only.id).revoked_at_ns is not None


def test_disabling_shuts_out_at_once_and_enabling_lets_in_again(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    with signed_in(house, "ann") as ann, house.client(house.admin_key) as admin:
        assert admin.post("/api/users/ann/disable").json()["disabled"].endswith("Z")
        assert ann.get("/api/whoami").status_code == 401
        again = house.client().post("/login", data={"user": "ann", "password": PASSWORD})
        assert again.status_code == 401
        assert admin.post("/api/users/ann/enable").json()["disabled"] is None
        assert ann.get("/api/whoami").status_code == 401, "the old login stays ended"
    with signed_in(house, "ann") as ann:
        assert ann.get("/api/whoami").status_code == 200


def test_a_role_that_is_lowered_or_taken_counts_for_the_logins_there_are(house: Any) -> None:
    house.project("shop")
    house.user("ann", default=Role.EDITOR, shop=Role.VIEWER)
    with signed_in(house, "ann") as ann, house.client(house.admin_key) as admin:
        admin.put("/api/users/ann/role", json={"role": "viewer"}).raise_for_status()
        assert ann.get("/api/whoami").json()["role"] == "viewer"
        admin.delete("/api/users/ann/role").raise_for_status()
        assert ann.get("/api/whoami").json()["project"] == "shop"
        assert admin.delete("/api/users/ann/role").status_code == 404
        assert admin.put("/api/users/nobody/role", json={"role": "viewer"}).status_code == 404


def test_a_reset_password_ends_the_logins_and_opens_once(house: Any) -> None:
    house.user("ann", default=Role.VIEWER)
    with signed_in(house, "ann") as ann, house.client(house.admin_key) as admin:
        reset = admin.put("/api/users/ann/password", json={}).json()
        assert ann.get("/api/whoami").status_code == 401
        assert house.client().post("/login", data={"user": "ann", "password": PASSWORD}).status_code == 401
    with signed_in(house, "ann", reset["password"]) as ann:
        assert ann.get("/api/logins").status_code == 403


def test_an_archived_project_opens_for_nobody_until_it_is_restored(house: Any) -> None:
    house.project("shop")
    house.user("ann", shop=Role.EDITOR)
    key = house.make(Role.EDITOR, project="shop")
    with house.client(house.admin_key) as admin, house.client(key) as shop, signed_in(house, "ann") as ann:
        assert admin.post("/api/projects/shop/archive").json()["archived"].endswith("Z")
        assert shop.get("/api/whoami").status_code == 401
        assert ann.get("/api/whoami").status_code == 401
        assert [each["id"] for each in admin.get("/api/projects").json()["items"]] == ["default", "shop"]
        assert admin.post("/api/projects", json={"id": "shop"}).status_code == 409
        assert admin.post("/api/projects/shop/restore").json()["archived"] is None
        assert shop.get("/api/whoami").status_code == 200
        assert ann.get("/api/whoami").status_code == 200
        assert admin.post("/api/projects/default/archive").status_code == 409
        assert admin.post("/api/projects/nowhere/archive").status_code == 404


def test_a_project_may_come_with_its_first_admin_key(house: Any) -> None:
    with house.client(house.admin_key) as admin:
        made = admin.post("/api/projects", json={"id": "shop", "name": "The shop", "admin_key": True})
        assert "key" not in admin.post("/api/projects", json={"id": "support"}).json()
    with house.client(made.json()["key"]) as client:
        who = client.get("/api/whoami").json()
        assert (who["project"], who["role"], who["operator"]) == ("shop", "admin", False)
        assert [each["name"] for each in client.get("/api/projects").json()["items"]] == ["The shop"]


@pytest.mark.parametrize("project", ["", "Shop", "a b", "../x", "x" * 64, "-x", "ä"])
def test_what_cannot_be_an_id_of_a_project_is_refused(house: Any, project: str) -> None:
    with house.client(house.admin_key) as admin:
        assert admin.post("/api/projects", json={"id": project}).status_code == 400
        assert admin.post("/api/projects", json={"id": "shop", "name": "x" * 101}).status_code == 400
        assert len(admin.get("/api/projects").json()["items"]) == 1


def test_whoever_owns_the_directory_works_in_any_project_that_there_is(house: Any) -> None:
    house.project("shop")
    app = house.build()

    async def socket_face(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})[SOCKET_FLAG] = True
        await app(scope, receive, send)

    with TestClient(socket_face) as client:
        assert client.get("/api/whoami").json()["project"] == "default"
        who = client.get("/api/whoami", headers={"x-assay-project": "shop"}).json()
        assert (who["project"], who["operator"]) == ("shop", True)
        assert client.get("/api/whoami", headers={"x-assay-project": "nowhere"}).status_code == 403
