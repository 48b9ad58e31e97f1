"""What cannot be read is refused in the one error shape, whatever it is, and the server goes on."""

from typing import Any

import pytest

from assay.access import Role

NESTED = b"[" * 20_000 + b"]" * 20_000

UNREADABLE = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "half an object": b'{"name": "a"',
    "nests beyond all use": NESTED,
    "nests in a field": b'{"name": ' + NESTED + b"}",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "a raw NUL": b'{"name": "a\x00b"}',
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "a number beyond floats": b'{"name": 1e999999}',
    "no JSON number": b'{"name": NaN}',
    "compressed": b"\x1f\x8b\x08\x00" + b"\x00" * 40,
}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/msgpack", ""])
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_body_is_the_senders_mistake(house: Any, body: bytes, content_type: str) -> None:
    with house.client(house.admin_key) as client:
        answer = client.post("/api/keys", content=body, headers={"content-type": content_type})
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert {"type", "message", "hint", "param", "request_id"} == error.keys()
        assert client.post("/api/keys", json={"name": "next", "role": Role.APP}).status_code == 201
