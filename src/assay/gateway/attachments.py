"""Files in a conversation: an id that `/v1/files` gave becomes the content, which every upstream understands.

An id that is not the project's stays as it is: it may be one of the vendor's own.
"""

import base64
import mimetypes
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from assay.errors import NotFound, TooLarge
from assay.files import Files

NAMES_FILE = b'"file_id"'
"""What an item holds that may name a file."""
_PARTS = {"input_file", "input_image"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def put_files(items: Sequence[Raw], files: Files, project: str, max_bytes: int) -> tuple[Raw, ...]:
    """The items with the content of the project's files in place of their ids. For a thread. Raises `TooLarge` when they
    are more than `max_bytes` together."""
    attached = _Attached(files, project, max_bytes)
    return tuple([attached.to(raw) if NAMES_FILE in bytes(raw) else raw for raw in items])


class _Attached:
    def __init__(self, files: Files, project: str, max_bytes: int) -> None:
        self._files = files
        self._project = project
        self._left = max_bytes

    def to(self, raw: Raw) -> Raw:
        item = _decode(raw)
        for name in ("content", "output"):
            if isinstance(item.get(name), list):
                item[name] = [self._part(part) for part in item[name]]
        return Raw(_encode(item))

    def _part(self, part: Any) -> Any:
        match part:
            case {"type": str(kind), "file_id": str(id)} if kind in _PARTS:
                found = self._content(id)
                if found is None:
                    return part
                filename, url = found
                made = {name: value for name, value in part.items() if name != "file_id"}
                if kind == "input_image":
                    return {**made, "image_url": url}
                return {**made, "filename": part.get("filename") or filename, "file_data": url}
        return part

    def _content(self, id: str) -> tuple[str, str] | None:
        try:
            file = self._files.get(self._project, id)
        except NotFound:
            return None
        self._left -= file.bytes
        if self._left < 0:
            raise TooLarge(
                "The files of this request are too large together",
                param="input",
                hint="Send less at once, or raise the setting max_body_mb.",
            )
        kind = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
        content = base64.b64encode(b"".join(self._files.pieces(file))).decode()
        return file.filename, f"data:{kind};base64,{content}"
