"""A file and what it is for."""

import msgspec

PURPOSES = ("batch", "user_data", "fine-tune")
"""What a client may upload a file for."""
OUTPUT = "batch_output"
"""What Assay makes files for."""
CONTENT = ("batch", OUTPUT)
"""Files with questions and answers: they stay as long as the project keeps content."""


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """`sha256` is of the content, which another file may share. `expires_at_ns` None: it stays until it is deleted."""

    project: str
    id: str
    purpose: str
    filename: str
    bytes: int
    sha256: str
    actor: str
    created_at_ns: int
    expires_at_ns: int | None = None
