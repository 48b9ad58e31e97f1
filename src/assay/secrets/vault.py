"""Setting secrets, opening them for whoever needs one, and replacing the key that seals them."""

import threading
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection

from assay.errors import BadRequest, NotFound, Unusable, UpstreamDown
from assay.kit.clock import SYSTEM, Clock
from assay.kit.names import check_name
from assay.records import Records, touch
from assay.records.secrets import KEY_FILE, SecretBox, add_key, drop_older_keys
from assay.secrets import store
from assay.secrets.types import Secret

PREFIX = "secret:"
"""How a configuration refers to one: `secret:NAME`."""
TOUCHED = "secrets"
"""What a transaction touches that changes a value."""
_LONGEST = 16_384


class Vault:
    """The secrets of one server. The key is read when it is first needed."""

    def __init__(
        self, records: Records, data: Path, *, secret_key: str | None = None, clock: Clock = SYSTEM
    ) -> None:
        """`secret_key` is the setting; without it the key is a file of the data directory."""
        self._records = records
        self._data = data
        self._given = secret_key
        self._clock = clock
        self._changing = threading.Lock()
        self._box: SecretBox | None = None

    def list(self) -> list[Secret]:
        """What there is, without values."""
        with self._records.read() as tx:
            return store.secrets_of(tx)

    def set(self, name: str, value: str) -> Secret:
        """Keep a value. Raises `BadRequest` for a name or value that cannot be."""
        check_name(name)
        value = value.strip("\r\n")
        if not value or len(value) > _LONGEST:
            raise BadRequest(
                f"A secret has 1 to {_LONGEST:,} characters", param="value", hint="Send the key itself."
            )
        with self._changing, self._records.write() as tx:
            store.put(tx, name, self._opened(tx).seal(name, value), self._clock.now_ns())
            touch(tx, TOUCHED)
            return next(secret for secret in store.secrets_of(tx) if secret.name == name)

    def remove(self, name: str) -> None:
        """Forget one for good. Raises `NotFound`."""
        with self._records.write() as tx:
            if not store.remove(tx, name):
                raise NotFound(f"There is no secret {name!r}", hint="`assay secrets list` shows them.")
            touch(tx, TOUCHED)

    def reveal(self, text: str | None) -> str | None:
        """What a configuration's text stands for: the value of a secret that it refers to, else itself.

        Raises `UpstreamDown` when there is no such secret or it cannot be opened: whoever needs it cannot work.
        """
        if text is None or not text.startswith(PREFIX):
            return text
        name = text.removeprefix(PREFIX)
        with self._records.read() as tx:
            sealed = store.find_sealed(tx, name)
            if sealed is None:
                raise UpstreamDown(
                    f"The secret {name!r} is not set", hint=f"Set it: assay secrets set {name}"
                )
            try:
                return self._opened(tx).open(name, sealed)
            except Unusable as error:
                raise UpstreamDown(error.message, hint=error.hint) from error

    def rotate(self) -> int:
        """Seal every secret with a new key (with the setting: with its first one); how many there are.

        The file holds both keys until all are sealed anew, so a crash at any step leaves every secret readable.
        """
        with self._changing:
            if self._given is None:
                add_key(self._data)
            self._box = box = SecretBox.in_directory(self._data, given=self._given)
            with self._records.write() as tx:
                sealed = store.all_sealed(tx)
                for name, text in sealed.items():
                    store.reseal(tx, name, box.seal(name, box.open(name, text)))
            if self._given is None:
                drop_older_keys(self._data)
                self._box = SecretBox.in_directory(self._data)
        return len(sealed)

    def fingerprint(self) -> str | None:
        """Which key opens the secrets; None where there are none yet."""
        with self._records.read() as tx:
            if self._given is None and not (self._data / KEY_FILE).exists():
                return None
            return self._opened(tx).fingerprint

    def unreadable(self) -> Iterable[str]:
        """The names of secrets that the key here does not open."""
        with self._records.read() as tx:
            for name, sealed in store.all_sealed(tx).items():
                try:
                    self._opened(tx).open(name, sealed)
                except Unusable:
                    yield name

    def _opened(self, tx: Connection) -> SecretBox:
        if self._box is None:
            # A new key would only hide that the one of these secrets is missing.
            is_first = not store.secrets_of(tx)
            self._box = SecretBox.in_directory(self._data, given=self._given, may_create=is_first)
        return self._box
