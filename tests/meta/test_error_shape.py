"""Whatever goes wrong, `/api`, `/v1` and `/v1/messages` each say it in one shape of their own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import get
from litestar.testing import TestClient

from assay import errors, web
from assay.errors import AssayError
from assay.gateway.exchange import AsgiExchange
from assay.gateway.refusals import refuse
from assay.kit import json

MORE: dict[type[AssayError], dict[str, Any]] = {
    errors.GuardBlocked: {"guard": "pii", "side": "input"},
    errors.InvalidRows: {"rows": [(3, "is not JSON")]},
    errors.UpstreamRefused: {"status": 418, "body": b"a teapot"},
    errors.MissingExtra: {"extra": "server"},
}


def kinds(root: type[AssayError] = AssayError) -> Iterator[type[AssayError]]:
    """The whole tree."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


OURS = {kind.__name__: kind for kind in kinds() if kind.__module__ == errors.__name__}


@pytest.mark.parametrize("name", sorted(OURS))
def test_an_error_has_one_shape_on_each_face(name: str) -> None:
    kind = OURS[name]
    error = kind("It broke", **MORE.get(kind, {}))
    status, body = on_the_control_plane(error)
    assert status == error.status
    assert {"type", "message", "hint", "param", "request_id"} == body["error"].keys() - {"rows"}
    assert (body["error"]["type"], body["error"]["hint"]) == (kind.type, error.hint)
    status, body = asyncio.run(on_the_gateway(error))
    assert status == error.status
    assert {"message", "type", "param", "code"} == body["error"].keys()
    assert body["error"]["message"].startswith(error.message)
    status, body = asyncio.run(on_the_gateway(error, "/v1/messages"))
    assert status == error.status
    assert (body["type"], body.keys()) == ("error", {"type", "error", "request_id"})
    assert body["error"].keys() == {"type", "message"}
    assert body["error"]["message"].startswith(error.message)


def test_a_number_that_no_column_holds_is_refused_and_is_no_failure_of_ours() -> None:
    status, body = on_the_control_plane(OverflowError("Python int too large to convert to SQLite INTEGER"))
    assert (status, body["error"]["type"]) == (400, errors.BadRequest.type)


def on_the_control_plane(error: Exception) -> tuple[int, Any]:
    """What `/api` says of it."""

    @get("/api/broken", opt={"public": True}, sync_to_thread=False)
    def broken() -> None:
        raise error

    nobody: Any = None
    app = web.build(
        handlers=[broken], dependencies={}, snapshot=nobody, surroundings=nobody, max_body_bytes=99
    )
    with TestClient(app) as client:
        answer = client.get("/api/broken")
    return answer.status_code, answer.json()


async def on_the_gateway(error: AssayError, path: str = "/v1") -> tuple[int, Any]:
    """What `/v1` says of it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await refuse(AsgiExchange({"method": "POST", "path": path, "headers": []}, receive, send), error)
    return sent[0]["status"], json.decode(sent[1]["body"])
