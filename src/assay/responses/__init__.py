"""Answers of the Responses API that a client asked to keep (`store`), so that its next question can refer to them.

Each has the items that were new in its question and points to the one before; a conversation is read by following them back.
Kept per project, as long as the project keeps content.
"""

from assay.responses.shelf import ResponseShelf
from assay.responses.types import StoredResponse

__all__ = ["ResponseShelf", "StoredResponse"]
