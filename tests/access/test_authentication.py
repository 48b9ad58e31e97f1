from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.access import KEYS, Principal, Role, authenticate, environment_of
from assay.access.authentication import KeyRing
from assay.errors import Forbidden, Unauthorized
from assay.snapshot import Snapshot

SECRET = b"sk-assay-of-the-shop"
SHOP = Principal(project="default", key_id="k", name="shop", role=Role.APP, environment=None, via="key")


def snapshot() -> Snapshot:
    return Snapshot(0, {KEYS.name: KeyRing({sha256(SECRET).digest(): SHOP})})


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer " + SECRET)],
        [(b"authorization", b"bearer  " + SECRET + b" ")],
        [(b"x-api-key", SECRET)],
        [(b"authorization", b"Basic eDp5"), (b"x-api-key", SECRET)],
        [(b"authorization", b"Bearer of-another-vendor"), (b"x-api-key", SECRET)],
    ],
)
def test_a_known_key_in_either_header_is_found_each_time(headers: list[tuple[bytes, bytes]]) -> None:
    current = snapshot()
    assert [authenticate(current, headers) for _ in range(3)] == [SHOP] * 3


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([], "No API key was sent"),
        ([(b"authorization", b"Basic eDp5")], "not a bearer key"),
        ([(b"authorization", b"Bearer ")], "not known"),
        ([(b"authorization", SECRET)], "not a bearer key"),
        ([(b"x-api-key", SECRET[:-1])], "not known"),
        ([(b"x-api-key", b"\xff\x00")], "not known"),
    ],
)
def test_anything_else_is_unauthorized_and_says_what_to_send(
    headers: list[tuple[bytes, bytes]], said: str
) -> None:
    with pytest.raises(Unauthorized, match=said) as refused:
        authenticate(snapshot(), headers)
    assert refused.value.hint


@given(value=st.binary(max_size=80), name=st.sampled_from([b"authorization", b"x-api-key"]))
def test_no_bytes_but_the_secret_open(name: bytes, value: bytes) -> None:
    if SECRET in value:
        return
    with pytest.raises(Unauthorized):
        authenticate(snapshot(), [(name, value)])


def test_the_memory_of_good_headers_is_bounded_and_wrong_ones_are_not_remembered() -> None:
    ring = KeyRing({sha256(SECRET).digest(): SHOP})
    current = Snapshot(0, {KEYS.name: ring})
    for spaces in range(50):
        assert authenticate(current, [(b"authorization", b"Bearer " + b" " * spaces + SECRET)]) == SHOP
        with pytest.raises(Unauthorized):
            authenticate(current, [(b"authorization", b"Bearer wrong%d" % spaces)])
    assert len(ring.known) <= 4
    assert set(ring.known.values()) == {SHOP}


def bound(environment: str | None) -> Principal:
    fields: dict[str, Any] = {name: getattr(SHOP, name) for name in SHOP.__struct_fields__}
    return Principal(**{**fields, "environment": environment})


def test_the_environment_is_what_is_asked_for_else_the_keys_else_production() -> None:
    assert environment_of(bound(None), None) == "production"
    assert environment_of(bound(None), "staging") == "staging"
    assert environment_of(bound("staging"), None) == "staging"
    assert environment_of(bound("staging"), "staging") == "staging"


def test_a_key_bound_to_one_environment_is_refused_in_another() -> None:
    with pytest.raises(Forbidden, match="'staging'"):
        environment_of(bound("staging"), "production")
