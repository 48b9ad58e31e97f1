"""What the gateway says no to, in the shape that OpenAI's clients understand, and what a provider's no becomes."""

import json
import socket
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer sk-assay-wrong"}, {"authorization": "Basic eA=="}]
)
def test_without_a_key_of_ours_nothing_is_answered(house: Any, headers: dict[str, str]) -> None:
    asked = len(house.upstream.simulation.log)
    answer = house.http.post(
        "/v1/chat/completions",
        json={"model": "fast", "messages": HELLO},
        headers={"authorization": "", **headers},
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert len(house.upstream.simulation.log) == asked


def test_the_client_raises_its_own_error_for_a_wrong_key(house: Any) -> None:
    with house.client("sk-assay-wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_key_may_come_in_x_api_key(house: Any) -> None:
    headers = {"authorization": "", "x-api-key": house.server.key}
    assert house.http.get("/v1/models", headers=headers).status_code == 200


def test_a_revoked_key_is_refused_at_once(house: Any) -> None:
    made = house.http.post("/api/keys", json={"name": "short-lived"}).json()
    with house.client(made["key"]) as client:
        client.chat.completions.create(model="fast", messages=HELLO)
        house.http.delete(f"/api/keys/{made['id']}").raise_for_status()
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="fast", messages=HELLO)


def test_a_viewers_key_calls_no_models(house: Any) -> None:
    with house.client(house.key(role="viewer")) as client:
        with pytest.raises(openai.PermissionDeniedError, match="viewer"):
            client.chat.completions.create(model="fast", messages=HELLO)


def test_a_key_of_one_environment_is_refused_in_another(house: Any) -> None:
    key = house.key(environment="staging")
    headers = {"authorization": f"Bearer {key}"}
    answer = house.chat(headers=headers)
    assert house.server.model_span(answer.headers["x-assay-trace-id"])["environment"] == "staging"
    refused = house.chat(headers={**headers, "x-assay-environment": "production"})
    assert refused.status_code == 403
    assert "staging" in refused.json()["error"]["message"]


def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=r"Known models: .*fast") as caught:
        client.chat.completions.create(model="gpt-unknown", messages=HELLO)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"model": 5}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x"}, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": []}]}]}, "messages[0].text"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "function", "function": {"description": "x"}}]}, "tools[0].function.name"),
        ({"assay": {"tags": "a"}}, "assay.tags"),
    ],
)
def test_a_wrong_type_is_named_by_its_path(house: Any, sent: dict[str, Any], param: str) -> None:
    answer = house.chat(**sent)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert param in error["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"model": "fast"', b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000]
)
def test_what_is_no_json_object_is_refused(house: Any, body: bytes) -> None:
    answer = house.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "JSON" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b'"\xff"', b"[" * 50_000 + b"]" * 50_000])
def test_a_message_that_cannot_be_read_is_named(house: Any, content: bytes) -> None:
    body = b'{"model": "fast", "messages": [{"role": "user", "content": ' + content + b"}]}"
    answer = house.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_missing_field_is_named(house: Any) -> None:
    answer = house.http.post("/v1/chat/completions", json={"messages": HELLO})
    assert answer.json()["error"]["param"] == "model"


def test_an_unknown_path_and_a_wrong_method_are_said(house: Any) -> None:
    assert house.http.get("/v1/nothing").status_code == 404
    assert "/v1/chat/completions" in house.http.get("/v1/nothing").json()["error"]["message"]
    assert "POST" in house.http.get("/v1/chat/completions").json()["error"]["message"]


def test_a_body_over_the_limit_is_refused_though_its_length_is_declared(house: Any) -> None:
    answer = house.http.post("/v1/chat/completions", content=b"x" * (33 << 20))
    assert answer.status_code == 413
    assert "max_body_mb" in answer.json()["error"]["message"]


@pytest.mark.linux
def test_two_hundred_megabytes_are_refused_without_being_held_in_memory(house: Any) -> None:
    def resident_kb() -> int:
        status = Path(f"/proc/{house.server.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    house.chat()
    before = resident_kb()
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", house.server.port), timeout=30) as bare:
        bare.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {house.server.key}\r\n"
            "transfer-encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(200 << 4):
            bare.sendall(piece)
        bare.sendall(b"0\r\n\r\n")
        assert bare.recv(100).startswith(b"HTTP/1.1 413")
    assert resident_kb() - before < 100_000, "32 MiB are allowed, 200 MB were sent"
    assert house.chat().status_code == 200


def test_a_provider_that_is_down_is_a_502_that_says_where_and_is_kept(house: Any) -> None:
    answer = house.chat("down")
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "upstream_error"
    assert "127.0.0.1:1" in answer.json()["error"]["message"]
    span = house.server.model_span(answer.headers["x-assay-trace-id"])
    assert span["status"] == "error"
    assert span["cost_usd"] is None


def test_a_providers_own_error_comes_through_with_its_code_and_its_retry_after(house: Any) -> None:
    house.behave(status=429, retry_after_s=7)
    with house.client() as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="faulty", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.code == "rate_limit_exceeded"
    house.behave(status=429, retry_after_s=9)
    assert house.chat("faulty", stream=True).headers["retry-after"] == "9"


def test_a_provider_that_refuses_the_configured_key_is_no_401_for_the_client(house: Any) -> None:
    house.behave(status=401)
    answer = house.chat("faulty")
    assert answer.status_code == 502
    assert "api_key" in answer.json()["error"]["message"]


def test_a_short_failure_is_mended_by_a_retry_and_counted(house: Any) -> None:
    house.behave(status=503, retry_after_s=0)
    before = len(house.faulty.simulation.log)
    answer = house.chat("stubborn")
    assert answer.status_code == 503
    assert len(house.faulty.simulation.log) - before == 3
    spans = house.server.trace(answer.headers["x-assay-trace-id"])
    assert sorted(span["kind"] for span in spans) == ["attempt"] * 3 + ["model"]
    house.behave(status=400)
    before = len(house.faulty.simulation.log)
    assert house.chat("stubborn").status_code == 400
    assert len(house.faulty.simulation.log) - before == 1, "a bad request is not sent twice"


def test_the_providers_key_reaches_the_provider_and_ours_does_not(house: Any) -> None:
    house.behave()
    assert house.chat("faulty").status_code == 200
    headers = house.faulty.simulation.log[-1].headers
    assert headers["authorization"] == "Bearer sk-upstream"
    assert house.server.key not in json.dumps(headers)
    house.chat("fast")
    assert "authorization" not in house.upstream.simulation.log[-1].headers
