from typing import Any

import pytest

from assay.access import Role


def test_a_key_is_shown_in_the_answer_that_makes_it_and_never_again(house: Any) -> None:
    with house.client(house.admin_key) as client:
        made = client.post("/api/keys", json={"name": "shop"})
        assert made.status_code == 201
        key = made.json()
        assert key["key"].startswith("sk-assay-")
        assert (key["role"], key["environment"], key["revoked"]) == ("app", None, None)
        listed = client.get("/api/keys").json()
        assert [item["name"] for item in listed["items"]] == ["shop", "admin"]
        assert listed["next"] is None
        assert all("key" not in item for item in listed["items"])


def test_a_revoked_key_is_refused_at_once(house: Any) -> None:
    secret = house.make(Role.VIEWER)
    with house.client(house.admin_key) as admin, house.client(secret) as viewer:
        assert viewer.get("/api/whoami").status_code == 200
        key_id = viewer.get("/api/whoami").json()["key_id"]
        gone = admin.delete(f"/api/keys/{key_id}")
        assert gone.status_code == 200
        assert gone.json()["revoked"].endswith("Z")
        assert viewer.get("/api/whoami").status_code == 401


def test_whoami_tells_the_project_name_role_and_way_in(house: Any) -> None:
    with house.client(house.make(Role.EDITOR, environment="staging")) as client:
        answer = client.get("/api/whoami").json()
    assert answer.pop("key_id")
    assert answer == {
        "project": "default",
        "name": "a editor",
        "role": "editor",
        "environment": "staging",
        "user": None,
        "operator": False,
        "via": "key",
    }


@pytest.mark.parametrize("role", [Role.APP, Role.VIEWER, Role.EDITOR])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/keys"), ("POST", "/api/keys"), ("DELETE", "/api/keys/x"), ("GET", "/keys")],
)
def test_keys_are_for_admins_only(house: Any, role: Role, method: str, path: str) -> None:
    with house.client(house.make(role)) as client:
        answer = client.request(method, path, json={"name": "x"} if method == "POST" else None)
    assert answer.status_code == 403
    assert "admin" in answer.text


def test_without_a_key_the_api_answers_401_with_a_hint(house: Any) -> None:
    with house.client() as client:
        for path in ("/api/keys", "/api/whoami"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.json()["error"]["type"] == "authentication_error"
            assert "Bearer" in answer.json()["error"]["hint"]


def test_a_key_whose_limit_cannot_be_is_not_made(house: Any) -> None:
    with house.client(house.admin_key) as client:
        for wrong, param in (
            ({"budget": {"usd": -1, "period": "day"}}, "usd"),
            ({"limits": {"concurrent": 0}}, "concurrent"),
            ({"limits": {}}, None),
        ):
            answer = client.post("/api/keys", json={"name": "shop", **wrong})
            assert (answer.status_code, answer.json()["error"].get("param")) == (400, param)
        assert len(client.get("/api/keys").json()["items"]) == 1


@pytest.mark.parametrize(
    "body", [{}, {"name": 1}, {"name": "x", "role": "root"}, {"name": "x", "rol": "app"}]
)
def test_a_body_that_cannot_be_used_is_a_400(house: Any, body: dict[str, Any]) -> None:
    with house.client(house.admin_key) as client:
        answer = client.post("/api/keys", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert len(client.get("/api/keys").json()["items"]) == 1
