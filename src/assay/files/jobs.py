"""The job that lets go of files whose time is over."""

import asyncio

from assay.files.library import Files
from assay.jobs import JobContext

KIND = "file_expiry"
EVERY_S = 600.0
"""How often somebody looks whether there are any. Until then they are not found, and lie on the disk."""


class FileExpiry:
    """What runs jobs of this kind."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def run(self, context: JobContext) -> dict[str, object]:
        """Let go of them."""
        gone = await asyncio.to_thread(self._files.sweep)
        context.log(f"{gone} files are gone.")
        return {"files": gone}
