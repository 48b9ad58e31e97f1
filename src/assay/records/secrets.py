"""Secrets of providers, encrypted at rest with AES-256-GCM under a key file of the data directory.

The key file is what a backup of the database alone lacks. A sealed secret is bound to its name: moved to another name
it does not open.
"""

import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from assay.errors import Unusable

_VERSION = "v1"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SecretBox:
    """Seals and opens short texts with the key in `<data>/secret.key`."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def in_directory(cls, data: Path) -> "SecretBox":
        """The box of a data directory; its key file is made at the first use, readable by its owner only."""
        return cls(_read_key(data / "secret.key"))

    def seal(self, name: str, secret: str) -> str:
        """Encrypt; the same secret gives another text each time."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), name.encode())
        return f"{_VERSION}:{b64encode(nonce + sealed).decode()}"

    def open(self, name: str, sealed: str) -> str:
        """Decrypt what `seal` made under this name. Raises `Unusable` if this key did not seal it, or it was changed."""
        version, _, body = sealed.partition(":")
        try:
            raw = b64decode(body, validate=True)
            if version != _VERSION or len(raw) <= _NONCE_BYTES:
                raise ValueError
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], name.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unusable(
                f"The secret {name!r} cannot be decrypted",
                hint="Bring back the secret.key that belongs to these records, or set the secret again.",
            ) from None


def _read_key(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise Unusable(f"{path} can be read by others", hint=f"chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise Unusable(
            f"{path} is {len(key)} bytes, not {_KEY_BYTES}", hint="Bring back the key file from a backup."
        )
    return key
