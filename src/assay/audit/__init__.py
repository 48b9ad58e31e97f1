"""The log of changes: who changed what, when, from where, and what it was before.

`log_changes` observes the records (`records.observe`): whatever a write changes in a table that is audited, and what a
room notes by itself, becomes entries in the same transaction. So there is no change without its entry, whether it came
through the API, the command line or a page. Entries are only added; the database refuses whoever tries otherwise.
"""

from assay.audit.ledger import list_entries, log_changes
from assay.audit.types import Entry

__all__ = ["Entry", "list_entries", "log_changes"]
