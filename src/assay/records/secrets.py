"""Secrets encrypted at rest with AES-256-GCM, under a key that does not lie in the database.

The key is a file of the data directory (`secret.key`, readable by its owner only, made at the first use) or the setting
`secret_key`. It is what a copy of the database alone lacks. A sealed secret is bound to its name: moved to another name it
does not open. There may be several keys, so that one can be replaced: the first seals, all open.
"""

import os
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assay.errors import Unusable
from assay.kit.hashing import content_hash

KEY_FILE = "secret.key"
_VERSION = "v1"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class SecretBox:
    """Seals short texts with its first key and opens what any of its keys sealed."""

    def __init__(self, key: bytes, *older: bytes) -> None:
        self.fingerprint = fingerprint(key)
        """tells the key apart from others without telling it"""
        self.has_older = bool(older)
        self._ciphers = [AESGCM(each) for each in (key, *older)]

    @classmethod
    def in_directory(cls, data: Path, *, given: str | None = None, may_create: bool = True) -> "SecretBox":
        """The box of a data directory: with the keys of the setting if it is given, else with the file's.

        Raises `Unusable` for a key that cannot be used or, unless it may be made, a file that is not there.
        """
        if given is not None:
            return cls(*parse_keys(given))
        path = data / KEY_FILE
        if may_create:
            _create(path)
        return cls(*_read_keys(path))

    def seal(self, name: str, secret: str) -> str:
        """Encrypt; the same secret gives another text each time."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, secret.encode(), name.encode())
        return f"{_VERSION}:{b64encode(nonce + sealed).decode()}"

    def open(self, name: str, sealed: str) -> str:
        """Decrypt what `seal` made under this name. Raises `Unusable` if no key here sealed it, or it was changed."""
        version, _, body = sealed.partition(":")
        try:
            raw = b64decode(body, validate=True)
        except Base64Error:
            raw = b""
        if version == _VERSION and len(raw) > _NONCE_BYTES:
            for cipher in self._ciphers:
                try:
                    return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], name.encode()).decode()
                except InvalidTag:
                    continue
        raise Unusable(
            f"The secret {name!r} cannot be decrypted",
            hint=f"Bring back the {KEY_FILE} that belongs to these records, or set the secret again.",
        )


def fingerprint(key: bytes) -> str:
    """Twelve digits that tell a key apart from others."""
    return content_hash(b"assay secret key\0" + key)[:12]


def parse_keys(given: str) -> list[bytes]:
    """The keys of the setting: one or several with commas between, each 32 bytes as 64 hexadecimal digits or as base64.

    Raises `Unusable`, which does not repeat them.
    """
    keys = []
    for text in filter(None, map(str.strip, given.split(","))):
        try:
            key = bytes.fromhex(text) if _HEX.fullmatch(text) else b64decode(text, validate=True)
        except (Base64Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            raise Unusable(
                "secret_key cannot be used: it is not 32 bytes as hexadecimal digits or base64",
                hint="Make one with: openssl rand -hex 32",
            )
        keys.append(key)
    if not keys:
        raise Unusable("secret_key is empty", hint="Make one with: openssl rand -hex 32")
    return keys


def add_key(data: Path) -> None:
    """Put a new key before those of the file, so that it seals from now on; the others still open."""
    path = data / KEY_FILE
    _create(path)
    _write(path, [os.urandom(_KEY_BYTES), *_read_keys(path)])


def drop_older_keys(data: Path) -> None:
    """Keep only the newest key of the file, once nothing is sealed with another."""
    path = data / KEY_FILE
    _write(path, _read_keys(path)[:1])


def _create(path: Path) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _write(path: Path, keys: Sequence[bytes]) -> None:
    """Replace the file in one step: a crash leaves the old keys or the new ones."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(b"".join(keys))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)


def _read_keys(path: Path) -> list[bytes]:
    try:
        is_open = path.stat().st_mode & 0o077
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise Unusable(
            f"{path} is not there, and the secrets cannot be read without it",
            hint="Bring it back, set ASSAY_SECRET_KEY, or set every secret again (`assay secrets list`).",
        ) from error
    if is_open:
        raise Unusable(f"{path} can be read by others", hint=f"chmod 600 {path}")
    if not raw or len(raw) % _KEY_BYTES:
        raise Unusable(
            f"{path} is {len(raw)} bytes, not {_KEY_BYTES}", hint="Bring back the key file from a backup."
        )
    return [raw[at : at + _KEY_BYTES] for at in range(0, len(raw), _KEY_BYTES)]


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
