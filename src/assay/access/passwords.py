"""Passwords: the rule for a new one, its slow hash, and a check that takes as long when there is nothing to check.

Length is what counts (NIST SP 800-63B, 5.1.1.2): 12 characters at least, none demanded of any kind. Refused is what
guessers try first: well-known words with decoration, the name of the account, runs and repetitions. Hashes are Argon2id
with the parameters of RFC 9106 for ordinary machines (64 MiB); those made with older parameters are made anew at the
next login.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from secrets import token_urlsafe

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from assay.errors import BadRequest, Unavailable

SHORTEST, LONGEST = 12, 256
"""Characters of a password."""

HASHER = PasswordHasher()
"""How new hashes are made."""

_TURNS = threading.BoundedSemaphore(2)
"""Two hashes at a time: each takes 64 MiB and a core."""
_PATIENCE_S = 5.0
_FEWEST_DIFFERENT = 5
_WELL_KNOWN = (
    "password passwort passwd passphrase qwerty qwertz azerty qwertyuiop asdfgh asdfghjkl zxcvbn letmein welcome "
    "willkommen iloveyou admin administrator root user guest login master monkey dragon sunshine princess football "
    "baseball superman batman trustno changeme secret default test testing hello starwars whatever correcthorsebatterystaple "
    "assay assayadmin"
)
_WORDS = frozenset(_WELL_KNOWN.split())
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "azertyuiop",
)
_ODD = re.compile(r"[\W_]+")
_LEET = str.maketrans("013457@$!|", "oleastasil")


def check_strength(password: str, *, user: str) -> None:
    """Raises `BadRequest` naming what is wrong with a new password of this account."""
    plain = _normal(password).lower()
    if not SHORTEST <= len(plain) <= LONGEST:
        raise _refused(f"A password has {SHORTEST} to {LONGEST} characters, this one {len(plain)}")
    if len(set(plain)) < _FEWEST_DIFFERENT or _repeats(plain):
        raise _refused("This password repeats a few characters")
    if _is_run(plain):
        raise _refused("This password is a run of neighbouring keys")
    name = _ODD.sub("", user.partition("@")[0].lower())
    if len(name) > 2 and name in plain and len(_ODD.sub("", plain).replace(name, "")) < SHORTEST - 4:
        raise _refused("This password is the account's name with little beside it")
    bare = plain.strip("0123456789!?.,;:#*+-_=/&%$@()[]{}<>~^'\" ")
    words = {re.sub(r"[^a-z]", "", each) for each in (plain, bare.translate(_LEET))}
    if (words | {_once(word) for word in words}) & _WORDS:
        raise _refused("This password is a well-known word with some decoration")


def make_hash(password: str) -> str:
    """What is kept of a password. Takes a good part of a second on purpose."""
    with _turn():
        return HASHER.hash(_normal(password))


def matches(kept: str | None, password: str) -> bool:
    """Whether it is the password of this hash. Without a hash the same work is done for nothing, so that the time of the
    answer does not tell whether there is such an account."""
    with _turn():
        nobodys = _nobodys_hash(HASHER)
        try:
            HASHER.verify(kept or nobodys, _normal(password[: 4 * LONGEST]))
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether the hash was made with other parameters than `HASHER` has now."""
    return HASHER.check_needs_rehash(kept)


@cache
def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash of what nobody can send, made with the same parameters as real ones."""
    return hasher.hash(token_urlsafe())


@contextmanager
def _turn() -> Iterator[None]:
    if not _TURNS.acquire(timeout=_PATIENCE_S):
        raise Unavailable("Too many people sign in at once", hint="Try again in a moment.")
    try:
        yield
    finally:
        _TURNS.release()


def _normal(password: str) -> str:
    """One form for each text, however a keyboard composes it."""
    return unicodedata.normalize("NFKC", password)


def _repeats(text: str) -> bool:
    """Whether it is one short piece over and over."""
    return any(
        len(text) >= 3 * size and text == (text[:size] * len(text))[: len(text)]
        for size in range(1, len(text) // 3 + 1)
    )


def _once(text: str) -> str:
    """`passwordpassword` as `password`."""
    half = len(text) // 2
    return text[:half] if text[:half] == text[half:] else text


def _is_run(text: str) -> bool:
    """Whether it is made of few pieces that follow the alphabet, the digits or a row of keys, forth or back."""
    rows = [row for each in _ROWS for row in (each, each[::-1])]
    pieces, at = 0, 0
    while at < len(text):
        length = max(_common(text[at:], row) for row in rows)
        pieces, at = pieces + 1, at + max(length, 1)
    return pieces <= len(text) / 4


def _common(text: str, row: str) -> int:
    """How much of the beginning of the text lies in the row in one piece."""
    start = row.find(text[0])
    if start < 0:
        return 0
    length = 0
    while length < len(text) and start + length < len(row) and text[length] == row[start + length]:
        length += 1
    return length


def _refused(why: str) -> BadRequest:
    return BadRequest(
        why,
        param="password",
        hint=f"Several unrelated words make a good one; a password manager makes a better one. At least {SHORTEST} characters.",
    )
