"""Files that clients upload and that Assay makes for them: the lines of batches and what came of them, documents, training data.

The content lies in the data directory, once for each content of a project; the row in the records says what it is called and
how long it stays. What belongs to batches is content, and goes with the project's.
"""

from assay.files.library import Files, Incoming
from assay.files.types import PURPOSES, StoredFile

__all__ = ["PURPOSES", "Files", "Incoming", "StoredFile"]
