import re
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from assay.access import Role, revoke_key, sessions
from assay.kit.clock import SYSTEM
from assay.ui.language import local_path


def signed_in(house: Any, role: Role = Role.ADMIN) -> TestClient[Litestar]:
    client: TestClient[Litestar] = house.client()
    answer = client.post("/login", data={"key": house.make(role), "next": "/keys"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/keys")
    return client


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def test_a_person_without_a_login_is_led_to_the_form_and_back(house: Any) -> None:
    with house.client() as client:
        answer = client.get("/keys")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fkeys")
        form = client.get("/login?next=%2Fkeys")
        assert form.status_code == 200
        assert 'value="/keys"' in form.text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(house: Any) -> None:
    with house.client() as client:
        answer = client.post("/login", data={"key": house.admin_key})
        cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert house.admin_key not in cookie


def test_over_tls_the_cookie_stays_on_tls(house: Any) -> None:
    with TestClient(house.build(), base_url="https://assay.test") as client:
        client.follow_redirects = False
        assert "Secure" in client.post("/login", data={"key": house.admin_key}).headers["set-cookie"]


def test_a_wrong_key_and_an_apps_key_do_not_sign_in(house: Any) -> None:
    with house.client() as client:
        wrong = client.post("/login", data={"key": "sk-assay-wrong"})
        assert wrong.status_code == 401
        assert "set-cookie" not in wrong.headers
        app = client.post("/login", data={"key": house.make(Role.APP)})
        assert app.status_code == 403
        assert "for applications" in app.text


def test_a_form_of_another_site_does_not_sign_in(house: Any) -> None:
    with house.client() as client:
        answer = client.post(
            "/login", data={"key": house.admin_key}, headers={"sec-fetch-site": "cross-site"}
        )
    assert answer.status_code == 403


def test_an_unsafe_request_of_a_login_needs_its_own_token(house: Any) -> None:
    with signed_in(house) as client, signed_in(house) as other:
        body = {"name": "shop", "role": "app"}
        assert client.post("/keys", data=body).status_code == 403
        assert (
            client.post("/keys", data={**body, "csrf_token": token_of(other.get("/keys").text)}).status_code
            == 403
        )
        assert client.post("/api/keys", json=body).status_code == 403
        token = token_of(client.get("/keys").text)
        assert client.post("/keys", data={**body, "csrf_token": token}).status_code == 200
        assert client.post("/api/keys", json=body, headers={"x-csrf-token": token}).status_code == 201


def test_a_key_made_in_the_browser_is_shown_once_and_can_be_revoked(house: Any) -> None:
    with signed_in(house) as client:
        token = token_of(client.get("/keys").text)
        made = client.post("/keys", data={"name": "<b>shop</b>", "csrf_token": token})
        secret = re.search(r"sk-assay-[A-Za-z0-9_-]{43}", made.text)
        assert secret
        assert "&lt;b&gt;shop" in made.text
        assert "<b>shop" not in made.text
        listed = client.get("/keys").text
        assert secret[0] not in listed
        with house.client(secret[0]) as shop:
            key_id = shop.get("/api/whoami").json()["key_id"]
            answer = client.post(f"/keys/{key_id}/revoke", data={"csrf_token": token})
            assert (answer.status_code, answer.headers["location"]) == (303, "/keys")
            assert shop.get("/api/whoami").status_code == 401


def test_every_method_of_a_path_answers_in_every_app_that_is_built(house: Any) -> None:
    for _ in range(2):
        with house.client(house.admin_key) as client:
            assert client.get("/keys").status_code == 200
            assert client.post("/keys", data={"name": "shop"}).status_code == 200
            assert client.get("/api/keys").status_code == 200
            assert client.post("/api/keys", json={"name": "shop"}).status_code == 201


def test_a_mistake_in_the_form_is_explained_on_the_page(house: Any) -> None:
    with signed_in(house) as client:
        token = token_of(client.get("/keys").text)
        answer = client.post("/keys", data={"name": "shop", "environment": "NOT OK", "csrf_token": token})
        assert answer.status_code == 400
        assert "cannot name an environment" in answer.text


def test_logging_out_ends_the_session_on_the_server_too(house: Any) -> None:
    with signed_in(house) as client:
        token = client.cookies[sessions.COOKIE]
        answer = client.post("/logout", data={"csrf_token": sessions.csrf_token(token, "default")})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        client.cookies.clear()
        client.cookies.set(sessions.COOKIE, token)
        assert client.get("/api/whoami").status_code == 401


def test_revoking_a_key_ends_the_logins_made_with_it(house: Any) -> None:
    with signed_in(house, Role.VIEWER) as client:
        key_id = client.get("/api/whoami").json()["key_id"]
        with house.records.write() as tx:
            revoke_key(tx, "default", key_id)
        assert client.get("/api/whoami").status_code == 401


def test_a_login_ends_when_its_time_is_over(house: Any) -> None:
    class Tomorrow:
        def now_ns(self) -> int:
            return SYSTEM.now_ns() + 86_400_000_000_000

        def monotonic(self) -> float:
            return SYSTEM.monotonic()

        async def sleep(self, seconds: float) -> None:
            await SYSTEM.sleep(seconds)

    who = sessions.identify(house.snapshot.current, house.admin_key)
    with house.records.write() as tx:
        token = sessions.begin(tx, who, hours=23)
    assert sessions.find(house.snapshot.current, token) is not None
    assert sessions.find(house.snapshot.current, token, clock=Tomorrow()) is None


def test_a_login_reads_but_cannot_do_more_than_its_role(house: Any) -> None:
    with signed_in(house, Role.VIEWER) as client:
        assert client.get("/api/whoami").json()["via"] == "session"
        assert client.get("/keys").status_code == 403


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"],
)
def test_after_a_login_nobody_is_sent_to_another_site(wanted: str) -> None:
    assert local_path(wanted) == "/"


def test_after_a_login_one_goes_where_one_wanted() -> None:
    assert local_path("/traces?model=fast") == "/traces?model=fast"
