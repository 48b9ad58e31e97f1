"""`x-assay-route` at the door: for keys that are trusted, and only to where the model leads."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

CONFIG = """
[providers.one]
type = "simulated"
text = "one"
answer = "fixed"
[providers.two]
type = "simulated"
text = "two"
answer = "fixed"
[models.m]
route = [{ provider = "one", model = "x" }, { provider = "two", model = "y", weight = 0 }]
"""


@pytest.mark.parametrize(
    ("role", "route", "status", "said"),
    [
        ("editor", None, 200, "one"),
        ("editor", "two", 200, "two"),
        ("editor", "two/y", 200, "two"),
        ("editor", "two/x", 400, "It leads to one/x, two/y"),
        ("app", "two", 403, "does not choose routes"),
    ],
)
def test_a_trusted_key_chooses_the_upstream(
    start_assay: Callable[..., Any], role: str, route: str | None, status: int, said: str
) -> None:
    server = start_assay(CONFIG).ready()
    key = server.http.post("/api/keys", json={"name": role, "role": role}).json()["key"]
    headers = {"authorization": f"Bearer {key}", **({"x-assay-route": route} if route else {})}
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)
    assert (answer.status_code, said in answer.text) == (status, True)
