"""The immutable state that the hot path reads instead of a database.

Each room adds its `Part`: a name and a function that loads the part's value from the records. `SnapshotSource.current`
is a whole, consistent `Snapshot`; a change in the records makes a new one before the write returns to its caller. If the
records cannot be read, the last snapshot goes on serving.
"""

from assay.snapshot.source import SnapshotSource
from assay.snapshot.types import Part, Snapshot

__all__ = ["Part", "Snapshot", "SnapshotSource"]
