from typing import Any

import pytest
from litestar import Litestar, get, post
from litestar.testing import TestClient

from assay.access import Principal, Right, Role
from assay.access.guards import SOCKET_FLAG, requires, signed_in
from assay.access.types import RIGHTS


@get("/open", opt={"public": True}, sync_to_thread=False)
def open_to_all() -> str:
    return "ok"


@get("/plain", sync_to_thread=False)
def plain() -> str:
    return "ok"


def room_with(house: Any, *guards: Any) -> Litestar:
    @post("/guarded", guards=list(guards), status_code=200, sync_to_thread=False)
    def guarded() -> str:
        return "ok"

    app = house.build()
    return Litestar(
        [open_to_all, plain, guarded],
        guards=[signed_in],
        state=app.state,
        exception_handlers=app.exception_handlers,
    )


def test_a_route_is_closed_unless_it_says_that_it_is_public(house: Any) -> None:
    with TestClient(room_with(house)) as client:
        assert client.get("/open").status_code == 200
        assert client.get("/plain", follow_redirects=False).status_code == 303
        assert client.post("/guarded").status_code == 401


@pytest.mark.parametrize(
    ("needed", "allowed"),
    [
        (Role.APP, {Role.APP, Role.VIEWER, Role.EDITOR, Role.ADMIN}),
        (Role.VIEWER, {Role.VIEWER, Role.EDITOR, Role.ADMIN}),
        (Role.EDITOR, {Role.EDITOR, Role.ADMIN}),
        (Role.ADMIN, {Role.ADMIN}),
        *RIGHTS.items(),
    ],
)
def test_a_guard_lets_through_exactly_who_may(house: Any, needed: Role | Right, allowed: set[Role]) -> None:
    with TestClient(room_with(house, requires(needed))) as client:
        for role in Role:
            answer = client.post("/guarded", headers={"x-api-key": house.make(role)})
            assert answer.status_code == (200 if role in allowed else 403)


def test_a_viewer_reads_but_does_not_call_models() -> None:
    viewer = Principal(project="default", key_id="k", name="v", role=Role.VIEWER, environment=None, via="key")
    assert viewer.may(Right.READ)
    assert not viewer.may(Right.CALL)


def test_whoever_comes_through_the_unix_socket_is_admin_and_a_header_cannot_claim_it(house: Any) -> None:
    app = room_with(house, requires(Role.ADMIN))

    async def socket_face(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})[SOCKET_FLAG] = True
        await app(scope, receive, send)

    with TestClient(socket_face) as client:
        assert client.post("/guarded").status_code == 200
        assert client.post("/guarded", headers={"x-api-key": "wrong"}).status_code == 401
    with TestClient(app) as direct:
        assert direct.post("/guarded", headers={SOCKET_FLAG: "True"}).status_code == 401
