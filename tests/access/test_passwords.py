import statistics
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from argon2 import PasswordHasher, profiles
from hypothesis import given
from hypothesis import strategies as st

from assay.access import passwords
from assay.access.accounts import new_password
from assay.errors import BadRequest, Unavailable

GOOD = "tungsten-mango-42"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short-one", "12 to 256 characters"),
        ("x" * 257, "12 to 256 characters"),
        ("password1234", "well-known"),
        ("P@ssw0rd1234!", "well-known"),
        ("passwordpassword", "well-known"),
        ("Welcome2026!!", "well-known"),
        ("correct horse battery staple", "well-known"),
        ("aaaaaaaaaaaa", "repeats"),
        ("abcabcabcabc", "repeats"),
        ("abababababab", "repeats"),
        ("123456789012", "run"),
        ("qwertyuiop12", "run"),
        ("0987654321qwe", "run"),
        ("abcdefghijkl", "run"),
        ("annabell1234", "account's name"),
        ("ANNABELL-2026", "account's name"),
    ],
)
def test_what_guessers_try_first_is_refused_and_said_why(password: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as refused:
        passwords.check_strength(password, user="annabell@example.org")
    assert (refused.value.param, bool(refused.value.hint)) == ("password", True)


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "my dog ate 3 blue socks",
        "Zk3!vX9qLm2p",
        "日本語のパスワード例文です",
        "annabell likes to swim far out",
    ],
)
def test_a_long_one_of_any_kind_will_do(password: str) -> None:
    passwords.check_strength(password, user="annabell@example.org")


def test_a_password_made_here_is_strong_and_no_two_are_equal() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    for each in made:
        passwords.check_strength(each, user="ann")


@given(st.text(min_size=1, max_size=60))
def test_the_check_takes_any_text(password: str) -> None:
    with suppress(BadRequest):
        passwords.check_strength(password, user="ann")


def test_only_the_password_itself_matches_however_its_letters_are_composed() -> None:
    kept = passwords.make_hash("garçon-naïveté-9")
    assert passwords.matches(kept, "garçon-naïveté-9")
    assert passwords.matches(kept, "garc\u0327on-nai\u0308vete\u0301-9")
    for wrong in ("", "garcon-naivete-9", "garçon-naïveté-9 ", "garçon-naïveté-9" * 1000):
        assert not passwords.matches(kept, wrong)
    assert not passwords.matches("no hash at all", GOOD)
    assert not passwords.matches(None, GOOD)


def test_hashes_are_argon2id_with_a_salt_of_their_own(real_hashes: None) -> None:
    one, two = passwords.make_hash(GOOD), passwords.make_hash(GOOD)
    assert one != two
    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert GOOD not in one
    assert not passwords.is_outdated(one)
    weaker = PasswordHasher.from_parameters(profiles.CHEAPEST).hash(GOOD)
    assert passwords.is_outdated(weaker)
    assert passwords.matches(weaker, GOOD)


def test_an_account_that_is_not_there_takes_the_same_work_as_a_wrong_password(real_hashes: None) -> None:
    kept = passwords.make_hash(GOOD)
    passwords.matches(None, GOOD)

    def work(hashed: str | None) -> float:
        began = time.process_time()
        assert not passwords.matches(hashed, "a wrong password")
        return time.process_time() - began

    known, unknown = (statistics.median(work(each) for _ in range(5)) for each in (kept, None))
    assert known > 0.02, "the hash is slow on purpose"
    assert 0.6 < unknown / known < 1.6


class Counting:
    """A hasher that notes what it is asked to verify."""

    def __init__(self) -> None:
        self.inner = PasswordHasher.from_parameters(profiles.CHEAPEST)
        self.verified: list[str] = []

    def hash(self, password: str) -> str:
        return self.inner.hash(password)

    def verify(self, kept: str, password: str) -> bool:
        self.verified.append(kept)
        return self.inner.verify(kept, password)


def test_each_check_verifies_exactly_one_hash_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    counting: Any = Counting()
    monkeypatch.setattr(passwords, "HASHER", counting)
    kept = passwords.make_hash(GOOD)
    for hashed, password in ((kept, GOOD), (kept, "wrong"), (None, GOOD), (None, "wrong")):
        counting.verified.clear()
        passwords.matches(hashed, password)
        (verified,) = counting.verified
        assert verified.rpartition("$p=")[0].split("$")[:4] == kept.rpartition("$p=")[0].split("$")[:4]


def test_more_at_once_than_the_machine_can_hash_wait_and_then_are_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = threading.BoundedSemaphore(1)
    busy.acquire()
    monkeypatch.setattr(passwords, "_TURNS", busy)
    monkeypatch.setattr(passwords, "_PATIENCE_S", 0.01)
    with pytest.raises(Unavailable, match="at once"):
        passwords.make_hash(GOOD)
    busy.release()
    assert passwords.make_hash(GOOD)
