"""Where the current snapshot comes from."""

import logging
import threading
from collections.abc import Iterable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from assay.records import Records
from assay.snapshot.types import Part, Snapshot

log = logging.getLogger(__name__)


class SnapshotSource:
    """Holds the current snapshot and replaces it after a commit that touched one of its parts.

    Reading `current` is one attribute: the hot path takes it once per request and sees one consistent state.
    """

    def __init__(self, records: Records, parts: Iterable[Part[Any]]) -> None:
        self._records = records
        self._parts = {part.name: part for part in parts}
        self._lock = threading.Lock()
        self.stale_since: str | None = None
        self.current = Snapshot(0, self._load(self._parts))
        records.on_commit(self._committed)

    def refresh(self, names: Iterable[str] | None = None) -> Snapshot:
        """Load the named parts (all by default) and make them current. Raises what the records raise."""
        with self._lock:
            wanted = (
                self._parts
                if names is None
                else {name: self._parts[name] for name in names if name in self._parts}
            )
            if wanted:
                self.current = self.current.with_values(self._load(wanted))
                self.stale_since = None
        return self.current

    def _committed(self, touched: frozenset[str]) -> None:
        if not touched & self._parts.keys():
            return
        try:
            self.refresh(touched)
        except SQLAlchemyError as error:
            self.stale_since = str(error)
            log.exception("The snapshot could not be loaded; the last one goes on serving.")

    def _load(self, parts: dict[str, Part[Any]]) -> dict[str, Any]:
        with self._records.read() as tx:
            return {name: part.load(tx) for name, part in parts.items()}
