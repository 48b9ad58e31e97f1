"""Verdicts that changed something, kept for ever with their evidence.

What promotes, rolls back, releases, blocks or alerts calls `record` in the transaction that makes the change, so that
there is no change without its decision. Nothing here updates or deletes, and the database refuses whoever tries.
"""

from assay.decisions.ledger import list_decisions, record
from assay.decisions.types import Decision, Evidence, Kind

__all__ = ["Decision", "Evidence", "Kind", "list_decisions", "record"]
